"""Built-in codecs write larger and better files with each point; metrics give known figures."""

import importlib.util
import io

import numpy as np
import pytest

from luxvox.evaluate.inputs import TestFile
from luxvox.evaluate.measure import encode_and_decode
from luxvox.evaluate.metrics import NotApplicable, Setting, all_metrics, decibels
from luxvox.evaluate.peers import Absent, PeerSpec, enter
from luxvox.evaluate.picture import peers as picture_peers
from luxvox.evaluate.picture.metrics import flip, multiscale_ssim, psnr_db, psnr_y_db, ssimulacra2
from luxvox.evaluate.voice import peers as voice_peers
from luxvox.tests.evaluate.miniature import scene, speech

PICTURE_CODECS = "JPEG WEBP AVIF AVIF_PSNR JXL JPEG2000 LUXVOX LUXVOX_PSNR".split()
PICTURE = scene(176, 192, 7)
VOICE = speech(20_000)


def ready(name, kind):
    entered = enter(PeerSpec(name, kind))
    if isinstance(entered, Absent):
        pytest.skip(f"{name}: {entered.reason}")


@pytest.mark.parametrize("name", PICTURE_CODECS)
def test_picture_codecs_write_larger_and_better_files(name):
    peer = getattr(picture_peers, name)
    ready(peer.name, "pictures")
    small, large = (
        encode_and_decode(peer, PICTURE, point) for point in (peer.points[0], peer.points[-1])
    )
    assert peer.payload_bytes(small[0]) == len(small[0]) < len(large[0])
    assert 15.0 < psnr_db(PICTURE, small[1]) < psnr_db(PICTURE, large[1])


@pytest.mark.parametrize("name", ["OPUS", "CODEC2", "ORIGINAL"])
def test_voice_codecs_keep_length_and_place(name):
    peer = getattr(voice_peers, name)
    ready(peer.name, "voices")
    data, decoded = encode_and_decode(peer, VOICE, peer.points[-1])
    assert decoded.dtype == np.float32
    assert len(decoded) == len(VOICE)
    assert 0.3 < float(np.linalg.norm(decoded) / np.linalg.norm(VOICE)) < 3.0
    if name != "CODEC2":  # which keeps no waveform
        # If the codec's delay was not removed, the best match would lie elsewhere.
        steps = range(-64, 65, 4)
        matches = [float(np.dot(np.roll(decoded, step), VOICE)) for step in steps]
        assert abs(steps[int(np.argmax(matches))]) <= 16
    assert peer.payload_bytes(data) <= len(data)


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="no PyAV")
def test_the_payload_of_opus_is_that_of_its_packets():
    av = importlib.import_module("av")
    data = voice_peers.OPUS.encode(VOICE, 12.0)
    with av.open(io.BytesIO(data)) as ogg:
        packets = [packet.size for packet in ogg.demux()]
    assert voice_peers.OPUS.payload_bytes(data) == sum(packets)


@pytest.mark.parametrize("name", ["AVIF", "LUXVOX"])
def test_tuning_for_psnr_takes_effect(name):
    eye, psnr = getattr(picture_peers, name), getattr(picture_peers, f"{name}_PSNR")
    ready(psnr.name, "pictures")
    point = psnr.points[-2]
    assert eye.encode(PICTURE, point) != psnr.encode(PICTURE, point)
    assert (eye.name, eye.label) != (psnr.name, psnr.label)  # they are kept apart in the cache


def test_psnr():
    black = np.zeros((2, 2, 3), np.uint8)
    assert psnr_db(black, black + np.uint8(255)) == pytest.approx(0.0)
    assert psnr_db(black, black + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(black, black) == 100.0
    blue = black + np.array([0, 0, 10], np.uint8)
    # 0.114 of the difference is left in luma.
    assert psnr_y_db(black, blue) == pytest.approx(20 * np.log10(255 / 1.14))


def test_structural_metrics_know_equal_pictures():
    assert multiscale_ssim(PICTURE, PICTURE) == pytest.approx(1.0)
    assert multiscale_ssim(PICTURE, 255 - PICTURE) < 0.9
    assert decibels(0.99) == pytest.approx(20.0)
    assert decibels(1.0) == 100.0
    if importlib.util.find_spec("ssimulacra2") is not None:
        assert ssimulacra2(PICTURE, PICTURE) == 100.0
        assert ssimulacra2(PICTURE, np.roll(PICTURE, 2, axis=0)) < 70.0
    if importlib.util.find_spec("flip_evaluator") is not None:
        assert flip(PICTURE, PICTURE) == 0.0
        assert flip(PICTURE, np.roll(PICTURE, 2, axis=0)) > 0.02


def measure(name, decoded, test_file=None, original=VOICE):
    metric = all_metrics()[name]
    try:
        metric.version(Setting())
    except (ImportError, RuntimeError) as error:
        pytest.skip(str(error))
    return metric.measure(original, decoded, test_file, Setting())


@pytest.mark.filterwarnings("ignore")
def test_si_sdr_of_added_noise():
    noise = np.random.default_rng(0).standard_normal(len(VOICE)).astype(np.float32)
    noise -= VOICE * np.dot(noise, VOICE) / np.dot(VOICE, VOICE)
    noise *= 0.1 * np.linalg.norm(VOICE) / np.linalg.norm(noise)
    assert measure("si_sdr", 0.5 * (VOICE + noise)) == pytest.approx(20.0, abs=0.01)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["stoi", "si_sdr", "dnsmos"])
def test_a_silent_recording_has_no_figure(name):
    with pytest.raises(NotApplicable, match="the recording is silent"):
        measure(name, VOICE, original=np.zeros_like(VOICE))


def test_pesq_has_no_figure_for_silence():
    with pytest.raises(NotApplicable):
        measure("pesq", np.zeros_like(VOICE))


def test_words_need_a_text(tmp_path):
    test_file = TestFile(tmp_path / "a.flac", "a.flac", "voices", "0" * 64)
    with pytest.raises(NotApplicable, match="the words spoken are not known"):
        all_metrics()["wer"].measure(VOICE, VOICE, test_file, Setting())


def test_dnsmos_falls_when_a_voice_drowns_in_noise():
    pytest.importorskip("speechmos.dnsmos")
    noise = np.random.default_rng(0).standard_normal(len(VOICE)).astype(np.float32)
    assert measure("dnsmos", VOICE + 0.1 * noise) < measure("dnsmos", VOICE) - 0.2


def test_stoi_has_no_figure_for_too_little_speech():
    pytest.importorskip("pystoi")
    with pytest.raises(NotApplicable, match="too little speech"):
        measure("stoi", VOICE[:4000], original=VOICE[:4000])
