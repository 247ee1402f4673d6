"""The loudness of a voice while it speaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from luxvox.timeline import FRAME_SAMPLES

ACTIVE_RANGE_DB = 30.0  # frames more than this below the loud ones are pauses
LOUD_SHARE = 0.95
SILENCE = 1e-5  # the RMS that digital silence counts as: −100 dB of full scale
REFERENCE = 0.1  # RMS at which voices are coded


def frame_powers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean power of each frame of 320 samples of [T]; a shorter rest is left out."""
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    frames = samples[:whole].reshape(-1, FRAME_SAMPLES).astype(np.float64)
    powers: NDArray[np.float64] = np.square(frames).mean(axis=1)
    return powers


def active_rms(samples: NDArray[np.float32]) -> float:
    """Return the RMS of the active frames of samples [T], see `rms_of_active`."""
    return rms_of_active(frame_powers(samples))


def rms_of_active(powers: NDArray[np.float64]) -> float:
    """Return the RMS of the active frames, in units of `REFERENCE`, at least `SILENCE`.

    Args:
        powers: mean power of each frame [F], full scale 1.
    """
    if not len(powers):
        return SILENCE / REFERENCE
    loud = float(np.quantile(powers, LOUD_SHARE))
    active = powers[powers >= loud * 10.0 ** (-ACTIVE_RANGE_DB / 10.0)]
    rms = float(np.sqrt(active.mean())) if len(active) else 0.0
    return max(rms, SILENCE) / REFERENCE
