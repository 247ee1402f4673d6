"""Tags of a recording are not kept, and that is said once."""

import io

import numpy as np
import pytest
import soundfile

from luxvox.codec.voice.files.tags import note_on_tags
from luxvox.codec.voice.recordings import open_recording

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
