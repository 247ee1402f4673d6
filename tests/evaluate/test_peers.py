"""Codecs from elsewhere are asked in their own terms."""

import numpy as np
import pytest

from luxvox.evaluate.peers import adopt


class Recorder:
    name = "recorder"

    def __init__(self, points):
        self.points = points
        self.asked = []

    def encode(self, original, point):
        self.asked.append(point)
        return b"x"

    def decode(self, data):
        return np.zeros((1, 1, 3), np.uint8)


@pytest.mark.parametrize(
    ("points", "asked", "expected"),
    [
        ((10, 20), 20.0, 20),
        ((10, 20), 30.0, 30),
        ((10, 20), 12.5, 12.5),
        ((0.5, 1.0), 1.0, 1.0),
        ((np.int64(3), 7), 3.0, np.int64(3)),
        ((1, 2.5), 4.0, 4.0),
    ],
)
def test_points_are_handed_over_as_the_codec_writes_them(points, asked, expected):
    own = Recorder(points)
    peer = adopt(own, "recorder")
    assert peer.points == tuple(map(float, points))
    peer.encode(np.zeros((1, 1, 3), np.uint8), asked)
    assert own.asked == [expected]
    assert type(own.asked[0]) is type(expected)
