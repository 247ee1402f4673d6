"""Quality of a decoded picture against its original."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim

LARGEST_DB = 100.0


def psnr_db(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Return the PSNR in dB of all samples together, 100 for equal pictures; uint8 [H, W, C]."""
    difference = original.astype(np.float64) - decoded.astype(np.float64)
    mean_square = float(np.mean(np.square(difference)))
    if mean_square == 0.0:
        return LARGEST_DB
    return min(LARGEST_DB, 10.0 * math.log10(255.0**2 / mean_square))


def multiscale_ssim(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Return MS-SSIM, 0 to 1, mean over the channels; uint8 [H, W, C], sides above 160.

    Source: Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity for image quality
    assessment", 2003, as implemented in pytorch-msssim.
    """
    return float(ms_ssim(_as_batch(original), _as_batch(decoded), data_range=255))


def ssim_db(similarity: float) -> float:
    """Spread a similarity (0 to 1) on a decibel scale: −10 · log10(1 − similarity)."""
    return -10.0 * math.log10(max(1.0 - similarity, 10.0 ** (-LARGEST_DB / 10.0)))


def _as_batch(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]  # [1, C, H, W]
