"""Voices end to end, with a tiny model whose codebooks are random."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch

import luxvox
from luxvox.codec import container, voices
from luxvox.codec.truncation import truncate
from luxvox.codec.voice.decoding import dequantised
from luxvox.codec.voice.loudness import amplitude_of
from luxvox.entropy.voice.visitors import CodesMeter
from luxvox.entropy.voice.walk import walk
from luxvox.errors import (
    ChecksumError,
    DamageWarning,
    FormatError,
    InputError,
    LossWarning,
    LuxvoxError,
    TargetWarning,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)
from luxvox.models.cards import ModelCard
from luxvox.models.training.voice.initialise import (
    fit_codebooks,
    fit_static_bits,
    principal_directions,
)
from luxvox.models.training.voice.twin import speech_twins
from luxvox.models.voice import tiling, weights
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.networks import LEVEL, SpeechConfig, SpeechModel
from luxvox.models.voice.spectra import HOP, N_REALS, envelopes, spectrum
from luxvox.models.voice.weights import VoiceCodec
from luxvox.timeline import SEGMENT_FRAMES

CONFIG = SpeechConfig(
    n_channels=12,
    n_stages=6,
    codebook_size=64,
    first_stages=2,
    width=16,
    expansion=2,
    analysis_blocks=1,
    synthesis_blocks=2,
    n_bands=4,
    finest_depth=6.5,
    finest_slope=1.2,
)
N_ENVELOPES = 2
REFERENCE_DB = 37.0


def tone(n, rate=16_000, seed=0):
    """Gliding harmonics and a little noise, float32 [n]."""
    t = np.arange(n) / rate
    generator = np.random.default_rng(seed)
    glide = 2 * np.pi * (150 * t + 20 * np.sin(2 * np.pi * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 8)) * (0.6 + 0.4 * np.sin(9 * t))
    return (0.1 * sound + 0.002 * generator.standard_normal(n)).astype(np.float32)


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG)
    compressed = spectrum(torch.from_numpy(8.0 * tone(320 * 400))[None])
    directions = principal_directions(compressed, CONFIG.n_channels - N_ENVELOPES)
    of_envelopes = principal_directions(envelopes(compressed, CONFIG.n_bands), N_ENVELOPES)
    with torch.no_grad():
        model.down.zero_()
        model.down[N_ENVELOPES:, :N_REALS] = directions
        model.down[:N_ENVELOPES, N_REALS:] = 0.3 * of_envelopes
        model.up.zero_()
        model.up[:, N_ENVELOPES:] = directions.T
        assert model.synthesis.polar is not None
        model.synthesis.polar.weight.normal_(0.0, 0.01)
        for side in (model.analysis, model.synthesis):
            side.leave.weight.normal_(0.0, 0.01)
        latents = model.latents(compressed)
        model.reference_db.fill_(REFERENCE_DB)
        fit_codebooks(model, latents, torch.Generator().manual_seed(0))
        model.vq.codebooks.copy_(torch.floor(model.vq.codebooks * 16 + 0.5) / 16)
        fit_static_bits(model, latents.expand(8, -1, -1, -1))
    card = ModelCard("voice-9", 9, "voice", "", "0a0b0c0d", {}, {})
    return VoiceCodec(card, model.eval().requires_grad_(False), speech_twins(model).runtime())


@pytest.fixture(autouse=True)
def installed(codec, monkeypatch):
    monkeypatch.setattr(weights, "voice_codec", lambda number=None, fingerprint=None: codec)


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


def test_what_is_not_kept_is_said():
    noise = np.random.default_rng(0).normal(0, 0.1, 4800).astype(np.float32)
    with pytest.warns(LossWarning, match="up to 8 kHz"):
        voices.compress_speech(noise, 48_000)


@pytest.mark.parametrize("n", [1, 2, 319, 320, 321, 640, 749 * 320, 749 * 320 + 1, 750 * 320 + 5])
def test_any_length_is_coded(n):
    decoded, _ = voices.decompress_speech(voices.compress_speech(tone(n), 16_000, quality=40))
    assert decoded.shape == (n,)


def test_the_codec_keeps_the_signal_it_was_fitted_to():
    samples = tone(32_000)
    decoded, _ = voices.decompress_speech(voices.compress_speech(samples, 16_000, quality=100))
    assert np.corrcoef(samples, decoded)[0, 1] > 0.5
    assert 0.5 < decoded.std() / samples.std() < 1.5


@pytest.mark.parametrize("scale", [2e-3, 1.0, 9.0])
def test_level_and_offset_do_not_change_the_codes(scale):
    samples = tone(16_000)
    plain = voices.voice_codes(voices.compress_speech(samples, 16_000, quality=70))
    moved = (samples * scale + np.float32(0.3 * scale)).astype(np.float32)
    codes = voices.voice_codes(voices.compress_speech(moved, 16_000, quality=70))
    assert (codes == plain).mean() > 0.9


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
def test_size_is_never_more(size, effort):
    data = voices.compress_speech(tone(160_000), 16_000, size=size, effort=effort)
    assert 0.98 * size <= len(data) <= size


def test_sizes_out_of_reach_are_refused():
    samples = tone(8000)
    for size in (20, 10_000):
        with pytest.raises(UsageError, match=rf"{size} bytes is out of reach .* \d+ to \d+$"):
            voices.compress_speech(samples, 16_000, size=size)


def error_of(samples, effort):
    data = voices.compress_speech(samples, 16_000, quality=60, effort=effort)
    codec = weights.voice_codec(None)
    scale = amplitude_of(voice_header(data).gain)
    blocks = [(samples - samples.mean()).astype(np.float32) * np.float32(scale)]
    latents = torch.cat(list(tiling.analyse(codec.model, blocks, len(samples))), 2)
    codes = voices.voice_codes(data)
    left = latents - dequantised(codec, codes)
    return float(left.square().sum()), codes


def test_a_wider_beam_leaves_less():
    samples = tone(32_000)
    greedy, _ = error_of(samples, 1)
    beam, codes = error_of(samples, 3)
    assert beam < greedy
    assert not codes[1:][codes[:-1] == 0].any()


def chosen_by(codec, latents, depths, share):
    """Codes [stages, F], their bits by the context model, and the squared error they leave."""
    meter = CodesMeter(VoiceChoice(codec.model.vq, latents, depths, share).choose)
    codes = walk(codec.context, {LEVEL: (1, len(depths))}, 0, meter)[LEVEL][:, 0, 0]
    left = latents - dequantised(codec, codes)
    return codes, sum(meter.bits.values()), float(left.square().sum())


def test_costs_of_the_context_model_save_bits_for_distortion(codec):
    samples = torch.from_numpy(8.0 * tone(320 * 60))[None]
    latents = codec.model.latents(spectrum(samples))[0]
    depths = np.arange(latents.shape[2]) % (CONFIG.n_stages + 1)
    nearest, *plain = chosen_by(codec, latents, depths, 0.0)
    _, *cheaper = chosen_by(codec, latents, depths, 0.1)
    rest = latents[:, 0].T.clone()
    open_ = np.ones(len(depths), bool)
    for stage in range(CONFIG.n_stages):  # without costs each word is the nearest, null counted
        distance = torch.cdist(rest, codec.model.vq.codebooks[stage, 0])
        open_ &= (depths > stage) & (distance.argmin(1) != 0).numpy()
        best = distance.argmin(1) * torch.from_numpy(open_)
        np.testing.assert_array_equal(nearest[stage], best)
        rest -= codec.model.vq.codebooks[stage, 0][best]
    assert (nearest[0] != 0).mean() > 0.5
    assert cheaper[0] < plain[0]
    assert plain[1] < cheaper[1]


@pytest.mark.parametrize("effort", [1, 3, 5])
def test_silence_in_a_voice_takes_no_codes(effort):
    """At quality 100 frames that hold nothing have depths, but no words to fill them."""
    samples = np.concatenate([tone(16_000), np.zeros(32_000, np.float32)])
    samples -= samples.mean()
    samples[16_000:] = 0.0
    data = voices.compress_speech(samples, 16_000, quality=100, effort=effort)
    assert not voices.voice_codes(data)[:, 60:].any()


@pytest.mark.parametrize("effort", [1, 5])
def test_progress_goes_on_through_corrections_and_search(effort):
    samples = tone(3 * SEGMENT_FRAMES * 320)
    samples = np.stack([samples, samples[::-1]], 1)
    told: list[float] = []
    voices.compress_speech(samples, 16_000, bitrate=0.8, effort=effort, progress=told.append)
    assert told == sorted(told) and 0.0 < told[0] and told[-1] == 1.0
    if effort == 5:
        assert sum(0.1 < share < 0.735 for share in told) == 2 * 7  # channels, half segments
    searching = 0.735 if effort == 5 else 0.5
    n_coded = sum(searching < share < 1.0 for share in told)
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


def heard_distance(samples, work, quality=60):
    """How far the decoded voice is from the recording, as training measures it."""
    data = voices.compress_speech(samples, 16_000, quality=quality, effort=work)
    decoded, _ = voices.decompress_speech(data)
    pair = (spectra(torch.from_numpy(8.0 * x)[None]) for x in (decoded, samples))
    return float(distortions(*pair)[0])


def test_corrected_latents_sound_nearer():
    samples = tone(64_000)
    plain, corrected = (heard_distance(samples, work) for work in (1, 6))
    assert corrected < plain


def test_corrections_know_the_neighbouring_segment(codec):
    """Two segments, the second of a few frames: what is too short to listen to still decodes."""
    samples = tone(SEGMENT_FRAMES * 320 + 900)
    data = voices.compress_speech(samples, 16_000, quality=40, effort=6)
    decoded, _ = voices.decompress_speech(data)
    assert decoded.shape == samples.shape
    assert heard_distance(samples, 6, 40) < heard_distance(samples, 1, 40)


@pytest.mark.parametrize("n_samples", [1, 319, 5000, 6400, 7000])
def test_clips_too_short_to_listen_to(n_samples):
    samples = tone(n_samples)
    data = voices.compress_speech(samples, 16_000, quality=50, effort=9)
    decoded, _ = voices.decompress_speech(data)
    assert decoded.shape == samples.shape


def test_a_beam_of_silence_is_silence():
    data = voices.compress_speech(np.zeros(32_000, np.float32), 16_000, quality=50, effort=3)
    assert not voices.voice_codes(data).any()


@pytest.mark.parametrize(("bitrate", "quality", "effort"), [(12.0, 100, 1), (0.3, 1, 4)])
def test_bitrates_out_of_reach_give_the_nearest_and_say_so(bitrate, quality, effort):
    samples = tone(32_000)[: 32_000 if quality == 100 else 8000]
    said = rf"{bitrate:g} kbit/s is out of reach .* which takes (\d+\.\d\d) to (\d+\.\d\d)$"
    with pytest.warns(TargetWarning, match=said) as caught:
        data = voices.compress_speech(samples, 16_000, bitrate, effort=effort)
    end = voices.compress_speech(samples, 16_000, quality=quality, effort=effort)
    assert len(data) >= len(end) if quality == 100 else len(data) == len(end)
    least, most = map(float, re.findall(r"\d+\.\d\d", str(caught[0].message)))
    kbps = 8 * len(data) * 16 / len(samples)
    assert kbps == pytest.approx(most if quality == 100 else least, abs=0.006)
    assert least < most


@pytest.mark.parametrize("effort", [1, 5])
def test_rates_go_on_where_quality_ends(effort):
    """Soft frames get all stages at last; the file says quality 100 and is read as any other."""
    samples = tone(64_000) * np.geomspace(1.0, 0.01, 64_000, dtype=np.float32)
    finest = voices.compress_speech(samples, 16_000, quality=100, effort=effort)
    with pytest.warns(TargetWarning, match="out of reach"):
        data = voices.compress_speech(samples, 16_000, bitrate=12.0, effort=effort)
    assert len(data) > len(finest)
    assert voice_header(data).quality_centi == 10_000
    more, fewer = ((voices.voice_codes(one) != 0).sum() for one in (data, finest))
    assert more > fewer
    assert voices.decompress_speech(data)[0].shape == samples.shape
    aim = (len(finest) + len(data)) / 2
    between = voices.compress_speech(samples, 16_000, size=aim, effort=effort)
    assert len(finest) < len(between) <= aim


def test_nobody_asked_for_the_default_bitrate():
    samples = tone(8000)
    with pytest.warns(TargetWarning, match="3 kbit/s is out of reach"):
        data = voices.compress_speech(samples, 16_000, 3.0, effort=1)
    assert data == voices.compress_speech(samples, 16_000, effort=1)  # warnings are errors


def voice_header(data):
    header = container.read_header(data)[0]
    assert isinstance(header, container.VoiceHeader)
    return header


def test_codes_and_back():
    samples = tone(20_000)
    data = voices.compress_speech(samples, 16_000, quality=80)
    codes = voices.voice_codes(data)
    assert codes.shape == (CONFIG.n_stages, 64)
    assert codes.max() < CONFIG.codebook_size
    again = voices.from_codes(codes) / amplitude_of(voice_header(data).gain)
    decoded, _ = voices.decompress_speech(data)
    assert np.allclose(again[:20_000], decoded, atol=1e-6)


@pytest.mark.parametrize(
    "codes", [np.zeros((7, 3), int), np.zeros(4, int), np.full((2, 3), 64), np.full((2, 3), 0.5)]
)
def test_illegal_codes_are_refused(codes):
    with pytest.raises(UsageError):
        voices.from_codes(codes)


def test_fewer_sections_give_a_prefix_of_the_stages(codec):
    data = voices.compress_speech(tone(30_000), 16_000, quality=100)
    coarse, _ = voices.decompress_speech(data, sections=1)
    codes = voices.voice_codes(data)[: CONFIG.first_stages]
    again = voices.from_codes(codes)
    gain = amplitude_of(voice_header(data).gain)
    assert np.allclose(again[:30_000] / gain, coarse, atol=1e-6)


def test_chunks_are_the_whole():
    data = voices.compress_speech(tone(1600 * 320), 16_000, quality=50)
    chunks = list(voices.decode_chunks(data))
    assert len(chunks) > 1
    assert np.array_equal(np.concatenate(chunks)[:, 0], voices.decompress_speech(data)[0])


@pytest.mark.parametrize("chunk", [20, 33, 150])
def test_chunked_networks_equal_the_whole(codec, chunk):
    samples = tone(200 * HOP)
    blocks = np.array_split(samples, 13)
    whole = codec.model.latents(spectrum(torch.from_numpy(samples)[None]))[0]
    parts = list(tiling.analyse(codec.model, blocks, len(samples), chunk))
    assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-4)
    stretches = torch.split(whole, 47, dim=2)
    decoded = np.concatenate(list(tiling.synthesise(codec.model, stretches, len(samples), chunk)))
    expected = codec.model.samples(whole[None])[0].numpy()
    assert np.allclose(decoded, expected, atol=1e-4)


def test_a_cut_file_loses_its_tail():
    samples = tone((2 * SEGMENT_FRAMES + 100) * 320)
    data = voices.compress_speech(samples, 16_000, quality=50)
    whole, _ = voices.decompress_speech(data)
    with pytest.warns(TruncatedWarning):
        cut, _ = voices.decompress_speech(data[: len(data) // 2])
    assert 0 < len(cut) < len(whole)
    settled = len(cut) - 30 * 320  # the networks look ahead
    assert np.allclose(cut[:settled], whole[:settled], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_left_of_a_truncated_voice(channels):
    samples = np.stack([tone((SEGMENT_FRAMES + 100) * 320, seed=c) for c in range(channels)], 1)
    data = voices.compress_speech(samples, 16_000, quality=90)
    coarse, _ = voices.decompress_speech(truncate(data, sections=1), strict=True)
    assert np.array_equal(coarse, voices.decompress_speech(data, sections=1)[0])
    entries = container.list_sections(data).entries
    size = entries[0].offset + sum(entries[2 * c].size + 4 for c in range(channels))
    short = truncate(data, size=size)
    decoded, _ = voices.decompress_speech(short, strict=True)
    settled = len(decoded) - 30 * 320
    assert len(decoded) == (SEGMENT_FRAMES - 1) * 320
    assert np.allclose(decoded[:settled], coarse[:settled], atol=1e-5)


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
    border, settled = (SEGMENT_FRAMES - 1) * 320, 30 * 320
    first, second = slice(0, border - settled), slice(border + settled, None)
    sound, lost = (second, first) if number < 2 else (first, second)
    assert np.allclose(decoded[sound], whole[sound], atol=1e-5)
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
    header = container.PictureHeader(1, bytes(4), 8, 8, True, False, True, 0, 1, 5000, 1)
    data = container.write(header, [])
    with pytest.raises(UnsupportedError, match="picture, not a voice"):
        voices.decompress_speech(data)


@pytest.mark.parametrize("limit", [0.99, 0, -1, float("nan")])
def test_too_long_voices_are_refused_before_any_work(limit):
    data = voices.compress_speech(tone(8000), 8000, quality=30)
    voices.decompress_speech(data, max_seconds=1)
    for read in (voices.decompress_speech, voices.voice_codes, voices.decode_chunks, luxvox.codes):
        with pytest.raises(InputError, match=r"1.0 s of sound are over the limit .* \(max_seconds"):
            read(data, max_seconds=limit)
    with pytest.raises(InputError, match="max_seconds"):
        voices.decompress_speech(data[:30], max_seconds=limit)


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
        (np.zeros((2, 2, 2), np.float32), 16_000, UsageError),
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


def test_sections_asked_for_are_checked():
    data = voices.compress_speech(tone(100), 16_000, quality=50)
    with pytest.raises(UsageError):
        voices.decompress_speech(data, sections=0)


def test_hostile_codes_decode_to_something_finite(codec):
    header = container.VoiceHeader(9, codec.fingerprint, 16_000, 16_000, False, 128, 5000, 1)
    generator = np.random.default_rng(0)
    for _ in range(20):
        payload = generator.bytes(60)
        data = container.write(header, [container.Section(n, payload) for n in (1, 2)])
        try:
            decoded, _ = voices.decompress_speech(data)
        except FormatError:
            continue
        assert np.isfinite(decoded).all()
