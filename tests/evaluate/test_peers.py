"""Codecs from elsewhere are called in their own terms."""

import numpy as np
import pytest

from luxvox.errors import UsageError
from luxvox.evaluate import peers
from luxvox.evaluate.inputs import VOICES
from luxvox.evaluate.measure import fit_to_original
from luxvox.evaluate.peers import PeerSpec, adopt, enter


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
    ("points", "requested", "expected"),
    [
        ((10, 20), 20.0, 20),
        ((10, 20), 30.0, 30),
        ((10, 20), 12.5, 12.5),
        ((0.5, 1.0), 1.0, 1.0),
        ((np.int64(3), 7), 3.0, np.int64(3)),
        ((1, 2.5), 4.0, 4.0),
    ],
)
def test_points_are_passed_in_the_codecs_own_types(points, requested, expected):
    recorder = Recorder(points)
    peer = adopt(recorder, "recorder")
    assert peer.points == tuple(map(float, points))
    peer.encode(np.zeros((1, 1, 3), np.uint8), requested)
    assert recorder.asked == [expected]
    assert type(recorder.asked[0]) is type(expected)


@pytest.mark.parametrize("shape", [(1, 100), (100, 1), (100, 2)])
def test_voices_of_more_dimensions_are_refused(shape):
    with pytest.raises(ValueError, match="not \\[T\\]"):
        fit_to_original(np.zeros(shape, np.float32), np.zeros(100, np.float32), VOICES)


@pytest.mark.parametrize("n", [0, 90, 100, 130])
def test_voices_are_cut_and_padded(n):
    decoded = fit_to_original(np.ones(n, np.float32), np.zeros(100, np.float32), VOICES)
    assert decoded.tolist() == [1.0] * min(n, 100) + [0.0] * max(100 - n, 0)


def test_checkpoints_are_refused_by_codecs_without_them(monkeypatch):
    monkeypatch.setattr(peers, "_foreign_object", lambda name: Recorder((1, 2)))
    assert enter(PeerSpec("own:peer"))
    with pytest.raises(UsageError, match="checkpoint"):
        enter(PeerSpec("own:peer", checkpoints=("w.pt",)))
