"""Analysis and synthesis networks for voices.

Samples at 16 kHz become frames, 50 a second, of a power-law compressed short-time spectrum:
X·|X|^(p−1) with p = 1/2, 642 real numbers.  The latent of a frame is linear in it and in the
envelopes of both halves of the frame, powers of mel bands compressed; the synthesis adds its
directions up again.  Both are linear codecs before any training; ConvNeXt blocks (Liu et al.,
2022; in one dimension as in Vocos, Siuzdak, 2023) are added on side paths whose last matrix starts
at zero.  That of the synthesis also gives magnitudes and phases, for what latents know the
envelope of and not the phases.

Whole latent vectors, in steps (`SpeechConfig.unit` of the compressed spectrum), are quantised
stage after stage (residual VQ, `luxvox.models.rvq`).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.beam import beam_codes
from luxvox.models.rvq import ResidualVQ, rate_bin

SAMPLE_RATE_HZ = 16_000
HOP = 320
WINDOW = 640
N_BINS = WINDOW // 2 + 1
N_REALS = 2 * N_BINS
POWER_FLOOR = 1e-7  # keeps the gradient of the power law finite; −70 dB of full scale
SILENT_POWER = 1e-6  # of a compressed frame
HALF_WINDOW = 320  # of each half of a frame
HALF_STARTS = (80, 240)
ENVELOPE_POWER = 0.15  # of the power: magnitude to the power 0.3
ENVELOPE_FLOOR = 1e-3
TYPICAL_SHARE = 0.7  # of frames have less power than a typical one
DEPTH_POWER = 1.5  # how the stages of a typical frame grow with fineness
LEVEL = "frames"


@dataclass(frozen=True)
class SpeechConfig:
    """Shape of the voice networks; everything needed to build them.

    Attributes:
        n_channels: principal directions, the width of a latent.
        n_stages, codebook_size: of the residual VQ.
        first_stages: how many stages the first code section of a segment holds.
        width, expansion: of the ConvNeXt blocks.
        n_bands: of the envelopes; with none, latents know the complex spectrum only, and the
            synthesis makes no phases.
        unit: of the compressed spectrum that one step of the latents is worth.
        rate_weight: what a bit is worth in squared steps when codewords are chosen.
        finest_depth: stages that a frame of the reference power gets at quality 100, if there
            were so many; none at quality 1, and in between with `DEPTH_POWER`.
        coarsest_slope, finest_slope, slope_rise: stages that a frame gets for each decibel of its
            latent's power: at quality 1, at most, and how much more at quality 100 but for that.
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
    unit: float = 0.125
    rate_weight: float = 0.1
    finest_depth: float = 26.0
    coarsest_slope: float = 0.2
    finest_slope: float = 1.45
    slope_rise: float = 2.6

    @property
    def n_inputs(self) -> int:
        """The real numbers that a frame is analysed from."""
        return N_REALS + len(HALF_STARTS) * self.n_bands


