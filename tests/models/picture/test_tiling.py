"""Strips of a picture."""

import pytest

from luxvox.models.picture.tiling import strips


@pytest.mark.parametrize(("height", "reach"), [(64, 24), (192, 0), (192, 24), (320, 100)])
def test_strips_cover_the_picture(height, reach):
    cut = list(strips(height, 64, reach, 16, strip_pixels=64 * 64))
    assert cut[0].first == 0 and cut[-1].last == cut[-1].high == height
    for strip in cut:
        assert strip.first - strip.low in (strip.first, -(-reach // 16) * 16)
        assert strip.low % 16 == strip.high % 16 == 0
        assert strip.first - strip.low >= min(reach, strip.first)
        assert strip.high - strip.last >= min(reach, height - strip.last)
        assert strip.rows(8).stop - strip.rows(8).start == (strip.high - strip.low) // 8
    for upper, lower in zip(cut, cut[1:], strict=False):
        assert upper.last == lower.first
