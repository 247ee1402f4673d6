"""Analysis and synthesis networks for voices.

Samples at 16 kHz become frames, 50 a second, of a power-law compressed short-time spectrum:
X·|X|^(p−1) with p = 1/2, 642 real numbers.  The latent of a frame is linear in it and in the
envelopes of both halves of the frame (compressed powers of mel bands); the synthesis sums its
directions again.  Untrained, both are a linear codec; ConvNeXt blocks (Liu et al., 2022; in
one dimension as in Vocos, Siuzdak, 2023) are added on side paths whose last matrix starts at zero.
The side path of the synthesis also gives magnitudes and phases, for sound of which the latents hold
only the envelope.

Wide paths (`luxvox.models.voice.paths`) correct both again, from frames and the features of the
side paths. The last one works on short-time spectra of the decoded samples, 200 a second in windows
of 10 ms, so it can place sounds that are shorter than a frame.

Whole latent vectors, in steps (`SpeechConfig.unit` of the compressed spectrum), are quantised
stage after stage (residual VQ, `luxvox.models.voice.rvq`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.voice.beam import beam_codes
from luxvox.models.voice.paths import WidePath, correct_spectra, depthwise
from luxvox.models.voice.pauses import scatter_phases
from luxvox.models.voice.rvq import ResidualVQ, rate_bin
from luxvox.models.voice.spectra import (
    FINE_A_FRAME,
    FINE_BINS,
    FINE_HOP,
    FINE_WINDOW,
    HALF_STARTS,
    N_BINS,
    N_REALS,
    WINDOW,
    compress_spectra,
    envelopes,
    samples_from_spectra,
)

SILENT_POWER = 1e-6  # of a compressed frame
TYPICAL_SHARE = 0.7  # share of frames with less power than a typical one
DEPTH_POWER = 1.5  # how the stages of a typical frame grow with fineness
LEVEL = "frames"
SYNTHESIS_PARTS = ("up", "synthesis.", "wide_synthesis.", "spread.", "fine.")


@dataclass(frozen=True)
class SpeechConfig:
    """Sizes of the voice networks; everything needed to build them.

    Attributes:
        n_channels: principal directions, the width of a latent.
        n_stages, codebook_size: of the residual VQ.
        first_stages: how many stages the first code section of a segment holds.
        width, expansion: of the ConvNeXt blocks.
        n_bands: of the envelopes; with none, latents hold only the complex spectrum, and the
            synthesis makes no phases.
        wide_width, wide_expansion: of the wide paths; without a width there are none.
        wide_analysis, wide_synthesis: dilations of their blocks.
        fine_width: of the path on short-time spectra.
        fine: dilations of its blocks, in fine frames.
        unit: how much of the compressed spectrum one step of the latents is worth.
        rate_weight: worth of a bit in squared steps when codewords are chosen.
        finest_depth: stages that a frame of the reference power would get at quality 100 if there
            were enough; none at quality 1, and in between by `DEPTH_POWER`.
        coarsest_slope, finest_slope, slope_rise: stages that a frame gets for each decibel of its
            latent's power are coarsest_slope + slope_rise · fineness, at most finest_slope;
            fineness is 0 at quality 1 and 1 at quality 100.
    """

    n_channels: int = 192
    n_stages: int = 20
    codebook_size: int = 1024
    first_stages: int = 4
    n_bands: int = 40
    width: int = 256
    expansion: int = 3
    kernel: int = 7
    analysis_blocks: int = 3
    synthesis_blocks: int = 6
    wide_width: int = 0
    wide_expansion: int = 3
    wide_analysis: tuple[int, ...] = (1, 3, 9)
    wide_synthesis: tuple[int, ...] = (1, 2, 4, 1, 2, 4, 1, 2, 1)
    fine_width: int = 160
    fine: tuple[int, ...] = (1, 2, 4, 8, 1, 2)
    unit: float = 0.125
    rate_weight: float = 0.1
    finest_depth: float = 26.0
    coarsest_slope: float = 0.2
    finest_slope: float = 1.45
    slope_rise: float = 2.6

    @property
    def n_inputs(self) -> int:
        """Real numbers per frame at the input of the analysis."""
        return N_REALS + len(HALF_STARTS) * self.n_bands


def power_db(latents: Tensor) -> Tensor:
    """Return the power of latents [B, n_channels, 1, F] in decibels of a squared step [B, 1, F]."""
    return 10.0 * torch.log10(latents.square().sum(1) + 1.0)


def typical_db(latents: Tensor) -> Tensor:
    """Return the power of a typical frame of latents [B, n_channels, 1, F], as `power_db` []."""
    return torch.quantile(power_db(latents), TYPICAL_SHARE)


class ConvNeXtBlock(nn.Module):
    """Residual block on [B, F, width]: depthwise convolution, layer norm, two matrices, GELU."""

    def __init__(self, width: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, expansion * width)
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, F, width]."""
        # [width, 1, kernel] -> [kernel, width]
        taps = self.depthwise.weight[:, 0].T
        bias: Any = self.depthwise.bias
        y = depthwise(x, taps, 1) + bias
        # [B, F, width] -> [B, F, expansion · width] -> [B, F, width]
        y = self.project(F.gelu(self.expand(self.norm(y)), approximate="tanh"))
        changed: Tensor = x + y * self.scale.to(y.dtype)
        return changed


