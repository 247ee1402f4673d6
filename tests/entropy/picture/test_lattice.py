"""The order of a picture's codes: each code in one pass, predicted only from earlier ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.picture.lattice import EVEN, ODD, LatticePass, phase_mask, picture_levels
from luxvox.entropy.picture.layers import known_taps
from luxvox.tests.entropy.conftest import LEVELS

channel_numbers = st.tuples(
    st.integers(17, 60), st.integers(17, 60), st.integers(25, 150), st.integers(17, 150)
)
grid_sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(channel_numbers, grid_sizes)
def test_every_code_is_predicted_in_one_pass(channels, size):
    for level in picture_levels(channels):
        times = np.zeros((level.n_channels, *size), np.int64)
        for pass_ in level.passes:
            times[pass_.first : pass_.end] += pass_.mask(*size)
        assert (times == 1).all()


@given(channel_numbers)
def test_a_pass_knows_only_earlier_codes(channels):
    for level in picture_levels(channels):
        coded = np.zeros((level.n_channels, 2, 2), np.bool_)
        for pass_ in level.passes:
            assert coded[: pass_.first].all()  # earlier slices everywhere
            known = phase_mask(pass_.known, 2, 2)
            assert (coded[pass_.first : pass_.end] == known).all()
            assert pass_.n_known == (pass_.end if pass_.known else pass_.first)
            coded[pass_.first : pass_.end] |= pass_.mask(2, 2)


@given(channel_numbers)
def test_sections_and_sizes_match_the_passes(channels):
    levels = picture_levels(channels)
    assert [level.name for level in levels] == ["apex", "top", "base", "detail"]
    assert tuple(level.n_channels for level in levels) == channels
    for level in levels:
        assert len(level.passes) == len(level.sections) == len(level.pass_hidden)
        assert level.slices[-1] == level.n_channels
    sections = [section for level in levels for section in level.sections]
    assert sections == sorted(sections)
    assert set(sections) == {1, 2, 3, 4, 5, 6}
    assert (levels[0].n_state, levels[-1].n_up) == (0, 0)
    assert all(level.n_state for level in levels[1:])
    assert all(level.n_up for level in levels[:-1])


@pytest.mark.parametrize("level", [*picture_levels((32, 24, 120, 112)), *LEVELS])
def test_known_taps_are_the_same_at_all_positions_of_a_pass(level):
    """A layer has one set of weights for all positions of a pass."""
    for pass_ in level.passes:
        taps = known_taps(pass_)
        for row, column in pass_.phases:
            for tap in range(9):
                neighbour = (row + tap // 3 - 1) % 2, (column + tap % 3 - 1) % 2
                assert (tap in taps) == (neighbour in pass_.known)


def test_known_taps():
    assert known_taps(LatticePass(0, 2, EVEN, ())) == ()
    assert known_taps(LatticePass(0, 2, ODD, EVEN)) == (1, 3, 5, 7)
    assert known_taps(LatticePass(0, 2, ((1, 1),), ((0, 0),))) == (0, 2, 6, 8)


def test_masks():
    assert phase_mask(EVEN, 3, 4).astype(int).tolist() == [
        [1, 0, 1, 0],
        [0, 1, 0, 1],
        [1, 0, 1, 0],
    ]
    assert phase_mask(((1, 1),), 1, 1).tolist() == [[False]]
    assert phase_mask((), 2, 2).any() == np.False_
