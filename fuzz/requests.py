"""What is asked of the encoders: small pictures and recordings, and rates, sizes or PSNRs of them.

A request is written as bytes, like the inputs of all targets. Many are illegal or cannot be met;
what comes without a warning has to be what was requested.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from random import Random

import numpy as np
from numpy.typing import NDArray

import luxvox
from luxvox.errors import LossWarning, TargetWarning
from luxvox.models.cards import SHIPPED, use_weights

_REQUEST = struct.Struct("<BBBBBd")  # what, effort, content, two sizes; the value
_EFFORTS = (1, 1, 1, 2, 3, 4, 5, 6, 9)
_VALUES = (0.0, -1.0, 5e-324, 1e308, float("inf"), float("-inf"), float("nan"), 1.0, 100.0)
_OF_PICTURES = ("bpp", "size", "psnr", "quality")
_OF_VOICES = ("bitrate", "size", "quality")
_RATES_HZ = (8000, 16_000, 16_000, 22_050, 44_100, 96_000, 7999, 96_001)


def picture_request(_: tuple[bytes, ...], random: Random) -> bytes:
    """Spell what is requested of a picture: mostly something near what can be had."""
    target, content, height, width = random.randbytes(4)
    n_bytes = 40 + 1200 * random.random() ** 2
    n_pixels = (1 + height % 24) * (1 + width % 24)
    psnr, quality = random.uniform(15, 45), random.uniform(0, 110)
    likely = (8 * n_bytes / n_pixels, n_bytes, psnr, quality)[target % 4]
    return _REQUEST.pack(
        target, random.choice(_EFFORTS), content, height, width, _value(likely, random)
    )


def voice_request(_: tuple[bytes, ...], random: Random) -> bytes:
    """Spell what is requested of a recording."""
    target, content, length, form = random.randbytes(4)
    n_bytes = 30 + (1 + 2 * length) * random.random() ** 2
    likely = (8 * n_bytes / (2.5 * length + 1), n_bytes, random.uniform(0, 110))[target % 3]
    return _REQUEST.pack(
        target, random.choice(_EFFORTS), content, length, form, _value(likely, random)
    )


def _value(likely: float, random: Random) -> float:
    """Return a likely value, or any number, or none."""
    kind = random.random()
    if kind < 0.1:
        return random.choice(_VALUES)
    drawn: float = struct.unpack("<d", random.randbytes(8))[0]
    return drawn if kind < 0.15 else likely


def compress_picture(data: bytes) -> None:
    """Compress a small picture as requested; check the file against the request, and decode it.

    Tiny weights, which are quicker, draw nothing like a picture: only a quality can be asked of
    them, and three of four times it is.
    """
    target, effort, content, width, height, value = _REQUEST.unpack(data[: _REQUEST.size])
    name = _OF_PICTURES[target % 4]
    shape = (1 + height % 24, 1 + width % 24, (1, 3, 3, 4)[height % 4])
    pixels = np.round(255 * _draw_values(content, shape)).astype(np.uint8)
    is_tiny = name == "quality" and content // 6 % 4
    weights = contextlib.nullcontext() if is_tiny else use_weights(SHIPPED)
    with weights, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        file = luxvox.compress_image(pixels, **{name: value}, effort=effort)
        decoded = np.asarray(luxvox.decompress_image(file)).reshape(shape)
    if name == "size":
        assert len(file) <= value
    if _is_all_well(caught):
        n_pixels = shape[0] * shape[1]
        rates = {"bpp": value * n_pixels / 8, "size": value, "quality": len(file)}
        colours = (slice(None), slice(None), slice(3))
        error = np.square(decoded[colours].astype(float) - pixels[colours]).mean()
        if name != "psnr":
            assert _is_near(len(file), rates[name], at_most=name == "size")
        else:
            assert abs(10 * np.log10(255**2 / max(error, 1e-6)) - value) < 0.101


def compress_voice(data: bytes) -> None:
    """Compress a short recording as requested; check the file against the request, and decode it.

    Tiny weights have no codes for such sounds, so the shipped ones are taken.
    """
    target, effort, content, length, form, value = _REQUEST.unpack(data[: _REQUEST.size])
    name, rate_hz = _OF_VOICES[target % 3], _RATES_HZ[form % 8]
    shape = (1 + rate_hz * length // 400, (1, 2)[form // 8 % 2])
    samples = (2 * _draw_values(content, shape) - 1).astype(
        (np.float32, np.float64)[form // 16 % 2]
    )
    with use_weights(SHIPPED), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        file = luxvox.compress_speech(samples, rate_hz, **{name: value}, effort=effort)
        decoded, decoded_hz = luxvox.decompress_speech(file)
    assert (decoded.reshape(len(decoded), -1).shape, decoded_hz) == (shape, rate_hz)
    assert np.isfinite(decoded).all()
    if name == "size":
        assert len(file) <= value
    if _is_all_well(caught) and name != "quality":
        n_bytes = value if name == "size" else value * 125 * shape[0] / rate_hz
        assert _is_near(len(file), n_bytes, at_most=name == "size")


def _is_all_well(caught: list[warnings.WarningMessage]) -> bool:
    """Return whether a request was met; warnings of any other kind are crashes."""
    assert all(issubclass(warning.category, TargetWarning | LossWarning) for warning in caught), (
        caught
    )
    return not any(issubclass(warning.category, TargetWarning) for warning in caught)


def _is_near(n_bytes: int, aim: float, at_most: bool) -> bool:
    """Return whether a size is within 2 %, or the words of 4 bytes that coders write."""
    if at_most:
        return min(0.98 * aim, aim - 3) <= n_bytes + 1e-6
    return abs(n_bytes - aim) <= max(0.02 * aim, 2) + 1e-6


def _draw_values(content: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Make values of 0 … 1: flat, noise, extremes, a wave, a step, or mostly nothing."""
    generator = np.random.default_rng(content)
    noise = generator.random(shape)
    if content % 6 == 0:
        return np.full(shape, content / 255)
    if content % 6 == 1:
        return noise
    if content % 6 == 2:
        return np.round(noise)
    ramp = np.linspace(0, 1, noise.size).reshape(shape)
    if content % 6 == 3:
        return 0.5 + 0.5 * np.sin(content * 30 * ramp)
    return np.round(ramp) if content % 6 == 4 else 0.5 + 0.5 * noise * (ramp > 0.8)
