"""Tables of counts fitted to codes."""

import numpy as np
import torch

from luxvox.entropy.picture.tables import check_counts, start_tables
from luxvox.models.training.picture.data import Pictures
from luxvox.models.training.picture.parts import load_parts
from luxvox.models.training.picture.tables import fit_tables


def test_fitted_tables_are_legal_and_follow_the_codes(trained_run, folder, small_batches):
    parts = load_parts(trained_run)
    parts.counts.copy_(torch.from_numpy(start_tables()))
    fit_tables(parts, Pictures([folder]))
    fitted = parts.counts.numpy()
    check_counts(fitted)
    changed = (fitted != start_tables()).any(axis=1)
    assert 0 < changed.sum() < len(fitted)
    # A table that was never used stays as training assumed it, up to rounding.
    assert np.abs(fitted[~changed] - start_tables()[~changed]).max() == 0
