"""A photograph, and small files made from it, for all tests of pictures."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox.codec import container
from luxvox.tests.codec.picture_checks import parts_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "eileen_collins.png"


@pytest.fixture(scope="module")
def photograph():
    """A part of the example with a face in it, uint8 [224, 256, 3]."""
    with Image.open(EXAMPLE) as image:
        return np.asarray(image.convert("RGB"))[16:240, 128:384].copy()


@pytest.fixture(scope="module")
def small_file(photograph):
    """The file of a small picture, with alpha and all code sections."""
    pixels = photograph[40:184, 40:120]
    alpha = np.full((144, 80, 1), 7, np.uint8)
    data = luxvox.compress_image(np.concatenate([pixels, alpha], 2), 90)
    entries = container.list_sections(data).entries
    assert [entry.type for entry in entries] == [1, 2, 3, 4, 5, 6, container.ALPHA]
    return data


@pytest.fixture(scope="module")
def banded_file(photograph):
    """A picture in three bands."""
    with mock.patch("luxvox.codec.picture.encoding.usual_band_rows", lambda height, width: 1):
        data = luxvox.compress_image(photograph[:150, :100], 60)
    assert len(parts_of(data)) == 3 * 6
    return data


@pytest.fixture(scope="module")
def tiny_file(photograph):
    return luxvox.compress_image(photograph[60:92, 60:100], 30)
