"""Pages that the library skips in an Ogg file are noticed by their checksums and numbers."""

import io

import numpy as np
import pytest
import soundfile

from luxvox.codec.voice.files.ogg_links import find_links
from luxvox.codec.voice.recordings import open_recording

SOUND = np.random.default_rng(0).normal(0, 0.1, 64_000).astype("f4")


def pages_of(data):
    pages, position = [], 0
    while position < len(data):
        n = data[position + 26]
        size = 27 + n + sum(data[position + 27 : position + 27 + n])
        pages.append(data[position : position + size])
        position += size
    return pages


@pytest.fixture(scope="module")
def pages():
    stream = io.BytesIO()
    soundfile.write(stream, SOUND, 16_000, "OPUS", format="OGG")
    return pages_of(stream.getvalue())


def note_on(data):
    return find_links(io.BytesIO(data), len(data)).note


def test_a_whole_file_has_no_note(pages):
    data = b"".join(pages)
    assert len(pages) > 4
    assert note_on(data) is None
    assert note_on(data + data) is None
    assert open_recording(data).notes == ()


@pytest.mark.parametrize("coding", ["VORBIS", "OPUS"])
def test_any_altered_byte_is_noticed(coding):
    stream = io.BytesIO()
    soundfile.write(stream, SOUND, 16_000, coding, format="OGG")
    data = bytearray(stream.getvalue())
    for position in range(100, len(data), 999):
        data[position] ^= 1
        assert note_on(bytes(data)) is not None
        data[position] ^= 1


def test_pages_that_are_missing_are_noticed(pages):
    assert "missing in 1 place" in str(note_on(b"".join(pages[:3] + pages[4:])))
    without_end = b"".join(pages[:-1])
    assert "no end" in str(note_on(without_end))
    assert "no end" in str(note_on(without_end + b"".join(pages)))
    assert "no end" in open_recording(without_end).notes[0]
