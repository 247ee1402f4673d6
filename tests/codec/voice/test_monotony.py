"""More bits give a better voice, by the distances that training minimises and by plain error."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import luxvox
from luxvox.models.voice.losses import distortions, spectra

EXAMPLE = Path(__file__).parents[3] / "examples" / "kennedy_1961.flac"


@pytest.fixture(scope="module")
def speech():
    samples, rate_hz = soundfile.read(EXAMPLE, dtype="float32")
    return samples[: 5 * rate_hz], rate_hz


def distance(decoded, original):
    level = 0.1 / np.sqrt(np.mean(original**2))  # the distances are made for the common level
    pair = (torch.from_numpy(level * samples)[None].float() for samples in (decoded, original))
    decoded, expected = map(spectra, pair)
    return float(distortions(decoded, expected)[0])


def test_a_higher_bitrate_is_a_better_voice(speech):
    samples, rate_hz = speech
    files = [luxvox.compress_speech(samples, rate_hz, bitrate) for bitrate in (0.75, 1.5, 3, 6, 8)]
    assert sorted(files, key=len) == files
    distances = [distance(luxvox.decompress_speech(file)[0], samples) for file in files]
    assert sorted(distances, reverse=True) == distances


def test_more_effort_is_no_worse_a_voice(speech):
    samples, rate_hz = speech
    files = [luxvox.compress_speech(samples, rate_hz, 3, effort=effort) for effort in (1, 5)]
    distances = [distance(luxvox.decompress_speech(file)[0], samples) for file in files]
    assert sorted(distances, reverse=True) == distances
