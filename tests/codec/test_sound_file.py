"""Voices are read as recordings are: by seeking, in blocks, in the types of soundfile."""

import io
from typing import Any, cast

import numpy as np
import pytest

import luxvox
from luxvox.codec.sound_file import open_speech
from luxvox.errors import TruncatedError, TruncatedWarning, UnsupportedError, UsageError

RATE_HZ = 12_000


def tone(n_samples, channels):
    time = np.arange(n_samples) / RATE_HZ
    bend = time * (1 + time / 90)
    loud = 0.3 * (np.abs(time % 2 - 1) > 0.4)  # with pauses, which come back as noise
    waves = [loud * np.sin(2 * np.pi * (200 + 90 * c) * bend) for c in range(channels)]
    return np.stack(waves, 1).astype(np.float32)


@pytest.fixture(scope="module", params=[1, 2], ids=["mono", "stereo"])
def voice(request):
    """Return a file of 32 s, and what all of it decodes to."""
    samples = tone(32 * RATE_HZ, request.param)
    data = luxvox.compress_speech(samples, RATE_HZ, quality=30, effort=1)
    decoded, _ = luxvox.decompress_speech(data)
    return data, decoded.reshape(len(decoded), -1)


def test_attributes(voice):
    data, decoded = voice
    with open_speech(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels) == (RATE_HZ, decoded.shape[1])
        assert file.frames == len(file) == len(decoded)
        assert file.seekable()
    with pytest.raises(UsageError, match="closed"):
        file.read(1)


def test_wrong_arguments_are_refused(voice):
    file: Any = open_speech(voice[0])
    for call in (
        lambda: file.read(2.5),
        lambda: file.seek("0"),
        lambda: file.seek(0.5),
        lambda: next(file.blocks(None)),
        lambda: open_speech(voice[0], max_seconds=cast(Any, "long")),
    ):
        with pytest.raises(UsageError, match="has to be a"):
            call()
    file.close()
    with pytest.raises(UsageError, match="the file is closed"):
        file.seek(5)


def test_blocks_add_up_to_the_whole(voice):
    data, decoded = voice
    blocks = list(open_speech(data).blocks(7001, "float32", always_2d=True))
    assert {len(block) for block in blocks[:-1]} == {7001}
    assert np.array_equal(np.concatenate(blocks), decoded)


@pytest.mark.parametrize("second", [0, 14.9, 15, 30.5, 31.99])
def test_seeking_finds_the_same_samples(voice, second):
    data, decoded = voice
    file, place = open_speech(data), int(second * RATE_HZ)
    assert file.seek(place) == file.tell() == place
    part = file.read(500, "float32", always_2d=True)
    expected = decoded[place : place + 500]
    assert part.shape == expected.shape
    assert np.allclose(part, expected, atol=1e-4)
    assert file.tell() == place + len(part)


def test_seeking_from_here_and_from_the_end(voice):
    data, decoded = voice
    file = open_speech(data)
    file.read(100)
    assert file.seek(-40, io.SEEK_CUR) == 60
    assert file.seek(-10, io.SEEK_END) == len(decoded) - 10
    assert len(file.read()) == 10
    assert len(file.read()) == 0
    with pytest.raises(UsageError, match="legal: 0"):
        file.seek(-1)


def test_types(voice):
    data, decoded = voice
    file = open_speech(data)
    assert file.read(10).dtype == np.float64
    file.seek(0)
    whole = file.read(1000, "int16", always_2d=True)
    assert np.abs(whole / 32768 - decoded[:1000]).max() <= 0.5 / 32768 + 1e-6
    with pytest.raises(UsageError, match="int8"):
        file.read(1, "int8")


def test_a_single_channel_is_flat(voice):
    data, decoded = voice
    expected = (5,) if decoded.shape[1] == 1 else (5, 2)
    assert open_speech(data).read(5).shape == expected


def test_pictures_are_refused():
    data = luxvox.compress_image(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UnsupportedError, match="a picture"):
        open_speech(data)


def test_cut_files_give_their_whole_segments(voice):
    data, decoded = voice
    with pytest.warns(TruncatedWarning, match="whole segments"):
        file = open_speech(data[: len(data) - 20])
    assert 15 * RATE_HZ < file.frames < len(decoded)
    file.seek(20 * RATE_HZ)
    part = file.read(dtype="float32", always_2d=True)
    assert len(part) == file.frames - 20 * RATE_HZ
    settled = len(part) - RATE_HZ  # the networks look ahead
    expected = decoded[20 * RATE_HZ : 20 * RATE_HZ + settled]
    assert np.allclose(part[:settled], expected, atol=1e-4)
    with pytest.raises(TruncatedError, match="whole"):
        open_speech(data[:60])
