"""Quality of a decoded picture against its original: RGB, uint8 [H, W, 3] both."""

from __future__ import annotations

import functools
import importlib
import io
import math
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.evaluate.inputs import PICTURES, TestFile
from luxvox.evaluate.metrics import LARGEST_DB, LibraryMetric, MetricSpec, NotApplicable, Setting

Pixels = NDArray[np.uint8]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG
_SMALLEST_MS_SSIM = 161  # five scales of a window of 11
_SMALLEST_SSIMULACRA2 = 8


def psnr_db(original: Pixels, decoded: Pixels) -> float:
    """Return the PSNR in dB of all samples together, 100 at most; [H, W, C]."""
    return _psnr_db(original.astype(np.float64), decoded.astype(np.float64))


def psnr_y_db(original: Pixels, decoded: Pixels) -> float:
    """Return the PSNR in dB of BT.601 luma, not rounded, 100 at most; [H, W, 3]."""
    return _psnr_db(original @ np.array(_LUMA), decoded @ np.array(_LUMA))


def _psnr_db(original: NDArray[np.float64], decoded: NDArray[np.float64]) -> float:
    mean_square = float(np.mean(np.square(original - decoded)))
    if mean_square == 0.0:
        return LARGEST_DB
    return min(LARGEST_DB, 10.0 * math.log10(255.0**2 / mean_square))


def multiscale_ssim(original: Pixels, decoded: Pixels) -> float:
    """Return MS-SSIM, 0 to 1, mean over the channels; sides above 160.

    Source: Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity for image quality
    assessment", 2003, as implemented in pytorch-msssim.
    """
    from pytorch_msssim import ms_ssim

    return float(ms_ssim(_as_batch(original), _as_batch(decoded), data_range=255))


def ssimulacra2(original: Pixels, decoded: Pixels) -> float:
    """Return SSIMULACRA2 (Sneyers, 2023), 100 for equal pictures, 90 where nobody sees a loss."""
    package = importlib.import_module("ssimulacra2")
    return float(package.compute_ssimulacra2(_as_file(original), _as_file(decoded)))


def flip(original: Pixels, decoded: Pixels) -> float:
    """Return FLIP (Andersson et al., 2020), 0 for equal pictures, at 67 pixels a degree."""
    package = importlib.import_module("flip_evaluator")
    pair = [pixels.astype(np.float32) / 255.0 for pixels in (original, decoded)]
    _, mean, _ = package.evaluate(*pair, "LDR", applyMagma=False)
    return float(mean)


def lpips(original: Pixels, decoded: Pixels) -> float:
    """Return LPIPS (Zhang et al., 2018) with AlexNet, 0 for equal pictures."""
    import torch

    pair = [_as_batch(pixels) / 127.5 - 1.0 for pixels in (original, decoded)]
    with torch.no_grad():
        return float(_lpips_network()(*pair))


@functools.lru_cache(maxsize=1)
def _lpips_network() -> Any:
    try:
        return importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval()
    except OSError as error:
        raise OSError(f"the weights of AlexNet cannot be fetched: {error}") from error


def _as_batch(pixels: Pixels) -> Any:
    import torch

    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]  # [1, C, H, W]


def _as_file(pixels: Pixels) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PPM")
    stream.seek(0)
    return stream


def _psnr(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    return psnr_db(original, decoded)


def _psnr_y(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    return psnr_y_db(original, decoded)


def _ms_ssim(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    _check_sides(original, _SMALLEST_MS_SSIM)
    return multiscale_ssim(original, decoded)


def _ssimulacra2(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    _check_sides(original, _SMALLEST_SSIMULACRA2)
    return ssimulacra2(original, decoded)


def _flip(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    return flip(original, decoded)


def _lpips(original: Pixels, decoded: Pixels, test_file: TestFile, setting: Setting) -> float:
    return lpips(original, decoded)


def _check_sides(pixels: Pixels, min_side: int) -> None:
    if min(pixels.shape[:2]) < min_side:
        raise NotApplicable(f"a side is shorter than {min_side} pixels")


def _numpy_version(setting: Setting) -> str:
    return f"numpy {np.__version__}"


def _ms_ssim_version(setting: Setting) -> str:
    importlib.import_module("pytorch_msssim")
    return f"pytorch-msssim {version('pytorch-msssim')}"


def _ssimulacra2_version(setting: Setting) -> str:
    importlib.import_module("ssimulacra2")
    return f"ssimulacra2 {version('ssimulacra2')}"


def _flip_version(setting: Setting) -> str:
    importlib.import_module("flip_evaluator")
    return f"flip-evaluator {version('flip-evaluator')}"


def _lpips_version(setting: Setting) -> str:
    _lpips_network()
    return f"lpips {version('lpips')}, AlexNet"


METRICS: tuple[MetricSpec, ...] = (
    LibraryMetric("psnr", "PSNR", PICTURES, _psnr, _numpy_version, unit="dB", install=""),
    LibraryMetric("psnr_y", "PSNR of luma", PICTURES, _psnr_y, _numpy_version, "dB", install=""),
    LibraryMetric("ms_ssim", "MS-SSIM", PICTURES, _ms_ssim, _ms_ssim_version, digits=4),
    LibraryMetric("ssimulacra2", "SSIMULACRA2", PICTURES, _ssimulacra2, _ssimulacra2_version),
    LibraryMetric("flip", "FLIP", PICTURES, _flip, _flip_version, is_higher_better=False, digits=4),
    LibraryMetric(
        "lpips",
        "LPIPS",
        PICTURES,
        _lpips,
        _lpips_version,
        is_higher_better=False,
        digits=4,
        install="pip install 'luxvox[lpips]'; its weights come over the network once",
    ),
)
