"""The one place where samples of pictures become 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def round_to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Clip to 0..255 and round half up.

    Args:
        values: floats of any shape, in 8-bit units, no NaN.

    Returns:
        uint8 of the same shape.
    """
    fraction = np.clip(values, 0, 255)
    whole = np.floor(fraction)
    # The difference is exact, whereas adding a half first would itself be rounded.
    fraction -= whole
    whole += fraction >= 0.5
    rounded: NDArray[np.uint8] = whole.astype(np.uint8)
    return rounded
