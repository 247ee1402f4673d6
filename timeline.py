"""How a voice's time is cut: samples at 16 kHz, frames of 320, segments of 750 (FORMAT.md)."""

from __future__ import annotations

from typing import Final

CODED_RATE_HZ: Final = 16_000
FRAME_SAMPLES: Final = 320
SEGMENT_FRAMES: Final = 750
PARTS: Final = 2  # code sections that a channel of a segment has


def coded_length(n_samples: int, sample_rate_hz: int) -> int:
    """Return how many samples at 16 kHz `n` at another rate become."""
    return -(-n_samples * CODED_RATE_HZ // sample_rate_hz)


def n_frames(n_samples: int, sample_rate_hz: int = CODED_RATE_HZ) -> int:
    """Return the number of frames that cover n samples."""
    return -(-coded_length(n_samples, sample_rate_hz) // FRAME_SAMPLES) + 1


def n_segments(n_samples: int, sample_rate_hz: int) -> int:
    """Return the number of segments of a recording."""
    return -(-n_frames(n_samples, sample_rate_hz) // SEGMENT_FRAMES)


def whole_segments(n_code_sections: int, channels: int) -> int:
    """Return how many segments have at least the first section of every channel."""
    period = PARTS * channels
    return n_code_sections // period + (n_code_sections % period > period - PARTS)


def samples_of_segments(n_whole: int, sample_rate_hz: int) -> int:
    """Return how many samples of a longer recording n whole segments give."""
    return (n_whole * SEGMENT_FRAMES - 1) * FRAME_SAMPLES * sample_rate_hz // CODED_RATE_HZ