class SidePath(nn.Module):
    """A convolutional correction [B, inputs, F] → [B, outputs, F] that starts at zero.

    Attributes:
        polar: the layer that gives magnitudes and phases of half as many complex numbers, if any.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        config: SpeechConfig,
        n_blocks: int,
        polar: bool = False,
    ) -> None:
        super().__init__()
        self.enter = nn.Conv1d(n_inputs, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.expansion, config.kernel) for _ in range(n_blocks)
        )

        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.leave = nn.Linear(config.width, n_outputs)

        # The path gives zero at the start, so training begins with the linear path.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

        self.polar = nn.Linear(config.width, n_outputs) if polar else None
        if self.polar is not None:
            nn.init.zeros_(self.polar.weight[: n_outputs // 2])
            nn.init.zeros_(self.polar.bias[: n_outputs // 2])

    def forward(self, x: Tensor, bfloat16: bool = False) -> tuple[Tensor, Tensor]:
        """Return the correction, and the features [B, F, width] of its last layer."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16):
            y = self.enter(x).transpose(1, 2).contiguous()  # [B, width, F] -> [B, F, width]
            for block in self.blocks:
                y = block(y)
            y = self.norm(y)
            correction: Tensor = self.leave(y).transpose(1, 2).to(x.dtype)
            polar = None if self.polar is None else self.polar(y).transpose(1, 2).to(x.dtype)
        if polar is None:
            return correction, y

        # [B, outputs, F] -> magnitudes and phases [B, outputs / 2, F] -> real and imaginary parts
        magnitude, phase = polar.chunk(2, dim=1)
        polar = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
        return correction + polar, y


