"""Pictures of a given size, rate or PSNR, found with few codings.

Within a few units of quality, latents are rescaled, so that a try costs one choice and one coding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.picture.decoding import Canvas, draw_codes
from luxvox.codec.picture.encoding import CodedPicture, PictureEncoder
from luxvox.codec.picture.plateau import (
    best_up_to,
    fixed_qualities,
    has_plateau,
    is_small,
    lower_qualities,
)
from luxvox.codec.quality import FINEST, Quality
from luxvox.codec.search import (
    PICTURE_NUMBERS,
    LineForecast,
    Window,
    find,
    quality_and_lambda_factor,
)
from luxvox.codec.targets import PSNR_TOLERANCE_DB, SIZE_STEP, SIZE_TOLERANCE, Target
from luxvox.errors import UsageError
from luxvox.models.picture.conditions import quality_to_step
from luxvox.models.picture.weights import PictureCodec
from luxvox.progress import Progress, part_of

# Bits per pixel and PSNR of a typical photograph, by quality.
_QUALITIES = (1.0, 12.0, 28.0, 44.0, 60.0, 74.0, 100.0)
_TYPICAL_BPP = (0.08, 0.13, 0.28, 0.58, 1.1, 1.8, 4.0)
_TYPICAL_PSNR_DB = (25.0, 26.9, 29.6, 32.8, 36.4, 39.7, 45.5)
_LOG_BYTES_SLOPE = 0.0004  # a hundredth of quality
_PSNR_SLOPE_DB = 0.0021
_LAMBDA_STEPS = 200  # over which λ is halved or doubled
_LOG_BYTES_OF_LAMBDA, _PSNR_OF_LAMBDA_DB = 0.0006, 0.0015  # of one of them
_ASIDE = 40  # hundredths of quality between the numbers where λ is searched
_MAX_BYTES, _MAX_DB = 2.0**40, 200.0  # no search needs to look beyond these
_LAMBDA_TRIES = 10
_TRY_SHARE = 0.4  # of the remaining work, as far as anyone can tell before a search ends
_FEW_BYTES = 256  # up to here smooth pictures have few sizes, and errors by chance
_CLIMB = 25  # hundredths of quality, which take about a hundredth of the bytes


def at_target(
    encoder: PictureEncoder, target: Target, progress: Progress
) -> tuple[bytes, str | None]:
    """Return the file that comes nearest to a target, and how it misses the target, if it does.

    Args:
        encoder: of the picture.
        target: quality, size in bytes, bits per pixel, or PSNR in dB over all samples.
        progress: called with the share of the work done.

    Raises:
        UsageError: if the target cannot be met; the message says what can.
    """
    if target.what == "quality":
        return _at_quality(encoder, Quality.of(target.value), progress), None
    search = _Search(encoder, target, progress)
    chosen = find(search.measure, search.window, PICTURE_NUMBERS, search.forecast)
    kept, missed = _nearest(search, chosen)
    return search.best_instead_of(kept, missed)


def _nearest(search: _Search, chosen: int) -> tuple[_Try, str | None]:
    """Return the file that comes nearest to a target, varying λ where no quality meets it.

    Args:
        search: for the target.
        chosen: the number that comes nearest.
    """
    search.try_lower(chosen)
    if search.window.holds(search.try_number(chosen).value):
        return search.largest_near(chosen), None
    if (finest := search.finest_within()) is not None:
        return finest
    search.refuse_if_out_of_reach()

    # Small pictures take few different sizes; λ is searched near the quality found, too.
    low, high = PICTURE_NUMBERS[0], PICTURE_NUMBERS[-1]
    for number in (chosen, chosen - _ASIDE, chosen + _ASIDE):
        found = search.with_finer_lambda(min(max(number, low), high))
        if search.window.holds(found.value):
            return found, None
    found = search.best()
    return found, search.miss(found.value)


def _at_quality(encoder: PictureEncoder, quality: Quality, progress: Progress) -> bytes:
    """Return the file at a quality, or at a lower one that costs less in error and bits."""
    is_plain = not has_plateau(encoder.pixels)
    coded = encoder.at(quality, progress=progress, is_last=is_plain)
    if is_plain:
        return coded.data
    step = quality_to_step(quality.value, encoder.codec.model.config)
    n_samples = 3 * encoder.pixels.shape[0] * encoder.pixels.shape[1]  # grey is coded as RGB
    is_exact = is_small(encoder.pixels)

    def cost(candidate: CodedPicture) -> float:
        """Return squared steps of error plus what the bits are worth, as in the choice of codes."""
        error = squared_error(encoder.codec, encoder.pixels, candidate) * n_samples
        return float(error / step**2 + encoder.work.lambda_ * 8.0 * len(candidate.data))

    return best_up_to(coded, lambda lower: encoder.at(lower, is_exact=is_exact), cost).data


def squared_error(codec: PictureCodec, pixels: NDArray[np.uint8], coded: CodedPicture) -> float:
    """Return the mean squared error of a coded picture, in levels."""
    decoded = draw_codes(codec, Canvas.of(coded.header), coded.codes)
    return float(np.square(decoded.astype(np.float32) - pixels).mean(dtype=np.float64))


@dataclass(frozen=True)
class _Try:
    """A file that was tried.

    Attributes:
        value: what is searched for: the logarithm of bytes, or PSNR in dB.
        data: the file.
        error: mean squared error in levels; 0 where it is not needed.
    """

    value: float
    data: bytes
    error: float


_ENDS = PICTURE_NUMBERS[0], PICTURE_NUMBERS[-1]


class _Search:
    """What is searched for, and what was tried."""

    def __init__(self, encoder: PictureEncoder, target: Target, progress: Progress) -> None:
        self._encoder = encoder
        self._progress, self._done = progress, 0.0
        self._codec, self._pixels = encoder.codec, encoder.pixels
        self._target = target
        self._tried: dict[tuple[int, int], _Try] = {}
        self._has_plateau = has_plateau(encoder.pixels)
        self._fixed = [quality.hundredths for quality in fixed_qualities(encoder.pixels)]
        n_pixels = encoder.pixels.shape[0] * encoder.pixels.shape[1]
        if target.what == "psnr":
            aim = min(target.value, _MAX_DB)
            self.window = _around(aim, PSNR_TOLERANCE_DB)
            slope, self._lambda_slope = _PSNR_SLOPE_DB, _PSNR_OF_LAMBDA_DB
            quality = np.interp(aim, _TYPICAL_PSNR_DB, _QUALITIES)
        else:
            n_bytes = target.value if target.what == "size" else target.value * n_pixels / 8.0
            n_bytes = min(max(n_bytes, 1.0), _MAX_BYTES)
            self.window = _of_bytes(n_bytes, at_most=target.what == "size")
            slope, self._lambda_slope = _LOG_BYTES_SLOPE, _LOG_BYTES_OF_LAMBDA
            rate = 8.0 * n_bytes / n_pixels
            quality = np.interp(math.log(rate), np.log(_TYPICAL_BPP), _QUALITIES)
        self.forecast = LineForecast(round(100.0 * float(quality)), slope)

    def measure(self, number: int) -> float:
        """Return the value of the file at a number."""
        return self.try_number(number).value

    def with_finer_lambda(self, number: int) -> _Try:
        """Return the file that fits best at a number, λ varied by up to 2."""
        steps = range(-_LAMBDA_STEPS, _LAMBDA_STEPS + 1)
        forecast = LineForecast(0, self._lambda_slope)

        def measure(finer: int) -> float:
            return self.try_number(number, finer).value

        finer = find(measure, self.window, steps, forecast, _LAMBDA_TRIES)
        return self.try_number(number, finer)

    def try_number(self, number: int, finer: int = 0) -> _Try:
        """Return the file at a number and a finer λ, coded at most once."""
        key = number, finer
        if key not in self._tried:
            quality, factor = quality_and_lambda_factor(number)
            factor *= 2.0 ** (-finer / _LAMBDA_STEPS)
            is_exact = number in self._fixed and finer == 0
            share = _TRY_SHARE * (1.0 - self._done)
            progress = part_of(self._progress, self._done, share)
            coded = self._encoder.at(quality, factor, is_exact=is_exact, progress=progress)
            self._done += share
            self._tried[key] = self._measure_error(coded)
        return self._tried[key]

    def try_lower(self, number: int) -> None:
        """Try what may beat a number, for pictures that more bits do not improve."""
        if self._has_plateau:
            n_pixels = self._pixels.shape[0] * self._pixels.shape[1]
            lower = [quality.hundredths for quality in lower_qualities(Quality(number), n_pixels)]
            for hundredths in self._fixed or lower:
                self.try_number(hundredths)

    def largest_near(self, number: int) -> _Try:
        """Return the file of a number that meets the target, or of a finer one that does, too.

        Of the files within a size, the largest is wanted: otherwise a search for a slightly larger
        size could end at a slightly smaller file.
        """
        found = self.try_number(number)
        if self._target.what != "size":
            return found
        for finer in range(number + _CLIMB, min(number + 4 * _CLIMB, FINEST.hundredths), _CLIMB):
            larger = self.try_number(finer)
            if larger.value > self.window.high:
                break
            found = max(found, larger, key=lambda attempt: attempt.value)
        return found

    def best_instead_of(self, kept: _Try, missed: str | None) -> tuple[bytes, str | None]:
        """Return a better file that is no larger, where the picture has a plateau.

        Args:
            kept: the file that comes nearest to the target.
            missed: how it misses the target, if it does.
        """
        is_psnr = self._target.what == "psnr"
        if is_psnr:
            valid = [
                attempt for attempt in self._tried.values() if attempt.value >= self.window.low
            ]
            best = min(valid, key=lambda attempt: (len(attempt.data), attempt.error), default=kept)
        else:
            is_tiny = self.window.high <= math.log(_FEW_BYTES)
            fixed = [self.try_number(number) for number in self._fixed] if is_tiny else []
            tries = fixed or self._tried.values()
            valid = [attempt for attempt in tries if attempt.value <= self.window.high]
            best = min(valid, key=lambda attempt: (attempt.error, len(attempt.data)), default=kept)
        if not self._has_plateau or best.data == kept.data:
            return kept.data, missed
        if self.window.holds(best.value):
            return best.data, None
        if best.error > kept.error and not is_psnr:
            return best.data, self.miss(best.value)
        why = "takes fewer bytes" if is_psnr else "is at least as good"
        return (
            best.data,
            f"{self._format_target()} is asked for, but {self._format_value(best.value)} {why}",
        )

    def best(self) -> _Try:
        """Return the best file tried; one above a size that was asked for only if all are."""
        return min(self._tried.values(), key=lambda attempt: self.window.fault(attempt.value))

    def _measure_error(self, coded: CodedPicture) -> _Try:
        is_psnr = self._target.what == "psnr"
        is_compared = is_psnr or self._has_plateau
        error = squared_error(self._codec, self._pixels, coded) if is_compared else 0.0
        psnr_db = 10.0 * math.log10(255.0**2 / max(error, 1e-6))
        return _Try(psnr_db if is_psnr else math.log(len(coded.data)), coded.data, error)

    def finest_within(self) -> tuple[_Try, str] | None:
        """Return the finest file of all, and a note, if the size is above all that were found."""
        if self._target.what != "size":
            return None
        finest = self.try_number(PICTURE_NUMBERS[-1])
        if not self.window.low > finest.value:
            return None
        return (
            finest,
            f"{self._format_target()} are more than this picture takes: {len(finest.data)}",
        )

    def refuse_if_out_of_reach(self) -> None:
        """Raise UsageError if the target lies beyond all that was tried, both ends included."""
        for number in _ENDS:
            self.try_number(number)
        values = [attempt.value for attempt in self._tried.values()]
        if self.window.high < min(values) or self.window.low > max(values):
            low, high = (self._format_value(self._exact(number)) for number in _ENDS)
            verb = "reaches" if self._target.what == "psnr" else "takes"
            reach = f"which {verb} {low} to {high}"
            n_bytes = self._encoder.metadata_bytes
            if n_bytes and self._target.what != "psnr":
                reach += f", {n_bytes} bytes of it metadata (strip leaves them out)"
            raise UsageError(f"{self._format_target()} is out of reach for this picture, {reach}")

    def _exact(self, number: int) -> float:
        """Return the value of the file at a number, whatever was tried before."""
        quality, factor = quality_and_lambda_factor(number)
        return self._measure_error(self._encoder.at(quality, factor, is_exact=True)).value

    def miss(self, value: float) -> str:
        """Say that a target was missed, and by how much."""
        found = self._format_value(value)
        return f"{self._format_target()} is asked for, the nearest found is {found}"

    def _format_target(self) -> str:
        unit = {"psnr": " dB", "size": " bytes", "bpp": " bits a pixel"}[self._target.what]
        return f"{self._target.value:.10g}{unit}"

    def _format_value(self, value: float) -> str:
        if self._target.what == "psnr":
            return f"{value:.2f}"
        if self._target.what == "size":
            return f"{math.exp(value):.0f}"
        return f"{8.0 * math.exp(value) / (self._pixels.shape[0] * self._pixels.shape[1]):.3f}"


def _around(aim: float, tolerance: float) -> Window:
    return Window(aim - tolerance, aim, aim + tolerance)


def _of_bytes(n_bytes: float, at_most: bool) -> Window:
    """Return the window of log-bytes; never above a size that was asked for.

    It is at least as wide as the steps in which sizes come.
    """
    min_tolerance = SIZE_STEP - 1.0 if at_most else SIZE_STEP / 2.0
    tolerance = max(SIZE_TOLERANCE * n_bytes, min_tolerance)
    low = math.log(max(n_bytes - tolerance, n_bytes / 2.0))
    high = math.log(n_bytes if at_most else n_bytes + tolerance)
    return Window(low, (low + high) / 2.0, high, is_limit=at_most)
