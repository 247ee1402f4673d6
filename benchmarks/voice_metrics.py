"""Quality of a decoded voice beside its original; each metric by a kept package."""

import functools
import importlib
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000

Samples = NDArray[np.float32]


def pesq_wb(original: Samples, decoded: Samples) -> float:
    """Return PESQ-WB (ITU-T P.862.2), 1.0 to 4.64, by the package pesq."""
    return float(importlib.import_module("pesq").pesq(RATE_HZ, original, decoded, "wb"))


def stoi(original: Samples, decoded: Samples) -> float:
    """Return STOI (Taal et al., 2011), up to 1, by the package pystoi."""
    return float(importlib.import_module("pystoi").stoi(original, decoded, RATE_HZ))


def visqol(original: Samples, decoded: Samples) -> float:
    """Return ViSQOL's MOS (Chinen et al., 2020) in speech mode, by the package visqol-python."""
    pair = original.astype(np.float64), decoded.astype(np.float64)
    return float(_visqol().measure_from_arrays(*pair, RATE_HZ).moslqo)


def snr_db(original: Samples, decoded: Samples) -> float:
    """Return the signal-to-noise ratio of the waveform in dB."""
    signal = float(np.square(original.astype(np.float64)).sum())
    noise = float(np.square(original.astype(np.float64) - decoded).sum())
    return 10.0 * math.log10(max(signal, 1e-12) / max(noise, 1e-12))


def speaker_cosine(original: Samples, decoded: Samples) -> float:
    """Return the cosine of speaker embeddings (Wan et al., 2018), by the package Resemblyzer."""
    one, other = (_speaker_embedding(x.tobytes()) for x in (original, decoded))
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))


def word_errors(decoded: Samples, text: str, recogniser: str) -> tuple[int, int]:
    """Return how many word errors a recogniser makes, and how many words the text has.

    Args:
        decoded: samples.
        text: what is said.
        recogniser: folder of a Whisper model as faster-whisper takes it.
    """
    segments, _ = _whisper(recogniser).transcribe(decoded, language="en", beam_size=5)
    heard = words("".join(segment.text for segment in segments))
    said = words(text)
    return edit_distance(said, heard), len(said)


def words(text: str) -> list[str]:
    """Return the words of a text in capitals, without punctuation."""
    return re.sub(r"[^A-Z0-9' ]", " ", text.upper().replace("’", "'")).split()


def edit_distance(said: list[str], heard: list[str]) -> int:
    """Return the fewest insertions, deletions and substitutions between two lists (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            best = min(before + (word != other), row[j] + 1, row[j - 1] + 1)
            before, row[j] = row[j], best
    return row[-1]


@functools.lru_cache(maxsize=1)
def _visqol() -> Any:
    api = importlib.import_module("visqol").VisqolApi()
    api.create(mode="speech")
    return api


@functools.lru_cache(maxsize=64)
def _speaker_embedding(samples: bytes) -> NDArray[np.float32]:
    package = importlib.import_module("resemblyzer")
    waveform = package.preprocess_wav(np.frombuffer(samples, np.float32), RATE_HZ)
    embedding: NDArray[np.float32] = _speaker_encoder().embed_utterance(waveform)
    return embedding


@functools.lru_cache(maxsize=1)
def _speaker_encoder() -> Any:
    return importlib.import_module("resemblyzer").VoiceEncoder("cpu", verbose=False)


@functools.lru_cache(maxsize=1)
def _whisper(folder: str) -> Any:
    if not (Path(folder) / "model.bin").is_file():
        raise FileNotFoundError(f"{folder}: holds no Whisper model for faster-whisper")
    package = importlib.import_module("faster_whisper")
    return package.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)