class SpeechModel(nn.Module):
    """All float parts of the voice codec.

    Attributes:
        down, up: [n_channels, 642 + 2 · n_bands] and [642, n_channels]: linear paths.
        reference_db: [] power of a typical frame's latent, in decibels of a squared step.
        vq: residual VQ of whole latent vectors.
    """

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        n = config.n_channels
        # On the meta device, `torch.eye` would import a compiler: 2.5 s.
        self.down = nn.Parameter(torch.zeros(n, config.n_inputs).fill_diagonal_(1.0))
        self.up = nn.Parameter(torch.zeros(N_REALS, n).fill_diagonal_(1.0))

        self.analysis = SidePath(config.n_inputs, n, config, config.analysis_blocks)
        polar = config.n_bands > 0
        self.synthesis = SidePath(n, N_REALS, config, config.synthesis_blocks, polar)

        if config.wide_width:
            wide, expansion = config.wide_width, config.wide_expansion
            self.wide_analysis = WidePath(
                config.n_inputs + config.width, n, wide, expansion, config.wide_analysis
            )
            self.wide_synthesis = WidePath(
                n + config.width, 3 * N_BINS, wide, expansion, config.wide_synthesis
            )
            self.spread = nn.Linear(wide, FINE_A_FRAME * config.fine_width)
            self.fine = WidePath(
                2 * FINE_BINS + config.fine_width,
                3 * FINE_BINS,
                config.fine_width,
                expansion,
                config.fine,
            )

        self.vq = ResidualVQ((n,), config.n_stages, config.codebook_size)
        self.reference_db: Tensor
        self.register_buffer("reference_db", torch.tensor(0.0))

    @property
    def device(self) -> torch.device:
        """Return the device that the networks run on."""
        return self.down.device

    def latents(self, compressed: Tensor, bfloat16: bool = False) -> Tensor:
        """Map compressed spectra [B, 642, F] to latents [B, n_channels, 1, F] in steps.

        The latents of digital silence are zero.

        Args:
            compressed: see `spectrum`.
            bfloat16: compute all paths in bfloat16, as training may do.
        """
        x = compressed / self.config.unit
        if self.config.n_bands:
            x = torch.cat([x, envelopes(compressed, self.config.n_bands) / self.config.unit], 1)

        # [B, n_inputs, F] -> [B, n_channels, F], and the features of the side path.
        correction, features = self.analysis(x, bfloat16)
        total = torch.einsum("ci,bif->bcf", self.down, x) + correction
        if self.config.wide_width:
            # [B, n_inputs, F] -> [B, F, n_inputs]
            frames = x.transpose(1, 2)
            more, _ = self.wide_analysis(frames, features, bfloat16=bfloat16)
            total = total + more.transpose(1, 2)

        audible = compressed.square().sum(1, keepdim=True) > SILENT_POWER
        latents: Tensor = (total * audible).unsqueeze(2)
        return latents

    def samples(
        self, latents: Tensor, bfloat16: bool = False, noise: Tensor | None = None
    ) -> Tensor:
        """Map latents [B, n_channels, 1, F] in steps to samples [B, 320 · (F − 1)].

        Args:
            latents: sums of codewords.
            bfloat16: compute all paths in bfloat16, as training and corrections may do.
            noise: which frames are to sound like noise, [B, F] as in `pauses.Stretch`; None where
                waveforms are compared, as in training and corrections.
        """
        # [B, n_channels, 1, F] -> [B, n_channels, F]
        x, unit = latents.squeeze(2), self.config.unit
        correction, features = self.synthesis(x, bfloat16)
        # [B, n_channels, F] -> [B, F, 642]
        frames = (torch.einsum("ic,bcf->bif", self.up, x) + correction).transpose(1, 2)
        if self.config.wide_width:
            # The wide path corrects each bin of the spectra by a gain and an added complex number.
            corrections, features = self.wide_synthesis(
                x.transpose(1, 2), features, bfloat16=bfloat16
            )
            frames = correct_spectra(frames, corrections)
        if noise is not None:
            frames = scatter_phases(frames, noise)
        samples = samples_from_spectra(frames * unit, WINDOW)
        return self._finer(samples, features, bfloat16) if self.config.wide_width else samples

    def _finer(self, samples: Tensor, features: Tensor, bfloat16: bool) -> Tensor:
        """Correct samples [B, 320 · (F − 1)] in fine frames, by features [B, F, wide_width]."""
        unit = self.config.unit
        fine = compress_spectra(F.pad(samples, (FINE_HOP, FINE_HOP)), FINE_WINDOW) / unit
        with torch.autocast(samples.device.type, torch.bfloat16, enabled=bfloat16):
            # [B, F, 4 · fine_width] -> [B, 4 · F, fine_width]
            context = self.spread(features).unflatten(2, (FINE_A_FRAME, -1)).flatten(1, 2)
        context = context[:, : fine.shape[1]]

        corrections, _ = self.fine(fine, context, bfloat16=bfloat16)
        return samples_from_spectra(correct_spectra(fine, corrections) * unit, FINE_WINDOW)

    def depths(self, latents: Tensor, log_step: Tensor) -> Tensor:
        """Return how many stages each frame gets, int64 [B, 1, F].

        Loud frames get more, but far fewer than would minimise the squared error: quiet sounds are
        heard, too (docs/decisions/018).

        Args:
            latents: [B, n_channels, 1, F] in steps.
            log_step: [B], −1 (finest) … 1 (coarsest).
        """
        return self._depths_of_powers(power_db(latents), log_step[:, None, None])

    def depths_of_powers(self, power: NDArray[np.float32], log_step: float) -> NDArray[np.int64]:
        """Return how many stages frames of a given power in decibels [F] get, as `depths`."""
        where = torch.tensor(log_step, dtype=torch.float64)
        limits = self._depths_of_powers(torch.from_numpy(power).double(), where)
        array: NDArray[np.int64] = limits.numpy()
        return array

    def _depths_of_powers(self, power: Tensor, log_step: Tensor) -> Tensor:
        config = self.config
        fineness = (1.0 - log_step) / 2.0

        # Stages of a typical frame, and how many more each decibel brings.
        typical = config.finest_depth * fineness.pow(DEPTH_POWER)
        slope = config.coarsest_slope + config.slope_rise * fineness
        slope = slope.clamp(max=config.finest_slope)

        depths = typical + slope * (power - self.reference_db)
        limits: Tensor = torch.floor(depths + 0.5).long().clamp(0, config.n_stages)
        return limits

    def choose(self, latents: Tensor) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Choose codes [stages, F] at full depth for latents [1, n_channels, 1, F].

        For fewer stages, the choice is a prefix of this one. Also returns the bits of each code by
        the static tables [stages, F].
        """
        codes = self.vq.encode(latents, torch.zeros(1), self.config.rate_weight)
        return codes[0, :, 0, 0].numpy().astype(np.uint16), self.static_bits(codes)

    def static_bits(self, codes: Tensor) -> NDArray[np.float32]:
        """Return the bits [stages, F] of codes [1, stages, 1, 1, F] by the static tables."""
        costs: NDArray[np.float32] = self.vq.static_bits(codes, torch.zeros(1))[0, :, 0, 0].numpy()
        return costs

    def expected_bits(self) -> NDArray[np.float32]:
        """Return the average bits of a code of each stage by the static tables [stages]."""
        bits = self.vq.bits[int(rate_bin(torch.zeros(1))), :, 0]
        shares = torch.exp2(-bits)
        mean: NDArray[np.float32] = ((shares * bits).sum(1) / shares.sum(1)).numpy()
        return mean

    def choose_to_depths(
        self, latents: Tensor, depths: NDArray[np.int64], width: int
    ) -> NDArray[np.uint16]:
        """Choose codes [stages, F] by a beam search for latents [n_channels, 1, F].

        Args:
            latents: in steps.
            depths: how many stages each frame may have [F].
            width: sequences kept from stage to stage.
        """
        costs = self.config.rate_weight * self.vq.bits[int(rate_bin(torch.zeros(1))), :, 0]
        codes = beam_codes(self.vq, latents[:, 0].T, torch.from_numpy(depths), width, costs)
        return codes.numpy().astype(np.uint16)

    @property
    def analysis_halo(self) -> int:
        """Frames on each side that a frame of latents depends on."""
        reach = 1 + self.config.analysis_blocks * (self.config.kernel // 2)
        return reach + self.wide_analysis.reach if self.config.wide_width else reach

    @property
    def synthesis_halo(self) -> int:
        """Latents on each side that a frame of samples depends on."""
        reach = 1 + self.config.synthesis_blocks * (self.config.kernel // 2)
        if not self.config.wide_width:
            return reach
        return reach + self.wide_synthesis.reach + 2 + -(-self.fine.reach // FINE_A_FRAME)
