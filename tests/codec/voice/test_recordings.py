"""Recordings in and out: arrays and files, rates, refusals, and the bytes of WAV."""

import io
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from luxvox.codec.voice import formats, recordings
from luxvox.codec.voice.recordings import open_recording, recording_of, resample_blocks
from luxvox.errors import InputError, UsageError


def sine(n, rate, hertz=440.0):
    return np.sin(2 * np.pi * hertz * np.arange(n) / rate).astype(np.float32)


def join(recording):
    return np.concatenate(list(recording.blocks()))


@pytest.mark.parametrize(
    ("array", "channels"),
    [
        (sine(700, 16_000), 1),
        (sine(700, 16_000)[:, None].astype(np.float64), 1),
        (np.stack([sine(700, 16_000)] * 2, 1), 2),
        ((sine(700, 16_000) * 20_000).astype(np.int16), 1),
        ((sine(700, 16_000) * 20_000).astype(">i2"), 1),
        (sine(700, 16_000).astype(">f4"), 1),
    ],
)
def test_arrays_become_blocks(array, channels):
    recording = recording_of(array, 16_000)
    samples = join(recording)
    assert samples.shape == (700, channels) == (recording.n_samples, recording.channels)
    assert samples.dtype == np.float32
    assert 0.5 < np.abs(samples).max() <= 1.0
    assert np.array_equal(samples, join(recording))


@pytest.mark.parametrize(
    ("array", "rate", "error"),
    [
        (np.zeros((2, 3, 4), np.float32), 16_000, UsageError),
        (np.zeros(5, np.int64), 16_000, UsageError),
        (np.zeros(5, np.complex64), 16_000, UsageError),
        (np.zeros(0, np.float32), 16_000, InputError),
        (np.zeros((5, 0), np.float32), 16_000, InputError),
        (np.zeros((5, 9), np.float32), 16_000, InputError),
        (np.zeros(5, np.float32), 0, InputError),
        (np.zeros(5, np.float32), 7999, InputError),
        (np.zeros(5, np.float32), 96_001, InputError),
        (np.zeros(5, np.float32), 16_000.5, InputError),
        (np.array([0, np.nan], np.float32), 16_000, InputError),
        (np.array([0, np.inf]), 16_000, InputError),
    ],
)
def test_bad_arrays_are_refused(array, rate, error):
    with pytest.raises(error):
        recording_of(array, rate)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_each_format_is_read_and_told_from_pictures(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, 0.5 * sine(30_000, 24_000), 24_000)
    recording = open_recording(path)
    assert (recording.sample_rate_hz, recording.channels) == (24_000, 1)
    assert recording.n_samples == len(join(recording)) == pytest.approx(30_000, abs=3_000)
    assert recording.n_bytes == path.stat().st_size
    assert recordings.is_recording(path.read_bytes()[:16])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"\xff\xd8\xff\xe0JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"GIF89a",
        b"\x89LVX\x01\x02",
    ],
)
def test_pictures_are_not_recordings(head):
    assert not recordings.is_recording(head)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000, 96_000]),
    st.integers(1, 5000),
    st.integers(1, 900),
    st.integers(1, 2),
)
def test_resampling_in_blocks_equals_resampling_at_once(rate, n, block, channels):
    samples = np.stack([sine(n, rate, 300.0 * (c + 1)) for c in range(channels)], 1)
    n_out = -(-n * 16_000 // rate)
    blocks = [samples[start : start + block] for start in range(0, n, block)]
    whole, parts = (
        np.concatenate(list(resample_blocks(chunks, rate, 16_000, n_out)))
        for chunks in ([samples], blocks)
    )
    assert whole.shape == parts.shape == (n_out, channels)
    assert np.allclose(whole, parts, atol=1e-4)


def test_resampling_keeps_a_tone_where_it_is():
    there = list(resample_blocks([sine(48_000, 48_000)[:, None]], 48_000, 16_000, 16_000))
    tone = np.concatenate(there)[:, 0]
    assert np.allclose(tone[500:-500], sine(16_000, 16_000)[500:-500], atol=1e-3)


def test_sixteen_bits_are_rounded_and_clipped():
    samples = np.array([-2.0, -1.0, 0.0, 0.5 / 32768, 1.0, 2.0], np.float32)
    assert recordings.to_pcm16(samples).tolist() == [-32768, -32768, 0, 1, 32767, 32767]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_written_files_are_read_back(channels, ending):
    samples = np.stack([0.7 * sine(5000, 16_000, 200 * (c + 1)) for c in range(channels)], 1)
    stream = io.BytesIO()
    blocks = [samples[:1234], samples[1234:]]
    n_bytes = formats.write_blocks(stream, ending, samples.shape, 16_000, blocks)
    assert n_bytes == len(stream.getvalue())
    back, rate = soundfile.read(io.BytesIO(stream.getvalue()), always_2d=True)
    assert rate == 16_000
    assert np.abs(back - samples).max() <= 1.01 / 32768


@pytest.mark.filterwarnings("ignore:.* cannot hold .* Hz and is written at")
@pytest.mark.parametrize("ending", ["opus", "mp3"])
@pytest.mark.parametrize("rate", [8000, 12_345, 22_050, 44_100, 96_000])
def test_rates_that_a_format_lacks_are_resampled(ending, rate):
    tone = 0.5 * sine(rate, rate)[:, None]
    stream = io.BytesIO()
    formats.write_blocks(stream, ending, tone.shape, rate, [tone])
    recording = open_recording(stream.getvalue())
    samples = join(recording)[:, 0]
    assert recording.n_samples == pytest.approx(recording.sample_rate_hz, abs=2500)
    spectrum = np.abs(np.fft.rfft(samples))
    loudest_hz = np.argmax(spectrum) * recording.sample_rate_hz / len(samples)
    assert loudest_hz == pytest.approx(440, abs=2)
    assert np.std(samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_refusals_of_a_format_do_not_name_objects():
    with pytest.raises(UsageError) as raised:
        formats.write_blocks(io.BytesIO(), "mp3", (10, 9), 16_000, [np.zeros((10, 9), np.float32)])
    assert "mp3 cannot hold 9 channel(s) at 16000 Hz" in str(raised.value)
    assert "0x" not in str(raised.value)


def test_long_blocks_are_written_from_a_small_stack():
    block = np.random.default_rng(0).normal(0, 0.1, (300_000, 1)).astype(np.float32)
    written = io.BytesIO()
    before = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(
            target=formats.write_blocks, args=(written, "ogg", block.shape, 44_100, [block])
        )
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert soundfile.info(io.BytesIO(written.getvalue())).frames == 300_000


def test_a_wav_over_4_gib_is_refused():
    with pytest.raises(UsageError, match="do not fit a WAV file; write .flac"):
        recordings.wav_header(48_000, 2, 2**30)


@pytest.mark.parametrize(("peak", "n_notes"), [(1.2, 0), (5.0, 1)])
def test_floats_far_beyond_full_scale_are_noted(peak, n_notes):
    samples = sine(700, 16_000)
    notes = recording_of(samples / np.abs(samples).max() * np.float32(peak), 16_000).notes
    assert [note for note in notes if "reach 5.0" in note] == list(notes)
    assert len(notes) == n_notes
