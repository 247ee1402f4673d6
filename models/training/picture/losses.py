"""The errors that training minimises: squared error, and two errors of luma for the eye; PSNR."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.conditions import PIXELS_PER_UNIT

EYE_SHARE = 0.8  # of the distortion that a model tuned for the eye minimises
LUMA = (0.299, 0.587, 0.114)
# Scale in pixels, contrast in squared units at which errors start to hide, weight.
EYE_SCALES = ((1, 0.9, 1.0), (4, 0.5, 6.0 * 16), (8, 0.4, 12.0 * 64))

# Scale in pixels, weights of the mean and of the 4-norm of the structural error: the weights of
# luma in SSIMULACRA2 and MS-SSIM, converted to their worth in bits.
STRUCTURE_SCALES = (
    (1, 0.07, 0.10),
    (2, 0.44, 0.08),
    (4, 3.20, 0.24),
    (8, 2.50, 0.30),
    (16, 0.20, 0.43),
)
STRUCTURE_CONTRAST = 0.0013  # squared share of full scale at which errors start to hide
FULL_SCALE = 255.0 / PIXELS_PER_UNIT
BLUR = 1.5  # standard deviation in pixels of each scale
BLUR_RADIUS = 4


def psnr(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the PSNR in dB of each picture [B] of [B, 3, H, W] in units, unrounded."""
    # [B, 3, H, W] -> [B], from squared units to squared 8-bit levels.
    error = (decoded - pixels).square().mean(dim=(1, 2, 3)) * PIXELS_PER_UNIT**2
    return 10.0 * torch.log10(255.0**2 / error)


def squared_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the summed squared error [B] of pictures [B, 3, H, W] in units."""
    return (decoded - pixels).square().sum((1, 2, 3))


def eye_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the luma error [B] at 1, 4 and 8 pixels, each over the original's local variance.

    Quadratic in the error, with weights that depend only on the original. Structural similarity
    (Wang et al., 2004) weighs errors by local variance in the same way.

    Args:
        decoded, pixels: [B, 3, H, W] in units; H and W multiples of 8.
    """
    # [B, 3, H, W] -> [B, 1, H, W]
    luma = torch.tensor(LUMA, device=pixels.device)[None, :, None, None]
    error = ((decoded - pixels) * luma).sum(1, keepdim=True)
    original = (pixels * luma).sum(1, keepdim=True)

    total = torch.zeros(len(pixels), device=pixels.device)
    for size, contrast, weight in EYE_SCALES:
        # [B, 1, H, W] -> [B, 1, H / size, W / size]
        coarse = F.avg_pool2d(error, size) if size > 1 else error
        plane = F.avg_pool2d(original, size) if size > 1 else original

        # Texture hides errors: [B, 1, H / size, W / size] -> [B]
        hiding = contrast / (local_variance(plane) + contrast)
        total = total + weight * (coarse.square() * hiding).sum((1, 2, 3))
    return total


def local_variance(plane: Tensor) -> Tensor:
    """Return the variance of a plane [B, 1, H, W] within 5×5 pixels."""
    # At the borders the window has fewer pixels; there is no padding.
    mean, power = (
        F.avg_pool2d(v, 5, 1, 2, count_include_pad=False) for v in (plane, plane.square())
    )
    return (power - mean.square()).clamp(min=0.0)


def structural_error(
    decoded: Tensor, pixels: Tensor, mix: tuple[float, float, float] = LUMA
) -> Tensor:
    """Return a weighted sum [B] of 1 − SSIM of one plane at scales of 1 to 16 pixels.

    Structural similarity at several scales (Wang et al., 2003); a part of the weight is on the
    4-norm, which the worst areas dominate (SSIMULACRA2, Sneyers, 2022).

    Args:
        decoded, pixels: [B, 3, H, W] in units; H and W multiples of 16.
        mix: weights of R, G and B in the plane; luma by default.
    """
    # [B, 3, H, W] -> [B, 1, H, W], in shares of full scale.
    shares = torch.tensor(mix, device=pixels.device)[None, :, None, None] / FULL_SCALE
    plane, original = ((v * shares).sum(1, keepdim=True) for v in (decoded, pixels))

    total = torch.zeros(len(pixels), device=pixels.device)
    for size, mean_weight, worst_weight in STRUCTURE_SCALES:
        # [B, 1, H, W] -> [B, 1, H / 2, W / 2], from each scale to the next.
        if size > 1:
            plane = F.avg_pool2d(plane, 2)
            original = F.avg_pool2d(original, 2)

        # The finest scale would take most of the time, so every other row and column is enough.
        error = _dissimilarity(plane, original, stride=2 if size == 1 else 1)

        # [B, 1, h, w] -> [B]; the small number keeps the slope of the root finite at zero.
        total = total + mean_weight * error.mean((1, 2, 3))
        fourth_power = error.square().square().mean((1, 2, 3))
        total = total + worst_weight * (fourth_power + 1e-8).sqrt().sqrt()
    return total


def _dissimilarity(plane: Tensor, original: Tensor, stride: int) -> Tensor:
    """Return 1 − SSIM of planes [B, 1, H, W] at every position, or every n-th."""
    # [B, 1, H, W] twice -> [B, 2, h, w] -> twice [B, 1, h, w]; the original needs no gradient.
    with torch.no_grad():
        moments = _blur(torch.cat([original, original.square()], 1), stride)
        mean, power = moments.chunk(moments.shape[1], 1)
        variance = (power - mean.square()).clamp(min=0.0)

    # [B, 1, H, W] three times -> [B, 3, h, w], blurred in one go -> three times [B, 1, h, w]
    moments = _blur(torch.cat([plane, plane.square(), plane * original], 1), stride)
    decoded_mean, decoded_power, product = moments.chunk(moments.shape[1], 1)
    decoded_variance = decoded_power - decoded_mean.square()
    covariance = product - decoded_mean * mean

    # Contrast and structure as in SSIM; the means count only by their distance, as in SSIMULACRA2.
    alike = (2.0 * covariance + STRUCTURE_CONTRAST) / (
        variance + decoded_variance + STRUCTURE_CONTRAST
    )
    return F.relu(1.0 - (1.0 - (decoded_mean - mean).square()) * alike)


def _blur(planes: Tensor, stride: int) -> Tensor:
    """Blur planes [B, C, H, W] by a Gaussian cut off at the borders; keep every n-th position."""
    # Band matrices: depthwise convolutions of so few channels are four times slower.
    rows, columns = (_blur_matrix(n, stride).to(planes.device) for n in planes.shape[2:])
    # [h, H] · [B, C, H, W] · [W, w] -> [B, C, h, w]
    return rows @ planes @ columns.T


@functools.lru_cache(maxsize=16)
def _blur_matrix(size: int, stride: int) -> Tensor:
    """Return the matrix [size / stride, rounded up; size] that blurs along one axis."""
    at, of = torch.arange(0, size, stride)[:, None], torch.arange(size)
    taps = torch.exp(-0.5 * ((of - at) / BLUR).square()) * ((of - at).abs() <= BLUR_RADIUS)

    # At the borders, the mean is over the pixels inside the picture.
    return taps / taps.sum(1, keepdim=True)
