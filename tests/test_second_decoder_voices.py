"""The second decoder reads exactly the same codes of voices as luxvox."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import luxvox
from luxvox.models.voice.weights import voice_codec
from luxvox.tests.second_decoder import Cut, Refused, read_voice, read_voice_codes

ROOT = Path(__file__).resolve().parent.parent


def voice(seconds, channels=1, rate=16_000):
    t = np.arange(int(seconds * rate)) / rate
    glide = 2 * np.pi * (120 * t + 15 * np.sin(2 * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 20)) * (np.sin(5 * t) > -0.3)
    noise = np.random.default_rng(0).standard_normal(len(t))
    columns = [(0.1 - 0.04 * c) * sound + 0.002 * noise for c in range(channels)]
    return np.stack(columns, 1).astype(np.float32)


@pytest.fixture(scope="module")
def tensors():
    return load_file(ROOT / "weights" / f"{voice_codec().card.id}.safetensors")


def read(data, tensors):
    return read_voice_codes(data, tensors, voice_codec().model.config.first_stages)


@pytest.mark.parametrize(
    ("seconds", "channels", "rate", "quality"), [(0.6, 1, 16_000, 70), (0.4, 2, 44_100, 30)]
)
@pytest.mark.filterwarnings("ignore:voices are kept up to 8 kHz")
def test_both_read_the_same_codes(tensors, seconds, channels, rate, quality):
    data = luxvox.compress_speech(voice(seconds, channels, rate), rate, quality=quality)
    codes = luxvox.codes(data)
    assert codes.any()
    ours = codes[None] if channels == 1 else codes
    theirs = read(data, tensors)
    assert len(theirs) == channels
    for our_codes, their_codes in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our_codes, their_codes)


def test_a_rate_that_is_spelt_out():
    data = luxvox.compress_speech(voice(0.1, 1, 12_345), 12_345, quality=10)
    assert read_voice(data).n_frames == luxvox.codes(data).shape[1]


def test_a_cut_voice_gives_its_whole_segments(tensors):
    samples = np.concatenate([voice(0.3)[:, 0], np.zeros(15 * 16_000, np.float32)])
    data = luxvox.compress_speech(samples, 16_000, quality=20)
    cut = data[:-1]
    with pytest.warns(luxvox.TruncatedWarning):
        codes = luxvox.codes(cut)
    np.testing.assert_array_equal(read(cut, tensors)[0], codes)
    with pytest.raises(Cut):
        read_voice(data[:28])


def test_altered_bytes_are_refused(tensors):
    data = bytearray(luxvox.compress_speech(voice(0.2), 16_000, quality=60))
    data[-3] ^= 4
    with pytest.raises(Refused, match="altered"):
        read(bytes(data), tensors)