def n_frames(n_samples: int) -> int:
    """Return the number of frames that cover so many samples at 16 kHz."""
    return -(-n_samples // HOP) + 1


def power_db(latents: Tensor) -> Tensor:
    """Return the power of latents [B, n_channels, 1, F] in decibels of a squared step [B, 1, F]."""
    return 10.0 * torch.log10(latents.square().sum(1) + 1.0)


def typical_db(latents: Tensor) -> Tensor:
    """Return the power of a typical frame of latents [B, n_channels, 1, F], as `power_db` []."""
    return torch.quantile(power_db(latents), TYPICAL_SHARE)


def analysis_window(device: torch.device | None = None) -> Tensor:
    """Return the root-Hann window [640]; its square adds up to 1 at a hop of 320."""
    return torch.hann_window(WINDOW, periodic=True, dtype=torch.float32, device=device).sqrt()


def spectrum(samples: Tensor) -> Tensor:
    """Map samples [B, T], T a multiple of 320, to compressed spectra [B, 642, T / 320 + 1].

    Frame f is centred on sample 320·f; the signal is silent outside.
    """
    return spectrum_of_padded(F.pad(samples, (HOP, HOP)))


def spectrum_of_padded(padded: Tensor) -> Tensor:
    """Map samples [B, 320 · (F + 1)] to the compressed spectra [B, 642, F] of all whole frames."""
    frames = padded.unfold(1, WINDOW, HOP) * analysis_window(padded.device)
    bins = torch.fft.rfft(frames)
    compressed = bins * (bins.real.square() + bins.imag.square() + POWER_FLOOR).pow(-0.25)
    return torch.cat([compressed.real, compressed.imag], 2).transpose(1, 2)


def envelopes(compressed: Tensor, n_bands: int) -> Tensor:
    """Map compressed spectra [B, 642, F] to envelopes [B, 2 · n_bands, F], 0 for silence.

    Powers of mel bands to the power 0.15, of the first and of the second half of the frame, each
    in a Hann window of 20 ms.
    """
    frames = torch.fft.irfft(_bins(compressed), WINDOW)
    shape = torch.hann_window(HALF_WINDOW, periodic=True, dtype=torch.float32)
    window = shape.to(compressed.device)
    halves = torch.stack([frames[:, :, s : s + HALF_WINDOW] for s in HALF_STARTS], 2)
    bins = torch.fft.rfft(halves * window)
    power = (bins.real.square() + bins.imag.square()) @ _mel_bands(n_bands).to(compressed.device)
    envelope: Tensor = (power + ENVELOPE_FLOOR).pow(ENVELOPE_POWER) - ENVELOPE_FLOOR**ENVELOPE_POWER
    return envelope.flatten(2).transpose(1, 2)


def samples_from_spectrum(compressed: Tensor) -> Tensor:
    """Map compressed spectra [B, 642, F] to samples [B, 320 · (F − 1)]."""
    frames = torch.fft.irfft(_bins(compressed), WINDOW) * analysis_window(compressed.device)
    first, second = frames[:, :, :HOP], frames[:, :, HOP:]
    samples: Tensor = (second[:, :-1] + first[:, 1:]).flatten(1)
    return samples


def _bins(compressed: Tensor) -> Tensor:
    """Return the complex spectra [B, F, 321] of compressed ones [B, 642, F]."""
    real, imaginary = compressed.transpose(1, 2).chunk(2, dim=2)
    magnitude = (real.square() + imaginary.square() + POWER_FLOOR).sqrt()
    return torch.complex(real * magnitude, imaginary * magnitude)


@functools.lru_cache(maxsize=2)
def _mel_bands(n_bands: int) -> Tensor:
    """Return triangular weights [161, n_bands] that sum to 1, evenly spaced in mel to 8 kHz."""
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE_HZ / 2 / 700.0)
    mels = torch.linspace(0.0, top, n_bands + 2, dtype=torch.float32)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    n_bins = HALF_WINDOW // 2 + 1
    hertz = torch.linspace(0.0, SAMPLE_RATE_HZ / 2, n_bins, dtype=torch.float32)[:, None]
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    bands = torch.minimum(rise, fall).clamp(min=0.0)
    weights: Tensor = bands / bands.sum(0).clamp(min=1e-6)
    return weights


class ConvNeXtBlock(nn.Module):
    """Residual block on [B, width, F]: depthwise convolution, layer norm, two matrices, GELU."""

    def __init__(self, width: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, expansion * width)
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, width, F]."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.project(F.gelu(self.expand(y), approximate="tanh")) * self.scale
        changed: Tensor = x + y.transpose(1, 2)
        return changed


