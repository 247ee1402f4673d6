"""Voices on the command line: kinds told apart by content, pipes, formats, refusals."""

import io
import json
import struct
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from luxvox import cli
from luxvox.codec.voice.recordings import wav_header


def voice(n=16_000, rate=16_000):
    t = np.arange(n) / rate
    harmonics = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    return 0.1 * harmonics * (0.6 + 0.4 * np.sin(9 * t))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUXVOX_DEBUG", raising=False)
    soundfile.write("voice.wav", voice(), 16_000)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def pipe_in(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_there_and_back(folder, capsys):
    assert cli.run(["compress", "voice.wav", "-q", "30"]) == 0
    assert cli.run(["decompress", "voice.lvx", "-o", "back.wav"]) == 0
    assert names(folder) == ["back.wav", "voice.lvx", "voice.wav"]
    samples, rate = soundfile.read("back.wav")
    assert (samples.shape, rate) == ((16_000,), 16_000)
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("voice.wav → voice.lvx: 32,044 → ")
    assert "kbit/s, 1.0 s of sound, " in first
    assert second.startswith("voice.lvx → back.wav: ")


def test_kinds_are_told_apart_by_content(folder):
    Image.new("RGB", (16, 16), (90, 120, 30)).save("photo.png")
    (folder / "photo.png").rename("odd.wav")
    (folder / "voice.wav").rename("voice.png")
    assert cli.run(["compress", "odd.wav", "voice.png"]) == 0
    assert cli.run(["decompress", "odd.lvx", "voice.lvx"]) == 0
    assert names(folder) == ["odd.lvx", "odd.png", "odd.wav", "voice.lvx", "voice.png", "voice.wav"]
    assert soundfile.info("voice.wav").frames == 16_000


def test_pipes(folder, monkeypatch, capfdbinary):
    pipe_in(monkeypatch, (folder / "voice.wav").read_bytes())
    assert cli.run(["compress", "-", "-b", "2"]) == 0
    lvx = capfdbinary.readouterr().out
    pipe_in(monkeypatch, lvx)
    assert cli.run(["decompress", "-"]) == 0
    wav = capfdbinary.readouterr().out
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert (samples.shape, rate) == ((16_000,), 16_000)


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3", "aiff", "opus"])
def test_other_formats(folder, ending):
    assert cli.run(["compress", "voice.wav", "-q", "30"]) == 0
    assert cli.run(["decompress", "voice.lvx", "-o", f"back.{ending}"]) == 0
    samples, rate = soundfile.read(f"back.{ending}")
    assert rate in (16_000, 48_000)
    assert len(samples) / rate == pytest.approx(1.0, abs=0.2)


def test_stereo_at_44_khz_with_a_note(folder, capsys):
    left = voice(22_050, 44_100) + 0.01 * np.sin(1.5 * np.arange(22_050))
    soundfile.write("stereo.flac", np.stack([left, 0.3 * left], 1), 44_100)
    assert cli.run(["compress", "stereo.flac", "-b", "6"]) == 0
    assert "note: voices are kept up to 8 kHz" in capsys.readouterr().err
    assert cli.run(["decompress", "stereo.lvx"]) == 0
    samples, rate = soundfile.read("stereo.wav")
    assert (samples.shape, rate) == ((22_050, 2), 44_100)
    assert np.std(samples[:, 0]) > 1.5 * np.std(samples[:, 1])


def test_info(folder, capsys):
    assert cli.run(["compress", "voice.wav", "-b", "3"]) == 0
    capsys.readouterr()
    assert cli.run(["info", "voice.lvx", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "voice"
    assert (facts["duration_s"], facts["sample_rate_hz"], facts["channels"]) == (1.0, 16_000, 1)
    assert facts["rate_kbps"] == pytest.approx(facts["bytes"] * 8 / 1000)
    assert [part["name"] for part in facts["parts"]] == ["codes 1", "codes 2"]
    assert cli.run(["info", "voice.lvx"]) == 0
    assert "duration s" in capsys.readouterr().out


def test_fewer_sections_are_coarser(folder):
    assert cli.run(["compress", "voice.wav", "-q", "90"]) == 0
    assert cli.run(["decompress", "voice.lvx", "-o", "all.wav"]) == 0
    assert cli.run(["decompress", "voice.lvx", "-o", "one.wav", "--sections", "1"]) == 0
    whole, coarse = (soundfile.read(name)[0] for name in ("all.wav", "one.wav"))
    assert whole.shape == coarse.shape
    assert not np.array_equal(whole, coarse)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["voice.wav", "-b", "3", "-q", "50"], "-b and -q cannot be combined"),
        (["voice.wav", "-b", "0.1"], "0.1 is not in the range 0.3..12"),
        (["voice.wav", "-b", "nan"], "nan is not in the range"),
        (["photo.png", "-b", "3"], "-b is for voices"),
    ],
)
def test_usage(folder, capsys, words, message):
    Image.new("L", (8, 8)).save("photo.png")
    assert cli.run(["compress", *words]) == 2
    assert message in capsys.readouterr().err
    assert names(folder) == ["photo.png", "voice.wav"]


