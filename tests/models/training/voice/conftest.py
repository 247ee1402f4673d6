"""A tiny voice model's sizes, and voices to train it on."""

import numpy as np

from luxvox.models.voice.networks import SpeechConfig

TINY = SpeechConfig(
    n_channels=12,
    n_stages=4,
    codebook_size=32,
    first_stages=2,
    width=16,
    expansion=2,
    analysis_blocks=1,
    synthesis_blocks=1,
    finest_depth=4.0,
)


def voice(n, seed):
    """Gliding harmonics with pauses, float64 [n]."""
    t = np.arange(n) / 16_000
    generator = np.random.default_rng(seed)
    glide = 2 * np.pi * ((100 + 30 * seed) * t + 8 * np.sin(2 * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 10)) * (np.sin(3 * t + seed) > -0.5)
    return 0.1 * sound + 0.001 * generator.standard_normal(n)