class SidePath(nn.Module):
    """A convolutional correction [B, inputs, F] → [B, outputs, F] that starts at zero.

    Attributes:
        half_precision: whether it is computed in bfloat16, which training may do.
        polar: what gives magnitudes and phases of half as many complex numbers, if anything does.
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
        self.half_precision = False
        self.enter = nn.Conv1d(n_inputs, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.expansion, config.kernel) for _ in range(n_blocks)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.leave = nn.Linear(config.width, n_outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.polar = nn.Linear(config.width, n_outputs) if polar else None
        if self.polar is not None:
            nn.init.zeros_(self.polar.weight[: n_outputs // 2])
            nn.init.zeros_(self.polar.bias[: n_outputs // 2])

    def forward(self, x: Tensor) -> Tensor:
        """Return the correction."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half_precision):
            y = self.enter(x)
            for block in self.blocks:
                y = block(y)
            y = self.norm(y.transpose(1, 2))
            correction: Tensor = self.leave(y).transpose(1, 2).float()
            polar = None if self.polar is None else self.polar(y).transpose(1, 2).float()
        if polar is None:
            return correction
        magnitude, phase = polar.chunk(2, dim=1)
        return correction + torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)


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
        self.down = nn.Parameter(torch.eye(n, config.n_inputs))
        self.up = nn.Parameter(torch.eye(N_REALS, n))
        self.analysis = SidePath(config.n_inputs, n, config, config.analysis_blocks)
        polar = config.n_bands > 0
        self.synthesis = SidePath(n, N_REALS, config, config.synthesis_blocks, polar)
        self.vq = ResidualVQ((n,), config.n_stages, config.codebook_size)
        self.reference_db: Tensor
        self.register_buffer("reference_db", torch.tensor(0.0))

    def latents(self, compressed: Tensor) -> Tensor:
        """Map compressed spectra [B, 642, F] to latents [B, n_channels, 1, F] in steps.

        The latents of digital silence are zero.
        """
        x = compressed / self.config.unit
        if self.config.n_bands:
            x = torch.cat([x, envelopes(compressed, self.config.n_bands) / self.config.unit], 1)
        linear = torch.einsum("ci,bif->bcf", self.down, x)
        audible = compressed.square().sum(1, keepdim=True) > SILENT_POWER
        latents: Tensor = ((linear + self.analysis(x)) * audible).unsqueeze(2)
        return latents

    def synthesise(self, latents: Tensor) -> Tensor:
        """Map latents [B, n_channels, 1, F] in steps to compressed spectra [B, 642, F]."""
        x = latents.squeeze(2)
        linear = torch.einsum("ic,bcf->bif", self.up, x)
        compressed: Tensor = (linear + self.synthesis(x)) * self.config.unit
        return compressed

    def depths(self, latents: Tensor, position: Tensor) -> Tensor:
        """Return how many stages each frame gets, int64 [B, 1, F].

        Loud frames get more, but by far not as many more as the least squared error would give
        them: what is quiet is heard, too (docs/decisions.md).

        Args:
            latents: [B, n_channels, 1, F] in steps.
            position: [B], −1 (finest) … 1 (coarsest).
        """
        return self._depths_of_powers(power_db(latents), position[:, None, None])

    def depths_of_powers(self, power: NDArray[np.float32], position: float) -> NDArray[np.int64]:
        """Return how many stages frames of a given power in decibels [F] get, as `depths`."""
        where = torch.tensor(position, dtype=torch.float64)
        limits = self._depths_of_powers(torch.from_numpy(power).double(), where)
        array: NDArray[np.int64] = limits.numpy()
        return array

    def _depths_of_powers(self, power: Tensor, position: Tensor) -> Tensor:
        config = self.config
        fineness = (1.0 - position) / 2.0
        typical = config.finest_depth * fineness.pow(DEPTH_POWER)
        slope = config.coarsest_slope + config.slope_rise * fineness
        slope = slope.clamp(max=config.finest_slope)
        wanted = typical + slope * (power - self.reference_db)
        limits: Tensor = torch.floor(wanted + 0.5).long().clamp(0, config.n_stages)
        return limits

    def choose(self, latents: Tensor) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Choose codes [stages, F] at full depth for latents [1, n_channels, 1, F].

        A prefix of the stages is what would be chosen for fewer.  Also returns what each code
        costs in bits by the static tables [stages, F].
        """
        codes = self.vq.encode(latents, torch.zeros(1), self.config.rate_weight)
        return codes[0, :, 0, 0].numpy().astype(np.uint16), self.static_bits(codes)

    def static_bits(self, codes: Tensor) -> NDArray[np.float32]:
        """Return what codes [1, stages, 1, 1, F] cost by the static tables [stages, F]."""
        flat = codes[0, :, 0, 0].long()
        bits = self.vq.bits[int(rate_bin(torch.zeros(1))), :, 0].gather(1, flat)
        reached = torch.cat([torch.ones_like(flat[:1]), flat[:-1]]) != 0
        costs: NDArray[np.float32] = (bits * reached).numpy()
        return costs

    def expected_bits(self) -> NDArray[np.float32]:
        """Return what a code of each stage costs on average by the static tables [stages]."""
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
    def halo(self) -> int:
        """Frames on each side that a frame of analysis or synthesis depends on."""
        config = self.config
        blocks = max(config.analysis_blocks, config.synthesis_blocks)
        return 1 + blocks * (config.kernel // 2)