def with_header(rate, channels, n_samples):
    return wav_header(rate, channels, n_samples) + bytes(2 * channels * n_samples)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_header(16_000, 1, 0), "the recording is empty"),
        (with_header(16_000, 9, 100), "9 channels, legal: 1..2"),
        (with_header(0, 1, 100), ""),
        (with_header(7_000, 1, 100), "a sample rate of 7000 Hz"),
        (b"RIFF\x00\x00\x00\x00WAVE", "not a recording that can be read"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(100), "not a recording that can be read"),
        (b"fLaC" + bytes(40), "not a recording that can be read"),
    ],
    ids=["empty", "channels", "rate 0", "low rate", "headless", "video", "broken flac"],
)
def test_bad_recordings_give_one_line_and_leave_nothing(folder, capsys, data, message):
    (folder / "bad").write_bytes(data)
    assert cli.run(["compress", "bad"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("luxvox: bad: ")
    assert message in line
    assert names(folder) == ["bad", "voice.wav"]


def test_nan_samples_are_refused(folder, capsys):
    samples = voice().astype(np.float32)
    samples[77] = np.nan
    soundfile.write("nan.wav", samples, 16_000, subtype="FLOAT")
    assert cli.run(["compress", "nan.wav"]) == 3
    assert "NaN" in capsys.readouterr().err


def test_a_cut_mp3_gives_what_it_holds(folder):
    soundfile.write("voice.mp3", voice(48_000), 16_000)
    data = (folder / "voice.mp3").read_bytes()
    (folder / "cut.mp3").write_bytes(data[: len(data) // 2])
    assert cli.run(["compress", "cut.mp3", "-q", "20"]) == 0
    assert cli.run(["decompress", "cut.lvx"]) == 0
    assert 8_000 < soundfile.info("cut.wav").frames < 40_000


def test_formats_of_the_other_kind_are_refused(folder, capsys):
    Image.new("L", (16, 16)).save("photo.png")
    assert cli.run(["compress", "voice.wav", "photo.png", "-q", "20"]) == 0
    assert cli.run(["decompress", "voice.lvx", "-o", "back.png"]) == 2
    assert cli.run(["decompress", "photo.lvx", "-o", "back.wav"]) == 2
    assert "write one of wav, flac" in capsys.readouterr().err
    assert not list(folder.glob("back*"))


def test_a_float_wav_of_unknown_length_from_a_pipe(folder, monkeypatch):
    """ffmpeg writes lengths of 2³² − 1 into a pipe; the samples are read to their end."""
    data = bytearray(wav_header(16_000, 1, 4000) + (3000 * voice(4000)).astype("<i2").tobytes())
    struct.pack_into("<I", data, 4, 0xFFFFFFFF)
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)
    pipe_in(monkeypatch, bytes(data))
    assert cli.run(["compress", "-", "-o", "piped.lvx", "-q", "20"]) == 0
    assert cli.run(["decompress", "piped.lvx"]) == 0
    assert soundfile.info("piped.wav").frames == 4000


def test_a_bitrate_out_of_reach_is_reported(folder, capsys):
    """Most of it is silence, which no bits can be spent on; the best file is written."""
    soundfile.write("quiet.wav", np.concatenate([voice(8000), np.zeros(56_000)]), 16_000)
    assert cli.run(["compress", "quiet.wav", "-b", "12", "--effort", "1"]) == 0
    assert (folder / "quiet.lvx").exists()
    lines = capsys.readouterr().err.splitlines()
    warning = (
        "luxvox: quiet.wav: warning: 12 kbit/s is out of reach for this recording, which takes "
    )
    assert [line.startswith(warning) for line in lines] == [False, True]
