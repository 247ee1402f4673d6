"""Voices decoded: from codes, in chunks, and from files that are cut, damaged or foreign."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import luxvox
from luxvox.codec import container, voices
from luxvox.codec.quality import Quality
from luxvox.codec.truncation import truncate
from luxvox.codec.voice import silence
from luxvox.codec.voice.decoding import dequantise
from luxvox.codec.voice.loudness import amplitude_of
from luxvox.errors import (
    ChecksumError,
    DamageWarning,
    FormatError,
    InputError,
    LuxvoxError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)
from luxvox.models.voice import tiling
from luxvox.models.voice.pauses import Stretch
from luxvox.models.voice.spectra import spectrum
from luxvox.tests.codec.voices.conftest import CONFIG, tone, voice_header
from luxvox.timeline import FRAME_SAMPLES, SEGMENT_FRAMES


def test_codes_give_the_decoded_samples():
    samples = tone(20_000)
    data = voices.compress_speech(samples, 16_000, quality=80)
    codes = luxvox.codes(data)
    assert codes.shape == (CONFIG.n_stages, 64)
    assert codes.max() < CONFIG.codebook_size
    from_codes = voices.samples_of_codes(codes) / amplitude_of(voice_header(data).gain)
    decoded, _ = voices.decompress_speech(data)
    assert np.allclose(from_codes[:20_000], decoded, atol=1e-6)


@pytest.mark.parametrize(
    "codes", [np.zeros((7, 3), int), np.zeros(4, int), np.full((2, 3), 64), np.full((2, 3), 0.5)]
)
def test_illegal_codes_are_refused(codes):
    with pytest.raises(UsageError):
        voices.samples_of_codes(codes)


def test_fewer_sections_give_a_prefix_of_the_stages(codec, monkeypatch):
    # The first stages of this tiny model are so few that all frames would count as quiet.
    monkeypatch.setattr(silence, "QUIET_STAGES", 0)
    data = voices.compress_speech(tone(30_000), 16_000, quality=100)
    coarse, _ = voices.decompress_speech(data, sections=1)
    codes = luxvox.codes(data)[: CONFIG.first_stages]
    from_codes = voices.samples_of_codes(codes)
    gain = amplitude_of(voice_header(data).gain)
    assert np.allclose(from_codes[:30_000] / gain, coarse, atol=1e-6)


def test_chunks_add_up_to_the_whole():
    data = voices.compress_speech(tone(1600 * 320), 16_000, quality=50)
    chunks = list(voices.stream_speech(data))
    assert len(chunks) > 1
    assert np.array_equal(np.concatenate(chunks)[:, 0], voices.decompress_speech(data)[0])


@pytest.mark.parametrize("chunk", [20, 33, 150])
def test_networks_compute_the_same_in_chunks(codec, chunk):
    samples = tone(200 * FRAME_SAMPLES)
    blocks = np.array_split(samples, 13)
    whole = codec.model.latents(spectrum(torch.from_numpy(samples)[None]))[0]
    chunks = tiling.chunks_of(codec.model, blocks, len(samples), chunk)
    parts = [tiling.analyse(codec.model, part) for part in chunks]
    assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-4)
    numbers = torch.arange(whole.shape[2])
    noise = torch.where(numbers % 40 < 25, numbers, -1)
    stretches = map(Stretch, torch.split(whole, 47, dim=2), torch.split(noise, 47))
    decoded = np.concatenate(list(tiling.synthesise(codec.model, stretches, len(samples), chunk)))
    expected = codec.model.samples(whole[None], noise=noise[None])[0].numpy()
    assert np.allclose(decoded, expected, atol=1e-4)


def test_a_cut_file_loses_its_tail():
    samples = tone((2 * SEGMENT_FRAMES + 100) * 320)
    data = voices.compress_speech(samples, 16_000, quality=50)
    whole, _ = voices.decompress_speech(data)
    with pytest.warns(TruncatedWarning):
        cut, _ = voices.decompress_speech(data[: len(data) // 2])
    assert 0 < len(cut) < len(whole)
    n_equal = len(cut) - 30 * 320  # the networks look ahead
    assert np.allclose(cut[:n_equal], whole[:n_equal], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_truncated_voice_decodes_like_its_beginning(channels):
    samples = np.stack([tone((SEGMENT_FRAMES + 100) * 320, seed=c) for c in range(channels)], 1)
    data = voices.compress_speech(samples, 16_000, quality=90)
    coarse, _ = voices.decompress_speech(truncate(data, sections=1), strict=True)
    assert np.array_equal(coarse, voices.decompress_speech(data, sections=1)[0])
    entries = container.list_sections(data).entries
    size = entries[0].offset + sum(entries[2 * c].size + 4 for c in range(channels))
    short = truncate(data, size=size)
    decoded, _ = voices.decompress_speech(short, strict=True)
    n_equal = len(decoded) - 30 * 320
    assert len(decoded) == (SEGMENT_FRAMES - 1) * 320
    assert np.allclose(decoded[:n_equal], coarse[:n_equal], atol=1e-5)


def test_strict_refuses_a_cut_voice():
    data = voices.compress_speech(tone(4000), 16_000, quality=50)
    voices.decompress_speech(data, strict=True)
    with pytest.raises(TruncatedError, match="the file is cut"):
        voices.decompress_speech(data[:-1], strict=True)


def test_half_a_segment_of_two_channels_is_refused():
    data = voices.compress_speech(np.zeros((4000, 2), np.float32), 16_000)
    second = container.list_sections(data).entries[1]
    with pytest.raises(TruncatedError, match="before its first segment is whole"):
        voices.decompress_speech(data[: second.offset])


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_damaged_segment_leaves_the_others_whole(number):
    data = voices.compress_speech(tone((SEGMENT_FRAMES + 100) * 320), 16_000, quality=90)
    whole, _ = voices.decompress_speech(data)
    entry = container.list_sections(data).entries[number]
    damaged = bytearray(data)
    damaged[entry.offset + entry.size - 1] ^= 1
    with pytest.raises(ChecksumError):
        voices.decompress_speech(bytes(damaged))
    with pytest.warns(DamageWarning, match="1 sections are altered"):
        decoded, _ = voices.decompress_speech(bytes(damaged), conceal=True)
    border, overlap = (SEGMENT_FRAMES - 1) * 320, 30 * 320
    first, second = slice(0, border - overlap), slice(border + overlap, None)
    intact, lost = (second, first) if number < 2 else (first, second)
    assert np.allclose(decoded[intact], whole[intact], atol=1e-5)
    assert not np.allclose(decoded[lost], whole[lost], atol=1e-3)
    assert (np.abs(decoded[lost]).max() < 1e-3) == (number % 2 == 0)


def test_every_cut_and_every_altered_byte_is_noticed():
    data = voices.compress_speech(tone(4000), 16_000, quality=50)
    for length in range(len(data)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises((LuxvoxError, TruncatedWarning)):
                voices.decompress_speech(data[:length])
    for offset in range(len(data)):
        altered = bytearray(data)
        altered[offset] ^= 0x55
        with pytest.raises((LuxvoxError, TruncatedWarning)), warnings.catch_warnings():
            warnings.simplefilter("error")
            voices.decompress_speech(bytes(altered))


def test_a_picture_is_refused():
    header = container.PictureHeader(1, bytes(4), 8, 8, True, False, True, 0, 1, Quality(5000), 1)
    data = container.write(header, [])
    with pytest.raises(UnsupportedError, match="picture, not a voice"):
        voices.decompress_speech(data)


@pytest.mark.parametrize("limit", [0.99, 0, -1])
def test_too_long_voices_are_refused_before_any_work(limit):
    data = voices.compress_speech(tone(8000), 8000, quality=30)
    voices.decompress_speech(data, max_seconds=1)
    for read in (voices.decompress_speech, voices.stream_speech, luxvox.codes):
        with pytest.raises(InputError, match=r"1.0 s of sound are over the limit .* \(max_seconds"):
            read(data, max_seconds=limit)
    with pytest.raises(InputError, match="max_seconds"):
        voices.decompress_speech(data[:30], max_seconds=limit)


def test_illegal_numbers_of_sections_are_refused():
    data = voices.compress_speech(tone(100), 16_000, quality=50)
    with pytest.raises(UsageError):
        voices.decompress_speech(data, sections=0)


def test_hostile_codes_decode_to_finite_samples(codec):
    header = container.VoiceHeader(
        9, codec.fingerprint, 16_000, 16_000, False, 128, Quality(5000), 1
    )
    generator = np.random.default_rng(0)
    for _ in range(20):
        payload = generator.bytes(60)
        data = container.write(header, [container.Section(n, payload) for n in (1, 2)])
        try:
            decoded, _ = voices.decompress_speech(data)
        except FormatError:
            continue
        assert np.isfinite(decoded).all()


@pytest.mark.parametrize("n_stages", [1, 2, 6])
def test_codes_alone_keep_their_phases(codec, n_stages):
    codes = np.random.default_rng(0).integers(1, 64, (n_stages, 60), np.uint16)
    whole = np.zeros((6, 60), np.uint16)
    whole[:n_stages] = codes
    expected = codec.model.samples(dequantise(codec, whole)[None])[0].numpy()
    assert np.allclose(luxvox.from_codes(codes), expected, atol=1e-5)
