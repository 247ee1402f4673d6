"""Quality of a decoded voice against its original, both float32 [T] at 16 kHz."""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luxvox.errors import SystemFailure
from luxvox.evaluate.inputs import VOICE_RATE_HZ, VOICES, TestFile
from luxvox.evaluate.metrics import EXTRA_VOICES, LibraryMetric, MetricSpec, NotApplicable, Setting

Samples = NDArray[np.float32]


def pesq_wb(original: Samples, decoded: Samples, test_file: TestFile, setting: Setting) -> float:
    """Return PESQ-WB (ITU-T P.862.2), 1.0 to 4.64, by the package pesq."""
    package = importlib.import_module("pesq")
    try:
        return float(package.pesq(VOICE_RATE_HZ, original, decoded, "wb"))
    except (package.PesqError, ValueError) as error:  # the latter for silence
        raise NotApplicable(_message_of(error)) from error


def stoi(original: Samples, decoded: Samples, test_file: TestFile, setting: Setting) -> float:
    """Return STOI (Taal et al., 2011), up to 1, by the package pystoi."""
    _refuse_silence(original)
    package = importlib.import_module("pystoi")
    with warnings.catch_warnings():
        # Of too little speech it returns 0.00001, whatever was decoded, and only warns.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(package.stoi(original, decoded, VOICE_RATE_HZ))
        except RuntimeWarning as error:
            raise NotApplicable("too little speech for STOI") from error


def si_sdr_db(original: Samples, decoded: Samples, test_file: TestFile, setting: Setting) -> float:
    """Return SI-SDR in dB (Le Roux et al., 2019), at most 100, by torchmetrics."""
    import torch

    _refuse_silence(original)
    audio = importlib.import_module("torchmetrics.functional.audio")
    pair = (torch.from_numpy(x.astype(np.float64)) for x in (decoded, original))
    ratio = float(audio.scale_invariant_signal_distortion_ratio(*pair))
    return min(ratio, 100.0)


def visqol(original: Samples, decoded: Samples, test_file: TestFile, setting: Setting) -> float:
    """Return ViSQOL's MOS (Chinen et al., 2020) in speech mode, by the package visqol-python."""
    pair = original.astype(np.float64), decoded.astype(np.float64)
    return float(_visqol().measure_from_arrays(*pair, VOICE_RATE_HZ).moslqo)


def dnsmos(original: Samples, decoded: Samples, test_file: TestFile, setting: Setting) -> float:
    """Return the overall score of DNSMOS P.835 (Reddy et al., 2022), 1 to 5, by speechmos.

    It only hears the decoded voice: a poor recording scores low, however well it was kept, and
    silence scores higher than noise.
    """
    _refuse_silence(original)
    if not np.isfinite(decoded).all():
        raise NotApplicable("the decoded voice has values that are not finite")
    return float(_dnsmos()(decoded.clip(-1.0, 1.0), VOICE_RATE_HZ, False)["ovrl_mos"])


def speaker_cosine(
    original: Samples, decoded: Samples, test_file: TestFile, setting: Setting
) -> float:
    """Return the cosine of speaker embeddings (Wan et al., 2018), by the package Resemblyzer."""
    a, b = (_speaker_embedding(x.tobytes()) for x in (original, decoded))
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def word_error_rate(
    original: Samples, decoded: Samples, test_file: TestFile, setting: Setting
) -> float:
    """Return the word errors of a recogniser on the decoded voice, in percent of the words spoken.

    Capitals and punctuation do not count; counted by jiwer, heard by faster-whisper.
    """
    reference = _words(test_file.text or "")
    if not reference or setting.recogniser is None:
        raise NotApplicable("the words spoken are not known")
    segments, _ = _whisper(setting.recogniser).transcribe(
        decoded, language=test_file.language, beam_size=5
    )
    text = _words("".join(segment.text for segment in segments))
    return 100.0 * float(importlib.import_module("jiwer").wer(reference, text))


def _refuse_silence(original: Samples) -> None:
    """Refuse an original that is silent: whatever was decoded has no score next to it."""
    if not original.any():
        raise NotApplicable("the recording is silent")


