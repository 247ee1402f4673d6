"""Voices of a given quality, size or bitrate, found with few codings.

The cost of codes under the static tables roughly predicts the size of a file, so a search seldom
codes a recording more than twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from luxvox.codec.quality import COARSEST, Quality
from luxvox.codec.search import Window, find
from luxvox.codec.targets import SIZE_STEP, SIZE_TOLERANCE, Target
from luxvox.codec.voice.encoding import VoiceEncoder
from luxvox.errors import UsageError
from luxvox.timeline import SEGMENT_FRAMES

_MAX_TRIES = 7
_TRY_SHARE = 0.7  # of the remaining work: few searches try more than twice
_SAMPLED_EVERY = 4  # segments; long recordings are tried on a sample first
_BEYOND = Quality(16_000)  # beyond quality 100 soft frames get as many stages as loud ones
_NUMBERS = range(COARSEST.hundredths, _BEYOND.hundredths + 1)
_MAX_SCALE = 3.0


def at_target(encoder: VoiceEncoder, target: Target) -> tuple[bytes, str | None]:
    """Return the file nearest to a target, and a message if it misses the target.

    Args:
        encoder: of the recording.
        target: quality, size in bytes, or bitrate in kbit/s.

    Raises:
        UsageError: if a quality is out of range, or a size is out of reach; the message gives the
            legal range.
    """
    if target.what == "quality":
        return encoder.at(Quality.of(target.value)), None
    if target.what == "size":
        return _at_size(encoder, target.value)
    return _at_bitrate(encoder, target.value)


def _at_bitrate(encoder: VoiceEncoder, bitrate: float) -> tuple[bytes, str | None]:
    """Return the file nearest to a bitrate in kbit/s."""
    to_kbps = 8.0 * encoder.header.sample_rate_hz / encoder.header.n_samples / 1000.0
    data = _nearest(encoder, _around(bitrate / to_kbps, SIZE_TOLERANCE))
    if _around(bitrate / to_kbps, SIZE_TOLERANCE).holds(len(data)):
        return data, None
    request = f"{bitrate:g} kbit/s"
    smallest, *_, largest = (len(file) * to_kbps for file in _reach(encoder, data))
    if smallest <= bitrate <= largest:
        nearest = f"{len(data) * to_kbps:.2f}"
        return data, f"{request} is asked for, the nearest found is {nearest}"
    reach = f"which takes {smallest:.2f} to {largest:.2f}"
    return data, f"{request} is out of reach for this recording, {reach}"


def _at_size(encoder: VoiceEncoder, size: float) -> tuple[bytes, str | None]:
    """Return a file of at most n bytes."""
    low = min((1 - SIZE_TOLERANCE) * size, size - SIZE_STEP + 1)
    window = Window(low, (low + size) / 2, size, is_limit=True)
    data = _nearest(encoder, window)
    if window.holds(len(data)):
        return data, None
    smallest, *_, largest = _reach(encoder, data)
    if not len(smallest) <= size <= len(largest):
        reach = f"which takes {len(smallest)} to {len(largest)}"
        raise UsageError(f"{size:.10g} bytes is out of reach for this recording, {reach}")
    kept = data if len(data) <= size else smallest
    return kept, f"{size:.10g} bytes is asked for, the nearest found is {len(kept)}"


def _reach(encoder: VoiceEncoder, data: bytes) -> list[bytes]:
    """Return a file and the files at both ends of quality, the smallest first."""
    ends = encoder.at(COARSEST, 0.98, 0.01), encoder.at(_BEYOND, 0.99, 0.01)
    return sorted([data, *ends], key=len)


def _nearest(encoder: VoiceEncoder, window: Window) -> bytes:
    """Return the file whose size in bytes lies in a window, or comes nearest to it."""
    encoder.prepare(Quality(_TableForecast(encoder, window.aim).first()))
    forecast = _TableForecast(encoder, window.aim)
    if encoder.n_segments >= 2 * _SAMPLED_EVERY:
        forecast.sample()

    files: dict[int, bytes] = {}
    done = 0.0

    def n_bytes(hundredths: int) -> float:
        nonlocal done
        share = _TRY_SHARE * (1.0 - done)
        files[hundredths] = encoder.at(Quality(hundredths), done, share)
        done += share
        return len(files[hundredths])

    return files[find(n_bytes, window, _NUMBERS, forecast, _MAX_TRIES)]


class _TableForecast:
    """Forecasts sizes from the static tables, corrected by the size of earlier tries.

    Args:
        encoder: of the recording.
        aim: the first size in bytes to forecast.
    """

    def __init__(self, encoder: VoiceEncoder, aim: float) -> None:
        self._encoder, self._aim = encoder, aim
        self._scale = 1.0

    def sample(self) -> None:
        """Code some segments of a long recording, to start closer to the target."""
        n = self._encoder.n_segments
        segments = range(_SAMPLED_EVERY // 2, n, _SAMPLED_EVERY)
        quality = Quality(self.first())
        expected = 0.0
        for segment in segments:
            frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
            expected += self._encoder.expected_code_bits(quality, frames)
        sections = self._encoder.sections(segments, quality)
        self._scale = _ratio(sum(8.0 * len(section.payload) for section in sections), expected)

    def first(self) -> int:
        """Return the lowest quality, in hundredths, at which the first size is expected."""
        return self._quality_for(self._aim)

    def next(self, tried: Mapping[int, float], left: range, aim: float) -> int:
        """Return the quality for a size if codes relate to the tables as in the last try."""
        *_, last = tried
        n_bits = 8.0 * (tried[last] - self._encoder.overhead)
        self._scale = _ratio(n_bits, self._encoder.expected_code_bits(Quality(last)))
        return self._quality_for(aim)

    def _quality_for(self, n_bytes: float) -> int:
        low, high = _NUMBERS[0], _NUMBERS[-1]
        while low < high:
            middle = (low + high) // 2
            bits = self._scale * self._encoder.expected_code_bits(Quality(middle))
            if self._encoder.overhead + bits / 8.0 < n_bytes:
                low = middle + 1
            else:
                high = middle
        return low


def _ratio(n_bits: float, expected: float) -> float:
    """Return the ratio of bits to expected bits, within sane bounds; 1 for silence."""
    if n_bits <= 0.0 or expected <= 0.0:
        return 1.0
    return min(max(n_bits / expected, 1.0 / _MAX_SCALE), _MAX_SCALE)


def _around(aim: float, tolerance: float) -> Window:
    """Return a window around a size in bytes, at least as wide as the steps of sizes."""
    reach = max(aim * tolerance, SIZE_STEP / 2)
    return Window(aim - reach, aim, aim + reach)
