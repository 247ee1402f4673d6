"""Files are told apart by content, read the same for every codec, and identified by their bytes."""

import numpy as np
import pytest
import soundfile
from PIL import Image

from luxvox.errors import UsageError
from luxvox.evaluate.inputs import find, picture_paths, rate_of, read
from luxvox.tests.evaluate.miniature import speech


def test_content_decides_and_not_the_name(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "picture.wav", "PNG")
    soundfile.write(tmp_path / "voice.png", speech(800), 16_000, format="FLAC")
    (tmp_path / "notes.txt").write_text("neither")
    (tmp_path / ".hidden.png").touch()
    found = find([tmp_path])
    assert [test_file.name for test_file in found.pictures] == ["picture.wav"]
    assert [test_file.name for test_file in found.voices] == ["voice.png"]
    assert not found.failures


def test_a_named_file_must_be_one_of_the_two(tmp_path):
    (tmp_path / "notes.txt").write_text("neither")
    (failure,) = find([tmp_path / "notes.txt"]).failures
    assert (failure.file, failure.codec) == ("notes.txt", None)


def test_a_missing_input_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        find([tmp_path / "away.png"])


def test_limit_order_and_names_of_twins(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("L", (3, 2), 7).save(tmp_path / folder / "same.png")
    paths = [tmp_path / "two" / "same.png", tmp_path / "one", tmp_path / "one" / "same.png"]
    pictures = find(paths).pictures
    assert [test_file.name for test_file in pictures] == [
        str(tmp_path / "one/same.png"),
        "same.png",
    ]
    assert len({test_file.sha256 for test_file in pictures}) == 1
    assert len(find(paths, limit=1).pictures) == 1
    assert picture_paths(tmp_path / "one") == [tmp_path / "one/same.png"]


def test_grey_becomes_rgb_and_stereo_becomes_mono(tmp_path):
    Image.new("LA", (3, 2), (7, 0)).save(tmp_path / "grey.png")
    stereo = np.stack([speech(8_000), np.zeros(8_000, np.float32)], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 8_000, subtype="FLOAT")
    found = find([tmp_path])
    assert read(found.pictures[0]).tolist() == [[[7] * 3] * 3] * 2
    mono = read(found.voices[0])
    assert mono.dtype == np.float32
    assert mono.shape == (16_000,)
    assert rate_of("voices", 1000, mono) == 8.0
    assert rate_of("pictures", 6, read(found.pictures[0])) == 8.0


def test_transcripts_come_from_text_files_or_a_table(tmp_path):
    for name in ("a.flac", "b.flac", "c.flac", "d.flac"):
        soundfile.write(tmp_path / name, speech(800), 16_000)
    (tmp_path / "a.txt").write_text("Next to it.\n")
    (tmp_path / "transcripts.tsv").write_text(
        "file\ttext\tlanguage\ttext_from\n"
        "a.flac\tnot this\ten\tcorpus\n"
        "b.flac\tDobry\tpl\tcorpus\n"
        "c.flac\theard\ten\tmachine\n"
    )
    transcripts = [(test_file.text, test_file.language) for test_file in find([tmp_path]).voices]
    assert transcripts == [("Next to it.", "en"), ("Dobry", "pl"), (None, "en"), (None, "en")]


def test_transcripts_that_cannot_be_read_cost_their_own_voice(tmp_path):
    for name in ("a.flac", "b.flac"):
        soundfile.write(tmp_path / name, speech(800), 16_000)
    (tmp_path / "a.txt").write_bytes("Übung".encode("latin-1"))
    found = find([tmp_path])
    assert [test_file.name for test_file in found.voices] == ["b.flac"]
    assert [failure.file for failure in found.failures] == ["a.flac"]
    assert "its transcript cannot be read" in found.failures[0].reason


def test_quotes_in_transcripts_are_letters(tmp_path):
    for name in ("a.flac", "b.flac"):
        soundfile.write(tmp_path / name, speech(800), 16_000)
    table = 'file\ttext\na.flac\t"Well, he said\nb.flac\tNothing.\n'
    (tmp_path / "transcripts.tsv").write_text(table)
    texts = [test_file.text for test_file in find([tmp_path]).voices]
    assert texts == ['"Well, he said', "Nothing."]
