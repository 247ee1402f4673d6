"""Recordings of every kind are read to their true end, or refused, or read with a note."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from luxvox.codec.kinds import kind_of
from luxvox.codec.notes import PartNote
from luxvox.codec.voice.recordings import is_recording, open_recording, recording_of
from luxvox.errors import InputError, SystemFailure, UsageError

RATE_HZ = 16_000


def voice(seconds=3.0, rate_hz=RATE_HZ):
    """A tone that swells, on faint noise."""
    n = int(seconds * rate_hz)
    t = np.arange(n) / rate_hz
    noise = np.random.default_rng(0).normal(0, 1e-3, n)
    return ((0.3 * np.sin(2 * np.pi * 220 * t) * np.sin(np.pi * t / seconds)) + noise).astype("f4")


def file_of(samples, container, coding=None, rate_hz=RATE_HZ, **options):
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, coding, format=container, **options)
    return stream.getvalue()


def samples_of(data):
    return np.concatenate(list(open_recording(data).blocks()))


def assert_reads(data, samples, error=1e-4):
    recording = open_recording(data)
    got = samples_of(data)[:, 0]
    assert recording.n_samples == len(got) == len(samples)
    assert np.abs(got - samples).max() < error
    return recording


def pcm(samples):
    return np.round(samples * 32767).astype("<i2")


def wav(samples, riff=None, data=None, after=b"", order="<", channels=1):
    payload = pcm(samples).astype(f"{order}i2").tobytes()
    layout = struct.pack(f"{order}HHIIHH", 1, channels, RATE_HZ, 2 * RATE_HZ, 2 * channels, 16)
    size = len(payload) if data is None else data
    body = b"WAVEfmt " + struct.pack(f"{order}I", 16) + layout
    body += b"data" + struct.pack(f"{order}I", size) + payload + after
    total = len(body) if riff is None else riff
    return {"<": b"RIFF", ">": b"RIFX"}[order] + struct.pack(f"{order}I", total) + body


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, None])
@pytest.mark.parametrize("seconds", [0.05, 3.0])
def test_wav_of_unknown_length_is_read_whole(order, size, seconds):
    samples = voice(seconds)
    data = wav(samples, riff=size, data=size, order=order)
    assert assert_reads(data, samples).notes == ()


def test_wav_whose_header_stops_early_is_read_whole():
    samples = voice(2.0)
    assert_reads(wav(samples, data=RATE_HZ), samples)


def test_data_after_the_samples_is_not_sound():
    samples = voice(0.5)
    assert_reads(wav(samples, after=chunk(b"LIST", b"INFO" + bytes(9000))), samples)


def test_cut_wav_is_read_with_a_note():
    samples = voice(2.0)
    data = wav(samples)[: 44 + RATE_HZ * 2]
    assert "cut" in assert_reads(data, samples[:RATE_HZ]).notes[0]


def test_wav_without_samples_is_empty():
    with pytest.raises(InputError, match="empty"):
        open_recording(wav(np.zeros(0), after=chunk(b"LIST", b"INFO")))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_aiff_of_unknown_length_is_read_whole(size):
    samples = voice()
    data = bytearray(file_of(samples, "AIFF", "PCM_16"))
    layout, sound = data.index(b"COMM"), data.index(b"SSND")
    struct.pack_into(">I", data, layout + 10, 0)
    struct.pack_into(">I", data, sound + 4, size)
    assert_reads(bytes(data), samples)


@pytest.mark.parametrize(
    ("container", "coding"),
    [
        ("W64", "PCM_16"),
        ("RF64", "PCM_24"),
        ("CAF", "ALAC_16"),
        ("AU", "PCM_16"),
        ("AIFF", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("FLAC", "PCM_24"),
        ("NIST", "PCM_16"),
        ("VOC", "PCM_16"),
    ],
)
def test_other_containers(container, coding):
    samples = voice(0.5)
    data = file_of(samples, container, coding)
    assert is_recording(data[:16])
    assert_reads(data, samples)


def test_flac_of_unknown_length_is_read_whole():
    samples = voice(20.0)
    data = bytearray(file_of(samples, "FLAC", "PCM_16"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert_reads(bytes(data), samples)


def test_chained_ogg_is_read_whole():
    parts = [file_of(voice(seconds), "OGG", "VORBIS") for seconds in (1.0, 2.0, 0.5)]
    assert open_recording(b"".join(parts)).n_samples == round(3.5 * RATE_HZ)


def test_chained_ogg_of_two_rates_is_refused():
    parts = [file_of(voice(1, rate), "OGG", "VORBIS", rate) for rate in (16_000, 24_000)]
    with pytest.raises(InputError, match="16000 Hz, 1 channel.* 24000 Hz"):
        open_recording(b"".join(parts))


def test_cut_ogg_is_read_with_a_note():
    data = file_of(voice(9.0), "OGG", "VORBIS")
    assert "cut" in open_recording(data[: 2 * len(data) // 3]).notes[0]


def mp3(samples, **options):
    return file_of(samples, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE", **options)


def without_first_frame(data):
    """Remove the frame with the Xing header; without it the file does not state its length."""
    return data[data.index(data[:2], 4) :]


@pytest.fixture(scope="module")
def quiet_then_loud():
    """A recording whose first frames are far smaller than the others, or the reverse."""
    samples = np.random.default_rng(1).normal(0, 0.2, 10 * RATE_HZ).astype("f4")
    samples[: 4 * RATE_HZ] = 0
    return samples


@pytest.mark.parametrize("step", [1, -1])
def test_mp3_of_variable_bitrate_without_header_is_read_whole(quiet_then_loud, step):
    data = without_first_frame(mp3(quiet_then_loud[::step], compression_level=0.3))
    recording = open_recording(data)
    assert recording.n_samples == pytest.approx(10 * RATE_HZ, abs=2500)
    assert recording.notes == ()
    power = np.square(samples_of(data)[:, 0])
    loud = power[5 * RATE_HZ : 9 * RATE_HZ] if step == 1 else power[RATE_HZ : 5 * RATE_HZ]
    assert loud.mean() == pytest.approx(0.04, rel=0.2)


def test_mp3_with_header_keeps_its_length():
    assert open_recording(mp3(voice(2.5))).n_samples == round(2.5 * RATE_HZ)


def test_joined_mp3_are_read_whole():
    data = mp3(voice(2.0)) + mp3(voice(3.0))
    assert open_recording(data).n_samples == pytest.approx(5 * RATE_HZ, abs=5000)


def test_joined_mp3_of_two_rates_are_refused():
    with pytest.raises(InputError, match="joined"):
        open_recording(mp3(voice()) + mp3(voice(rate_hz=24_000), rate_hz=24_000))


def test_cut_mp3_is_read_with_a_note():
    data = mp3(voice(4.0))
    recording = open_recording(data[: len(data) // 2])
    assert 1.0 < recording.n_samples / RATE_HZ < 3.0
    assert "cut" in recording.notes[0]


def test_tags_and_junk_in_an_mp3_are_not_sound():
    data = mp3(voice(4.0))
    tag = b"ID3\x04\0\0" + bytes((0, 0, 2, 0)) + b"COMM" + bytes(252)
    tagged = tag + data + b"TAG" + bytes(125)
    assert open_recording(tagged).n_samples == 4 * RATE_HZ
    middle = len(data) // 2
    assert "not sound" in open_recording(data[:middle] + bytes(5000) + data[middle:]).notes[0]


def test_damaged_mp3_writes_nothing_to_stderr(tmp_path):
    data = bytearray(mp3(voice(4.0)) * 2)
    for position in range(3000, len(data), 501):
        data[position] ^= 0x5A
    tag = b"ID3\x03\0\0" + bytes((0, 0, 0, 21)) + b"COMM\0\0\0\x0b\0\0\x01eng\xff\xfe\0\xd8bad"
    (tmp_path / "a.mp3").write_bytes(tag + data)
    code = (
        "import os, sys; from luxvox.codec.voice.recordings import open_recording\n"
        "open_recording(sys.argv[1]); os.write(2, b'ours')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.mp3")], capture_output=True, check=True
    )
    assert done.stderr == b"ours"


def av_file(samples, codec, container, rate_hz=RATE_HZ):
    av = pytest.importorskip("av")
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        track = output.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm(samples)[None], format="s16", layout="mono")
        frame.rate, frame.pts = rate_hz, 0
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return stream.getvalue()


AV_FILES = [
    ("aac", "ipod", "MPEG-4"),
    ("alac", "ipod", "MPEG-4"),
    ("aac", "mp4", "MPEG-4"),
    ("aac", "adts", "AAC"),
    ("flac", "matroska", "Matroska"),
    ("wavpack", "wv", "WavPack"),
    ("tta", "tta", "TTA"),
]


@pytest.mark.parametrize(("codec", "container", "kind"), AV_FILES)
def test_formats_that_pyav_reads(codec, container, kind):
    samples = voice()
    data = av_file(samples, codec, container)
    assert is_recording(data[:16])
    assert kind in str(kind_of(data[:16]))
    recording = open_recording(data)
    assert recording.sample_rate_hz == RATE_HZ
    assert len(samples) <= recording.n_samples <= len(samples) + 2100
    got = samples_of(data)[:, 0]
    spectra = [np.abs(np.fft.rfft(part[: len(samples)])) for part in (got, samples)]
    assert np.argmax(spectra[0]) == np.argmax(spectra[1])
    assert spectra[0].max() == pytest.approx(spectra[1].max(), rel=0.1)


@pytest.mark.parametrize(("codec", "container", "kind"), AV_FILES)
def test_without_pyav_the_extra_is_named(codec, container, kind, monkeypatch):
    data = av_file(voice(0.5), codec, container)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(SystemFailure, match=rf"{kind}.*luxvox\[formats\]"):
        open_recording(data)


def test_mp2_is_read():
    data = av_file(voice(), "mp2", "mp2")
    assert is_recording(data[:16])
    assert open_recording(data).n_samples == pytest.approx(3 * RATE_HZ, abs=1200)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"\0\0\0\x18ftypavif\0\0\0\0",
        b"\0\0\0\x18ftypmif1\0\0\0\0",
        b"\0\0\0\x18ftypcrx \0\0\0\0",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\0\0\0\0\0",
        b"\xff\x4f\xff\x51" + bytes(12),
        "\ufefftext".encode("utf-16-le"),
        b"\xff\x0a" + bytes(14),
        b"II*\0" + bytes(12),
        b"",
    ],
)
def test_pictures_and_text_are_not_recordings(head):
    assert not is_recording(head)


def test_midi_is_not_sound():
    with pytest.raises(InputError, match="MIDI"):
        open_recording(b"MThd\0\0\0\6" + bytes(20))


@pytest.mark.parametrize("scale", [127, 2048, 32_768, 2**31])
def test_floats_in_the_scale_of_integers_are_refused(scale):
    loud = voice() / 0.4 * scale
    with pytest.raises(UsageError, match="divide"):
        recording_of(loud, RATE_HZ)
    with pytest.raises(InputError, match="divide"):
        open_recording(file_of(loud, "WAV", "FLOAT"))


def test_floats_slightly_over_full_scale_are_read():
    assert recording_of(5 * voice(), RATE_HZ).notes == ()


def test_an_audible_band_above_8_khz_is_noted():
    t = np.arange(48_000) / 48_000
    low, high = (0.3 * np.sin(2 * np.pi * hertz * t) for hertz in (3000, 11_000))
    assert recording_of(low, 48_000).notes == ()
    assert "up to 8 kHz" in recording_of(low + 0.1 * high, 48_000).notes[0]
    assert "up to 8 kHz" in open_recording(file_of(low + high, "FLAC", rate_hz=48_000)).notes[0]


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_name_that_is_not_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    with open(path, "wb") as stream:
        stream.write(wav(voice()))
    assert open_recording(path).n_samples == 3 * RATE_HZ


def test_missing_file_raises_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_recording(tmp_path / "nothing.wav")


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC", "OGG", "MP3", "W64"])
def test_cut_files_are_refused_or_read(kind):
    data = file_of(voice(0.3), kind)
    whole = open_recording(data).n_samples
    for end in range(1, len(data), max(1, len(data) // 40)):
        try:
            recording = open_recording(data[:end])
        except InputError:
            continue
        # Whole frames of a cut MP3 keep the padding that its tag would leave out.
        assert 0 < recording.n_samples <= whole + 2 * 1152


def test_a_band_lost_in_short_blocks_is_noted():
    pytest.importorskip("av")
    noise = np.random.default_rng(0).normal(0, 0.05, 96_000).astype("f4")
    data = av_file(noise, "libopus", "webm", 48_000)  # in frames of 20 ms
    assert any("up to 8 kHz" in note for note in open_recording(data).notes)


@pytest.mark.parametrize(("codec", "container"), [("libopus", "webm"), ("flac", "matroska")])
def test_cut_matroska_is_read_with_a_note(codec, container):
    data = av_file(voice(rate_hz=48_000), codec, container, 48_000)
    assert "the file is cut" not in " ".join(open_recording(data).notes)
    assert "the file is cut" in open_recording(data[: len(data) // 2]).notes[0]


def test_floats_beyond_32_bits_are_refused_without_a_warning():
    with pytest.raises(InputError, match="infinite"):
        recording_of(np.full(100, 1e39), RATE_HZ)
    with pytest.raises(UsageError, match="full scale"):
        recording_of(np.full(5000, 1e30, np.float32), 48_000)


@pytest.mark.parametrize("form", ["AU", "CAF", "W64", "NIST", "VOC"])
def test_cut_recordings_say_so(form):
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000)
    stream = io.BytesIO()
    soundfile.write(stream, samples, 16_000, "PCM_16", format=form)
    whole = stream.getvalue()
    assert open_recording(whole).notes == ()
    cut = open_recording(whole[: len(whole) // 2])
    assert "the file is cut: 1" in cut.notes[0] and isinstance(cut.notes[0], PartNote)
    assert cut.n_samples < 8_100


def test_chunks_that_describe_a_recording_are_noted():
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(16_000), 16_000, "PCM_16", format="WAV")
    data = stream.getvalue() + b"bext" + struct.pack("<I", 602) + bytes(602)
    data = data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    assert open_recording(data).notes == ("its tags are not kept: broadcast description",)
