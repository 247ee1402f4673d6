"""What a report shows and plays: a piece of a file by every codec, at the closest bytes.

The yardstick is a middle point of luxvox; of every other codec the point is taken whose file is
nearest in bytes. Pictures are shown as crops where there is most detail, without further loss;
voices as spectrograms and sound where they are loudest.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from luxvox.codec.voice.recordings import to_pcm16
from luxvox.evaluate import peers
from luxvox.evaluate.inputs import PICTURES, VOICE_RATE_HZ, TestFile, read
from luxvox.evaluate.measure import Row, encode_and_decode
from luxvox.evaluate.study import Study

CROP = 256
CLIP_S = 4.0
ORIGINAL = "original"

_GRID = 32
_WINDOW, _HOP = 512, 160
_RANGE_DB = 75.0
# Black to violet to orange to white: brightness grows evenly.
_COLOURS = (
    (0, 0, 4),
    (60, 15, 110),
    (150, 45, 110),
    (225, 90, 60),
    (250, 175, 60),
    (252, 255, 200),
)


@dataclass(frozen=True)
class Tile:
    """One codec's version of a piece.

    Attributes:
        codec: its name; `original` for the original.
        label: how it is called.
        row: what was measured of the whole file; None for the original.
        image: data URI of the crop or the spectrogram.
        sound: data URI of the piece of a voice, or None.
    """

    codec: str
    label: str
    row: Row | None
    image: str
    sound: str | None = None


@dataclass(frozen=True)
class Sample:
    """A file by every codec, the original first."""

    file: str
    tiles: tuple[Tile, ...]


def samples(study: Study, n_files: int, progress: Callable[[float], None]) -> list[Sample]:
    """Show a few files of a study, spread over the list.

    Args:
        study: what was measured.
        n_files: how many files, at most.
        progress: called with the share done, 0 … 1.
    """
    from luxvox.torch_state import one_thread

    n_shown = min(n_files, len(study.test_files))
    if not n_shown:
        return []
    chosen = [study.test_files[k * len(study.test_files) // n_shown] for k in range(n_shown)]
    shown = []
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for test_file in chosen:
            shown.append(_exhibit(study, test_file))
            progress(len(shown) / n_shown)
    return shown


def closest(rows: Sequence[Row], n_bytes: int) -> Row:
    """Return the row nearest in bytes, by their ratio; the smaller of two equally near."""
    return min(rows, key=lambda row: (abs(np.log(max(row.n_bytes, 1) / n_bytes)), row.n_bytes))


def _exhibit(study: Study, test_file: TestFile) -> Sample:
    rows = [
        [row for row in study.rows if (row.file, row.codec) == (test_file.name, codec.name)]
        for codec in study.codecs
    ]
    yardstick = rows[0][len(rows[0]) // 3 if test_file.kind == PICTURES else len(rows[0]) // 2]
    original = read(test_file)
    draw = _crop_at(original) if test_file.kind == PICTURES else _clip_at(original)
    tiles = [Tile(ORIGINAL, ORIGINAL, None, *draw(original))]
    for codec, own_rows in zip(study.codecs, rows, strict=True):
        if codec.name == ORIGINAL:
            continue
        row = closest(own_rows, yardstick.n_bytes)
        _, decoded = encode_and_decode(peers.load(codec.spec), original, row.point)
        tiles.append(Tile(codec.name, codec.label, row, *draw(decoded)))
    return Sample(test_file.name, tuple(tiles))


def _crop_at(original: NDArray[Any]) -> Callable[[NDArray[Any]], tuple[str, None]]:
    top, left = busiest(original.astype(np.float32).mean(axis=2))

    def draw(pixels: NDArray[Any]) -> tuple[str, None]:
        crop = Image.fromarray(pixels[top : top + CROP, left : left + CROP])
        return _png(crop), None

    return draw


def busiest(grey: NDArray[np.float32]) -> tuple[int, int]:
    """Find the crop of a picture [H, W] with most change from pixel to pixel: its top and left."""
    change = np.abs(np.diff(grey, axis=0, append=grey[-1:])) + np.abs(
        np.diff(grey, axis=1, append=grey[:, -1:])
    )
    total = np.pad(change.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = (min(CROP, side) for side in grey.shape)
    tops = range(0, grey.shape[0] - height + 1, _GRID)
    lefts = range(0, grey.shape[1] - width + 1, _GRID)
    return max(
        ((top, left) for top in tops for left in lefts),
        key=lambda corner: (
            total[corner[0] + height, corner[1] + width]
            - total[corner[0], corner[1] + width]
            - total[corner[0] + height, corner[1]]
            + total[corner[0], corner[1]]
        ),
    )


def _clip_at(original: NDArray[Any]) -> Callable[[NDArray[Any]], tuple[str, str]]:
    n_samples = round(CLIP_S * VOICE_RATE_HZ)
    power = np.concatenate([[0.0], np.square(original.astype(np.float64)).cumsum()])
    starts = range(0, max(1, len(original) - n_samples + 1), VOICE_RATE_HZ // 4)
    start = max(starts, key=lambda at: power[min(at + n_samples, len(original))] - power[at])
    peak = float(_magnitudes(original[start : start + n_samples]).max())

    def draw(samples: NDArray[Any]) -> tuple[str, str]:
        piece = samples[start : start + n_samples]
        return _png(_spectrogram(piece, max(peak, 1e-9))), _flac(piece)

    return draw


def _magnitudes(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Return a short-time spectrum's magnitudes [bins, frames]."""
    padded = np.pad(samples.astype(np.float64), (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    return np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)).T


def _spectrogram(samples: NDArray[Any], peak: float) -> Image.Image:
    """Draw a spectrogram of 75 dB below a peak, 0 Hz at the bottom, 8 kHz at the top."""
    level = 20.0 * np.log10(np.maximum(_magnitudes(samples) / peak, 1e-9))
    shade = np.clip(255.0 * (1.0 + level / _RANGE_DB), 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(shade[::-1])).convert("P")
    anchors = np.linspace(0, 255, len(_COLOURS))
    palette = [np.interp(np.arange(256), anchors, plane) for plane in np.transpose(_COLOURS)]
    image.putpalette(np.rint(palette).astype(np.uint8).T.tobytes())
    return image


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return _data_uri("image/png", stream.getvalue())


def _flac(samples: NDArray[Any]) -> str:
    stream = io.BytesIO()
    soundfile.write(stream, to_pcm16(samples), VOICE_RATE_HZ, format="FLAC")
    return _data_uri("audio/flac", stream.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
