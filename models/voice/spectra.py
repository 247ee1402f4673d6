"""Spectra of voices: compressed by a power law, in frames of 40 ms and of 10 ms, and back."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.timeline import CODED_RATE_HZ, FRAME_SAMPLES

WINDOW = 640
N_BINS = WINDOW // 2 + 1
N_REALS = 2 * N_BINS
FINE_HOP = 80
FINE_WINDOW = 160
FINE_BINS = FINE_WINDOW // 2 + 1
FINE_A_FRAME = FRAME_SAMPLES // FINE_HOP
POWER_FLOOR = 1e-7  # keeps the gradient of the power law finite; −70 dB of full scale
HALF_WINDOW = 320  # of each half of a frame
HALF_STARTS = (80, 240)
ENVELOPE_POWER = 0.15  # of the power: magnitude to the power 0.3
ENVELOPE_FLOOR = 1e-3


def analysis_window(device: torch.device | None = None, size: int = WINDOW) -> Tensor:
    """Return the root-Hann window [640]; its square adds up to 1 at a hop of 320."""
    return torch.hann_window(size, periodic=True, dtype=torch.float32, device=device).sqrt()


def spectrum(samples: Tensor) -> Tensor:
    """Map samples [B, T], T a multiple of 320, to compressed spectra [B, 642, T / 320 + 1].

    Frame f is centred on sample 320·f; there is silence outside.
    """
    return spectrum_of_padded(F.pad(samples, (FRAME_SAMPLES, FRAME_SAMPLES)))


def spectrum_of_padded(padded: Tensor) -> Tensor:
    """Map samples [B, 320 · (F + 1)] to the compressed spectra [B, 642, F] of all whole frames."""
    return compress_spectra(padded, WINDOW).transpose(1, 2)


def compress_spectra(padded: Tensor, window: int) -> Tensor:
    """Map samples [B, window · (F + 1) / 2] to compressed spectra [B, F, window + 2]."""
    frames = padded.unfold(1, window, window // 2) * analysis_window(padded.device, window)
    bins = torch.fft.rfft(frames)
    power = bins.real.square() + bins.imag.square() + POWER_FLOOR
    compressed = bins * power.sqrt().rsqrt()
    return torch.cat([compressed.real, compressed.imag], 2)


def envelopes(compressed: Tensor, n_bands: int) -> Tensor:
    """Map compressed spectra [B, 642, F] to envelopes [B, 2 · n_bands, F], 0 for silence.

    Powers of mel bands, raised to the power 0.15, for the first and second half of the frame, each
    in a Hann window of 20 ms.
    """
    frames = torch.fft.irfft(_bins(compressed.transpose(1, 2)), WINDOW)
    shape = torch.hann_window(HALF_WINDOW, periodic=True, dtype=torch.float32)
    window = shape.to(compressed.device)
    halves = torch.stack([frames[:, :, s : s + HALF_WINDOW] for s in HALF_STARTS], 2)
    bins = torch.fft.rfft(halves * window)
    power = (bins.real.square() + bins.imag.square()) @ _mel_bands(n_bands).to(compressed.device)
    envelope: Tensor = (power + ENVELOPE_FLOOR).pow(ENVELOPE_POWER) - ENVELOPE_FLOOR**ENVELOPE_POWER
    return envelope.flatten(2).transpose(1, 2)


def samples_from_spectra(compressed: Tensor, window: int) -> Tensor:
    """Map compressed spectra [B, F, window + 2] to samples [B, window / 2 · (F − 1)]."""
    frames = torch.fft.irfft(_bins(compressed), window) * analysis_window(compressed.device, window)
    first, second = frames.chunk(2, dim=2)
    samples: Tensor = (second[:, :-1] + first[:, 1:]).flatten(1)
    return samples


def _bins(compressed: Tensor) -> Tensor:
    """Return the complex spectra [B, F, bins] of compressed ones [B, F, 2 · bins]."""
    real, imaginary = compressed.chunk(2, dim=2)
    magnitude = (real.square() + imaginary.square() + POWER_FLOOR).sqrt()
    return torch.complex(real * magnitude, imaginary * magnitude)


@functools.lru_cache(maxsize=2)
def _mel_bands(n_bands: int) -> Tensor:
    """Return triangular weights [161, n_bands] that sum to 1, evenly spaced in mel to 8 kHz."""
    top = 2595.0 * math.log10(1.0 + CODED_RATE_HZ / 2 / 700.0)
    mels = torch.linspace(0.0, top, n_bands + 2, dtype=torch.float32)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    n_bins = HALF_WINDOW // 2 + 1
    hertz = torch.linspace(0.0, CODED_RATE_HZ / 2, n_bins, dtype=torch.float32)[:, None]
    rise = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    bands = torch.minimum(rise, fall).clamp(min=0.0)
    weights: Tensor = bands / bands.sum(0).clamp(min=1e-6)
    return weights