def _words(text: str) -> str:
    kept = re.sub(r"[^\w' ]", " ", text.lower().replace("’", "'"))
    return " ".join(kept.split())


def _message_of(error: BaseException) -> str:
    message = error.args[0] if error.args else type(error).__name__
    return message.decode() if isinstance(message, bytes) else str(message)


@functools.lru_cache(maxsize=1)
def _visqol() -> Any:
    api = importlib.import_module("visqol").VisqolApi()
    api.create(mode="speech")
    return api


@functools.lru_cache(maxsize=1)
def _dnsmos() -> Any:
    package, runtime = map(importlib.import_module, ("speechmos.dnsmos", "onnxruntime"))
    models = Path(str(package.__file__)).parent / "dnsmos_models"
    paths = [str(models / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    scorer = package.DNSMOS(*paths)

    # Its own sessions take all cores, in each of the processes that evaluate.
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [runtime.InferenceSession(path, options) for path in paths]
    scorer.onnx_sess, scorer.p808_onnx_sess = sessions
    return scorer


@functools.lru_cache(maxsize=64)
def _speaker_embedding(samples: bytes) -> NDArray[np.float32]:
    package = importlib.import_module("resemblyzer")
    waveform = package.preprocess_wav(np.frombuffer(samples, np.float32), VOICE_RATE_HZ)
    if not len(waveform):
        raise NotApplicable("no speech is found in it")
    embedding: NDArray[np.float32] = _speaker_encoder().embed_utterance(waveform)
    return embedding


@functools.lru_cache(maxsize=1)
def _speaker_encoder() -> Any:
    return importlib.import_module("resemblyzer").VoiceEncoder("cpu", verbose=False)


@functools.lru_cache(maxsize=1)
def _whisper(folder: str) -> Any:
    package = importlib.import_module("faster_whisper")
    return package.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)


def _package(module: str, distribution: str) -> Callable[[Setting], str]:
    def describe(setting: Setting) -> str:
        importlib.import_module(module)
        return f"{distribution} {version(distribution)}"

    return describe


def _recogniser_version(setting: Setting) -> str:
    importlib.import_module("jiwer")
    importlib.import_module("faster_whisper")
    if setting.recogniser is None:
        raise SystemFailure("no recogniser; --recogniser names the folder of a Whisper model")
    folder = Path(setting.recogniser)
    if not (folder / "model.bin").is_file():
        raise SystemFailure(f"{folder}: holds no Whisper model for faster-whisper")
    size = (folder / "model.bin").stat().st_size
    packages = f"faster-whisper {version('faster-whisper')}, jiwer {version('jiwer')}"
    return f"{packages}, {folder.name} of {size} bytes"


def _metric(
    name: str,
    label: str,
    compute: Callable[[Samples, Samples, TestFile, Setting], float],
    describe: Callable[[Setting], str],
    **options: Any,
) -> LibraryMetric:
    given = {"install": EXTRA_VOICES, **options}
    return LibraryMetric(name, label, VOICES, compute, describe, **given)


METRICS: tuple[MetricSpec, ...] = (
    _metric("pesq", "PESQ-WB", pesq_wb, _package("pesq", "pesq")),
    _metric("stoi", "STOI", stoi, _package("pystoi", "pystoi"), digits=3),
    _metric("visqol", "ViSQOL", visqol, _package("visqol", "visqol-python"), is_slow=True),
    _metric("dnsmos", "DNSMOS", dnsmos, _package("speechmos.dnsmos", "speechmos")),
    _metric(
        "si_sdr", "SI-SDR", si_sdr_db, _package("torchmetrics", "torchmetrics"), unit="dB", digits=1
    ),
    _metric(
        "speaker",
        "speaker cosine",
        speaker_cosine,
        _package("resemblyzer", "Resemblyzer"),
        digits=3,
        is_slow=True,
    ),
    _metric(
        "wer",
        "word error rate",
        word_error_rate,
        _recogniser_version,
        unit="%",
        is_higher_better=False,
        digits=1,
        install=f"{EXTRA_VOICES}, and --recogniser FOLDER",
    ),
)
