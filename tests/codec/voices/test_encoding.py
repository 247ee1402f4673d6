"""Voices end to end, with a tiny model that has random codebooks."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import luxvox
from luxvox.codec import voices
from luxvox.codec.quality import Quality
from luxvox.codec.voice import encoding
from luxvox.codec.voice.decoding import dequantise
from luxvox.codec.voice.loudness import amplitude_of
from luxvox.entropy.voice.visitors import CodesMeter
from luxvox.entropy.voice.walk import walk
from luxvox.errors import InputError, LossWarning, TargetWarning, UsageError
from luxvox.models.voice import correction, tiling, weights
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.networks import LEVEL
from luxvox.models.voice.spectra import spectrum
from luxvox.tests.codec.voices.conftest import CONFIG, tone, voice_header
from luxvox.timeline import SEGMENT_FRAMES


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [0, 1, 2])
@pytest.mark.filterwarnings("ignore:voices are kept up to 8 kHz")
def test_length_rate_and_shape_come_back(rate, channels):
    n = rate // 3 + 7
    samples = tone(n, rate)
    if channels:
        samples = np.stack([samples * (1 - 0.5 * c) for c in range(channels)], axis=1)
    decoded, decoded_rate = voices.decompress_speech(
        voices.compress_speech(samples, rate, quality=60)
    )
    assert decoded_rate == rate
    assert decoded.dtype == np.float32
    assert decoded.shape == ((n,) if channels < 2 else (n, 2))
    assert np.isfinite(decoded).all()


def test_a_lost_band_is_noted():
    noise = np.random.default_rng(0).normal(0, 0.1, 4800).astype(np.float32)
    with pytest.warns(LossWarning, match="up to 8 kHz"):
        voices.compress_speech(noise, 48_000)


@pytest.mark.parametrize("n", [1, 2, 319, 320, 321, 640, 749 * 320, 749 * 320 + 1, 750 * 320 + 5])
def test_any_length_is_coded(n):
    decoded, _ = voices.decompress_speech(voices.compress_speech(tone(n), 16_000, quality=40))
    assert decoded.shape == (n,)


@pytest.mark.parametrize("n_frames", [190, 201, 377])
def test_a_short_rest_is_corrected(n_frames, monkeypatch):
    """It is decoded with more of the frames before it, since distances need some length."""
    n_moved = []

    def correct(networks, latents, samples, depths, n_steps):
        corrected = correction.correct_latents(networks, latents, samples, depths, n_steps)
        n_moved.append(int((corrected.latents != latents).any(0).sum()))
        return corrected

    monkeypatch.setattr(encoding, "correct_latents", correct)
    voices.compress_speech(tone(320 * (n_frames - 1)), 16_000, quality=80)
    assert len(n_moved) > 1 and min(n_moved) >= correction.MIN_FRAMES


def test_the_codec_keeps_the_signal_it_was_fitted_to():
    samples = tone(32_000)
    decoded, _ = voices.decompress_speech(voices.compress_speech(samples, 16_000, quality=100))
    assert np.corrcoef(samples, decoded)[0, 1] > 0.5
    assert 0.5 < decoded.std() / samples.std() < 1.5


@pytest.mark.parametrize("scale", [2e-3, 1.0, 9.0])
@pytest.mark.filterwarnings("ignore:its samples reach 4.2:luxvox.errors.LossWarning")
def test_level_and_offset_do_not_change_the_codes(scale):
    samples = tone(16_000)
    plain = luxvox.codes(voices.compress_speech(samples, 16_000, quality=70))
    changed = (samples * scale + np.float32(0.3 * scale)).astype(np.float32)
    codes = luxvox.codes(voices.compress_speech(changed, 16_000, quality=70))
    assert (codes == plain).mean() > 0.9


def test_samples_far_beyond_full_scale_are_noted():
    loud = (20 * tone(16_000)).astype(np.float32)
    with pytest.warns(LossWarning, match="its samples reach 3.3; files of integers clip them"):
        voices.compress_speech(loud, 16_000)


@pytest.mark.parametrize("samples", [np.zeros(5000), np.full(5000, 0.5), np.sign(tone(5000))])
def test_extreme_signals_stay_finite(samples):
    decoded, _ = voices.decompress_speech(
        voices.compress_speech(samples.astype(np.float32), 16_000)
    )
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() < 4.0


def test_digital_silence_costs_only_the_container():
    data = voices.compress_speech(np.zeros(160_000, np.float32), 16_000, quality=50)
    assert len(data) <= 25 + 2 * 4
    assert np.abs(voices.decompress_speech(data)[0]).max() < 1e-6


def test_bytes_rise_with_quality():
    samples = tone(64_000)
    sizes = [len(voices.compress_speech(samples, 16_000, quality=q)) for q in (1, 20, 40, 70, 100)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 2 * sizes[0]


@pytest.mark.parametrize("bitrate", [0.5, 0.6, 0.75])
def test_bitrate_is_hit(bitrate):
    samples = np.concatenate([tone(160_000), np.zeros(32_000, np.float32)])
    data = voices.compress_speech(samples, 16_000, bitrate)
    assert len(data) * 8 / 12 / 1000 == pytest.approx(bitrate, rel=0.03)


@pytest.mark.parametrize(("size", "effort"), [(900, 5), (900, 7)])
def test_size_is_never_exceeded(size, effort):
    data = voices.compress_speech(tone(160_000), 16_000, size=size, effort=effort)
    assert 0.98 * size <= len(data) <= size


def test_sizes_out_of_reach_are_refused():
    samples = tone(8000)
    for size in (20, 10_000):
        with pytest.raises(UsageError, match=rf"{size} bytes is out of reach .* \d+ to \d+$"):
            voices.compress_speech(samples, 16_000, size=size)


def quantisation_error(samples, effort):
    """Return the squared error that the codes leave, and the codes."""
    data = voices.compress_speech(samples, 16_000, quality=60, effort=effort)
    codec = weights.voice_codec(None)
    scale = amplitude_of(voice_header(data).gain)
    blocks = [(samples - samples.mean()).astype(np.float32) * np.float32(scale)]
    chunks = tiling.chunks_of(codec.model, blocks, len(samples))
    latents = torch.cat([tiling.analyse(codec.model, chunk) for chunk in chunks], 2)
    codes = luxvox.codes(data)
    error = latents - dequantise(codec, codes)
    return float(error.square().sum()), codes


def test_a_wider_beam_leaves_a_smaller_error():
    samples = tone(32_000)
    greedy, _ = quantisation_error(samples, 1)
    beam, codes = quantisation_error(samples, 3)
    assert beam < greedy
    assert not codes[1:][codes[:-1] == 0].any()


def choose_by(codec, latents, depths, share):
    """Return codes [stages, F], their bits by the context model, and the squared error."""
    meter = CodesMeter(VoiceChoice(codec.model.vq, latents, depths, share).choose)
    codes = walk(codec.context, {LEVEL: (1, len(depths))}, 0, meter)[LEVEL][:, 0, 0]
    error = latents - dequantise(codec, codes)
    return codes, sum(meter.bits.values()), float(error.square().sum())


def test_counting_bits_trades_them_for_distortion(codec):
    samples = torch.from_numpy(8.0 * tone(320 * 60))[None]
    latents = codec.model.latents(spectrum(samples))[0]
    depths = np.arange(latents.shape[2]) % (CONFIG.n_stages + 1)
    nearest, nearest_bits, nearest_error = choose_by(codec, latents, depths, 0.0)
    _, cheaper_bits, cheaper_error = choose_by(codec, latents, depths, 0.1)
    residual = latents[:, 0].T.clone()
    is_open = np.ones(len(depths), bool)

    # If bits cost nothing, each codeword is the nearest, or null.
    for stage in range(CONFIG.n_stages):
        distance = torch.cdist(residual, codec.model.vq.codebooks[stage, 0])
        is_open &= (depths > stage) & (distance.argmin(1) != 0).numpy()
        best = distance.argmin(1) * torch.from_numpy(is_open)
        np.testing.assert_array_equal(nearest[stage], best)
        residual -= codec.model.vq.codebooks[stage, 0][best]
    assert (nearest[0] != 0).mean() > 0.5
    assert cheaper_bits < nearest_bits
    assert nearest_error < cheaper_error


@pytest.mark.parametrize("effort", [1, 3, 5])
def test_silence_in_a_voice_takes_no_codes(effort):
    """At quality 100 silent frames may have codes, but no codeword suits them."""
    samples = np.concatenate([tone(16_000), np.zeros(32_000, np.float32)])
    samples -= samples.mean()
    samples[16_000:] = 0.0
    data = voices.compress_speech(samples, 16_000, quality=100, effort=effort)
    assert not np.asarray(luxvox.codes(data))[:, 60:].any()


@pytest.mark.parametrize("effort", [1, 5])
def test_progress_covers_corrections_and_search(effort):
    samples = tone(3 * SEGMENT_FRAMES * 320)
    samples = np.stack([samples, samples[::-1]], 1)
    shares: list[float] = []
    voices.compress_speech(samples, 16_000, bitrate=0.8, effort=effort, progress=shares.append)
    assert shares == sorted(shares) and 0.0 < shares[0] and shares[-1] == 1.0
    if effort == 5:
        assert sum(0.1 < share < 0.735 for share in shares) == 2 * 12  # channels, quarters
    search_start = 0.735 if effort == 5 else 0.5
    n_coded = sum(search_start < share < 1.0 for share in shares)
    assert n_coded > 0 and n_coded % (2 * 4) == 0  # channels, segments; any number of tries


@pytest.mark.parametrize("effort", [1, 3, 5])
def test_threads_do_not_change_the_file(effort):
    samples = tone(3 * SEGMENT_FRAMES * 320)
    samples = np.stack([samples, samples[::-1]], 1)
    before, files = torch.get_num_threads(), []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        files.append(voices.compress_speech(samples, 16_000, bitrate=0.8, effort=effort))
    torch.set_num_threads(before)
    assert files[0] == files[1]


def test_corrections_across_segments(codec):
    """Of two segments the second is too short to measure, but still decodes."""
    samples = tone(SEGMENT_FRAMES * 320 + 900)
    data = voices.compress_speech(samples, 16_000, quality=70, effort=6)
    decoded, _ = voices.decompress_speech(data)
    assert decoded.shape == samples.shape


@pytest.mark.parametrize("n_samples", [1, 319, 5000, 6400, 7000])
def test_clips_too_short_to_correct(n_samples):
    samples = tone(n_samples)
    data = voices.compress_speech(samples, 16_000, quality=50, effort=9)
    decoded, _ = voices.decompress_speech(data)
    assert decoded.shape == samples.shape


def test_a_beam_search_keeps_silence():
    data = voices.compress_speech(np.zeros(32_000, np.float32), 16_000, quality=50, effort=3)
    assert not np.asarray(luxvox.codes(data)).any()


@pytest.mark.parametrize(("bitrate", "quality", "effort"), [(12.0, 100, 1), (0.3, 1, 4)])
def test_bitrates_out_of_reach_give_the_nearest_with_a_warning(bitrate, quality, effort):
    samples = tone(32_000)[: 32_000 if quality == 100 else 8000]
    message = rf"{bitrate:g} kbit/s is out of reach .* which takes (\d+\.\d\d) to (\d+\.\d\d)$"
    with pytest.warns(TargetWarning, match=message) as caught:
        data = voices.compress_speech(samples, 16_000, bitrate, effort=effort)
    nearest = voices.compress_speech(samples, 16_000, quality=quality, effort=effort)
    assert len(data) >= len(nearest) if quality == 100 else len(data) == len(nearest)
    min_kbps, max_kbps = map(float, re.findall(r"\d+\.\d\d", str(caught[0].message)))
    kbps = 8 * len(data) * 16 / len(samples)
    assert kbps == pytest.approx(max_kbps if quality == 100 else min_kbps, abs=0.006)
    assert min_kbps < max_kbps


@pytest.mark.parametrize("effort", [1, 5])
def test_rates_beyond_quality_100(effort):
    """Soft frames get more stages; the file says quality 100 and decodes like any other."""
    samples = tone(64_000) * np.geomspace(1.0, 0.01, 64_000, dtype=np.float32)
    finest = voices.compress_speech(samples, 16_000, quality=100, effort=effort)
    with pytest.warns(TargetWarning, match="out of reach"):
        data = voices.compress_speech(samples, 16_000, bitrate=12.0, effort=effort)
    assert len(data) > len(finest)
    assert voice_header(data).quality == Quality(10_000)
    n_codes, n_finest = ((luxvox.codes(file) != 0).sum() for file in (data, finest))
    assert n_codes > n_finest
    assert voices.decompress_speech(data)[0].shape == samples.shape
    size = (len(finest) + len(data)) / 2
    between = voices.compress_speech(samples, 16_000, size=size, effort=effort)
    assert len(finest) < len(between) <= size


def test_the_default_bitrate_out_of_reach_gives_no_warning():
    samples = tone(8000)
    with pytest.warns(TargetWarning, match="3 kbit/s is out of reach"):
        data = voices.compress_speech(samples, 16_000, 3.0, effort=1)
    assert data == voices.compress_speech(samples, 16_000, effort=1)  # warnings are errors


@pytest.mark.parametrize(
    ("samples", "rate", "error"),
    [
        (np.zeros(0, np.float32), 16_000, InputError),
        (np.full(10, np.nan, np.float32), 16_000, InputError),
        (np.full(10, np.inf, np.float32), 16_000, InputError),
        (np.zeros((10, 0), np.float32), 16_000, InputError),
        (np.zeros((10, 9), np.float32), 16_000, InputError),
        (np.zeros(10, np.float32), 0, InputError),
        (np.zeros(10, np.float32), 192_000, InputError),
        (np.zeros(10, bool), 16_000, UsageError),
        (np.zeros((2, 2, 2, 2), np.float32), 16_000, UsageError),
    ],
)
def test_bad_input_is_refused(samples, rate, error):
    with pytest.raises(error):
        voices.compress_speech(samples, rate)


@pytest.mark.parametrize(
    "options",
    [
        *[{"bitrate": 0.1}, {"bitrate": float("nan")}, {"quality": 0}, {"size": 0}],
        *[{"effort": 0}, {"bitrate": 3.0, "quality": 50}, {"size": 900, "bitrate": 3.0}],
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(UsageError):
        voices.compress_speech(tone(100), 16_000, **options)


def test_a_voice_without_codes_is_named():
    with pytest.warns(luxvox.LossWarning, match="keeps no codes, and comes back silent"):
        data = luxvox.compress_speech(tone(32_000), 16_000, quality=1, effort=1)
    assert not luxvox.codes(data).any()
    assert not luxvox.decompress_speech(data)[0].any()
