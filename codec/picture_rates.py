"""Pictures of a wanted size, rate or PSNR, found with few codings.

The first tries choose codes by static tables alone, which is fast and takes about the bytes that
the wanted effort takes. From there the search goes on with that effort; within a few units of
quality its latents are rescaled, so that a try costs one choice and one coding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.advance import Advance, silent
from luxvox.codec.effort import Choice
from luxvox.codec.picture_decoding import drawn
from luxvox.codec.picture_encoding import CodedPicture, PictureEncoder
from luxvox.codec.search import (
    BEYOND,
    COARSEST,
    FINEST,
    Axis,
    Window,
    find,
    fineness_axis,
    quality_and_worth,
)
from luxvox.codec.targets import PSNR_TOLERANCE_DB, SIZE_TOLERANCE, Target
from luxvox.errors import UsageError
from luxvox.models.catalogue import PictureCodec

# Bits a pixel and PSNR of a typical photograph, by quality.
_QUALITIES = (1.0, 16.0, 28.0, 40.0, 50.0, 60.0, 70.0, 80.0, 100.0)
_TYPICAL_BPP = (0.1, 0.19, 0.3, 0.45, 0.62, 0.84, 1.09, 1.4, 2.1)
_TYPICAL_PSNR_DB = (25.6, 27.5, 29.1, 30.8, 32.3, 33.7, 35.2, 36.5, 39.0)
_LOG_BYTES_SLOPE = 0.0003  # a hundredth of quality
_PSNR_SLOPE_DB = 0.0014
_WORTHS = 200  # steps in which the worth of a bit is halved or doubled
_LOG_BYTES_OF_WORTH, _PSNR_OF_WORTH_DB = 0.0006, 0.0015  # of one of them
_COARSE_TRIES = 6
_COARSE_TOLERANCE = 0.06  # of the tries by static tables


def at_target(
    encoder: PictureEncoder,
    pixels: NDArray[np.uint8],
    target: Target,
    choices: tuple[Choice, ...],
    tell: tuple[PictureCodec, Advance],
) -> bytes:
    """Return the file that comes nearest to a target.

    Args:
        encoder: of the picture.
        pixels: uint8 [H, W, 1 or 3].
        target: size in bytes, bits a pixel, or PSNR in dB over all samples of the picture.
        choices: of the wanted effort.
        tell: codec that draws pictures, for PSNR; and who is told of the work done.

    Raises:
        UsageError: if the target cannot be reached; the message says what can.
    """
    codec, advance = tell
    search = _Search(encoder, target, codec, pixels)
    axis = fineness_axis(search.first, search.slope)
    first = find(search.measure(choices[:1]), search.coarse, axis, _COARSE_TRIES)
    advance(0.3)
    chosen = find(search.measure(choices), search.window, replace(axis, first=first))
    advance(0.7)
    value, data = search.tried(chosen, choices)
    if search.window.holds(value):
        return data
    search.refuse_if_out_of_reach(chosen, choices)
    # Small pictures take few different sizes, and corrections of latents may go to and fro.
    find(search.measure(choices, chosen), search.window, search.worths)
    return search.best(choices)


class _Search:
    """What is searched for, and what was tried."""

    def __init__(
        self,
        encoder: PictureEncoder,
        target: Target,
        codec: PictureCodec,
        pixels: NDArray[np.uint8],
    ) -> None:
        self._encoder, self._codec, self._pixels = encoder, codec, pixels
        self._target = target
        self._tried: dict[tuple[int, int, tuple[Choice, ...]], tuple[float, bytes]] = {}
        n_pixels = pixels.shape[0] * pixels.shape[1]
        if target.what == "psnr":
            self.window = _around(target.value, PSNR_TOLERANCE_DB)
            self.coarse = _around(target.value, 3 * PSNR_TOLERANCE_DB)
            self.slope = _PSNR_SLOPE_DB
            self.worths = Axis(-_WORTHS, _WORTHS, 0, _PSNR_OF_WORTH_DB)
            quality = np.interp(target.value, _TYPICAL_PSNR_DB, _QUALITIES)
        else:
            n_bytes = target.value if target.what == "size" else target.value * n_pixels / 8.0
            self.window = _of_bytes(n_bytes, at_most=target.what == "size")
            self.coarse = _around(math.log(n_bytes), _COARSE_TOLERANCE)
            self.slope = _LOG_BYTES_SLOPE
            self.worths = Axis(-_WORTHS, _WORTHS, 0, _LOG_BYTES_OF_WORTH)
            rate = 8.0 * n_bytes / n_pixels
            quality = np.interp(math.log(rate), np.log(_TYPICAL_BPP), _QUALITIES)
        self.first = round(100.0 * float(quality))

    def measure(
        self, choices: tuple[Choice, ...], fineness: int | None = None
    ) -> Callable[[int], float]:
        """Return the measure of a fineness, or of a bit's worth at a given one."""
        if fineness is None:
            return lambda number: self.tried(number, choices)[0]
        return lambda number: self.tried(fineness, choices, number)[0]

    def tried(
        self, fineness: int, choices: tuple[Choice, ...], finer: int = 0
    ) -> tuple[float, bytes]:
        """Return the measure and the file at a fineness and a bit's worth, coded at most once."""
        key = fineness, finer, choices
        if key not in self._tried:
            centi, worth = quality_and_worth(fineness)
            worth *= 2.0 ** (-finer / _WORTHS)
            coded = self._encoder.at(centi, choices, worth, silent)
            self._tried[key] = self._value(coded), coded.data
        return self._tried[key]

    def best(self, choices: tuple[Choice, ...]) -> bytes:
        """Return the best file tried; one above a size that was asked for only if all are."""

        def fault(value: float) -> tuple[bool, float]:
            too_large = self._target.what == "size" and value > self.window.high
            return too_large, abs(value - self.window.aim)

        tried = [result for key, result in self._tried.items() if key[2] == choices]
        return min(tried, key=lambda result: fault(result[0]))[1]

    def _value(self, coded: CodedPicture) -> float:
        """Return what is searched for: the logarithm of bytes, or PSNR in dB."""
        if self._target.what != "psnr":
            return math.log(len(coded.data))
        decoded = drawn(self._codec, coded.header, coded.codes)
        error = np.square(decoded.astype(np.float32) - self._pixels).mean(dtype=np.float64)
        return 10.0 * math.log10(255.0**2 / max(float(error), 1e-6))

    def refuse_if_out_of_reach(self, fineness: int, choices: tuple[Choice, ...]) -> None:
        """Raise UsageError if the nearest fineness is one of the ends."""
        ends = COARSEST - BEYOND, FINEST + BEYOND
        if fineness not in ends:
            return
        low, high = (self.tried(end, choices)[0] for end in ends)
        raise UsageError(
            f"{self._said()} is out of reach for this picture, {self._range(low, high)}"
        )

    def _said(self) -> str:
        unit = {"psnr": " dB", "size": " bytes", "bpp": " bits a pixel"}[self._target.what]
        return f"{self._target.value:.10g}{unit}"

    def _range(self, low: float, high: float) -> str:
        if self._target.what == "psnr":
            return f"which reaches {low:.2f} to {high:.2f}"
        low, high = math.exp(low), math.exp(high)
        if self._target.what == "size":
            return f"which takes {low:.0f} to {high:.0f}"
        to_bpp = 8.0 / (self._pixels.shape[0] * self._pixels.shape[1])
        return f"which takes {low * to_bpp:.3f} to {high * to_bpp:.3f}"


def _around(aim: float, tolerance: float) -> Window:
    return Window(aim - tolerance, aim, aim + tolerance)


def _of_bytes(n_bytes: float, at_most: bool) -> Window:
    """Return the window of log-bytes; never above a size that was asked for."""
    low, high = math.log1p(-SIZE_TOLERANCE), 0.0 if at_most else math.log1p(SIZE_TOLERANCE)
    aim = math.log(n_bytes)
    return Window(aim + low, aim + (low + high) / 2.0, aim + high)
