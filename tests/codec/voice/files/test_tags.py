"""Tags of a recording are not kept, and one note says so."""

import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile

from luxvox.codec.voice.files.tags import note_on_tags
from luxvox.codec.voice.recordings import open_recording
from luxvox.errors import InputError

TONE = (0.1 * np.sin(np.arange(16_000) / 10)).astype("f4")


def file_of(container, coding=None, **tags):
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", 16_000, 1, coding, format=container) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(TONE)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("container", "coding"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
)
def test_tags_left_out_are_noted(container, coding):
    data = file_of(container, coding, title="A title", artist="Somebody")
    assert open_recording(data).notes == ("its tags are not kept: artist, title",)
    assert open_recording(file_of(container, coding)).notes == ()


def test_tags_of_mp3_are_noted():
    mp3 = file_of("MP3")
    for tagged in (b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + mp3, mp3 + b"TAG" + bytes(125)):
        assert "its tags are not kept" in open_recording(tagged).notes
    assert open_recording(mp3).notes == ()


def test_names_of_encoders_are_no_tags():
    assert note_on_tags({"software": "Lavf", "encoder": "LAME", "title": ""}) == ()


def with_chunk(data, name, payload):
    """Put a chunk at the end of a WAV file."""
    data += name + struct.pack("<I", len(payload)) + payload
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    ("name", "words"), [(b"id3 ", "ID3"), (b"_PMX", "XMP"), (b"cue ", "markers")]
)
def test_chunks_with_tags_are_noted(name, words):
    data = with_chunk(file_of("WAV"), name, bytes(40))
    assert open_recording(data).notes == (f"its tags are not kept: {words}",)


@pytest.mark.parametrize("container", ["WAV", "AIFF"])
def test_sound_after_the_sound_is_noted(container):
    data = file_of(container, "PCM_16")
    recording = open_recording(data + data)
    assert recording.n_samples == len(TONE)
    assert recording.notes == ("only the first of 2 parts of its sound is kept",)


def test_sound_in_several_chunks_is_noted():
    recording = open_recording(with_chunk(file_of("WAV"), b"data", bytes(4000)))
    assert recording.n_samples == len(TONE)
    assert recording.notes == ("only the first of 2 parts of its sound is kept",)


ID3 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 72, 1, 1 << 31) + bytes(8)


@pytest.mark.parametrize("tags", [ID3, APE + bytes(40) + APE, APE + bytes(40) + APE + ID3])
def test_flac_with_tags_after_its_end_is_read(tags):
    plain = file_of("FLAC")
    recording = open_recording(plain + tags)
    assert recording.n_samples == open_recording(plain).n_samples
    assert recording.notes == ("its tags are not kept",)


@pytest.mark.parametrize("size", [0, 5, 8])
def test_aiff_whose_sound_lacks_its_header_is_refused(size):
    data = file_of("AIFF", "PCM_16")
    start = data.index(b"SSND") + 8
    with pytest.raises(InputError):
        open_recording(data[: start + size])


def test_mp3_in_a_wav_writes_nothing_to_stderr(capfd):
    mp3 = file_of("MP3", "MPEG_LAYER_III")
    layout = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16_000, 4000, 1, 0, 12, 1, 2, 1152, 1, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data"
    damaged = mp3[: len(mp3) // 2] + bytes(500) + mp3[len(mp3) // 2 :]
    body += struct.pack("<I", len(damaged)) + damaged
    with contextlib.suppress(InputError):
        open_recording(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert capfd.readouterr().err == ""
