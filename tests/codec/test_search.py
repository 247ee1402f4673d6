"""The search for a size, a rate or a PSNR."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from luxvox.codec.search import (
    BEYOND,
    COARSEST,
    FINEST,
    Axis,
    Window,
    find,
    fineness_axis,
    quality_and_worth,
)


def test_fineness_is_quality_then_worth():
    assert quality_and_worth(100) == (100, 1.0)
    assert quality_and_worth(4321) == (4321, 1.0)
    assert quality_and_worth(10_000) == (10_000, 1.0)
    below, above = quality_and_worth(COARSEST - BEYOND), quality_and_worth(FINEST + BEYOND)
    assert below[0] == 100 and above[0] == 10_000
    assert math.isclose(below[1], 6.0) and math.isclose(above[1], 1 / 6.0)


@settings(deadline=None)
@given(st.floats(0.00005, 0.001), st.floats(-2, 2), st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_what_lies_in_reach_is_found_with_few_tries(slope, bend, first, where):
    axis = fineness_axis(first, 0.0003)

    def measure(number):
        tried.append(number)
        share = (number - axis.low) / (axis.high - axis.low)
        return slope * (number + bend * 1000 * share * (1 - share))

    tried: list[int] = []
    aim = measure(round(axis.low + where * (axis.high - axis.low)))
    tried.clear()
    window = Window(aim - 0.02, aim, aim + 0.02)
    assert window.holds(measure(find(measure, window, axis)))
    assert len(tried) <= 13


def test_out_of_reach_gives_the_nearest_end():
    axis = Axis(-5, 5, 0, 1.0)
    assert find(float, Window(90, 100, 110), axis) == 5
    assert find(float, Window(-110, -100, -90), axis) == -5


def test_steps_give_the_nearest():
    found = find(lambda number: float(number >= 37), Window(0.5, 0.6, 0.7), Axis(0, 100, 50, 0.1))
    assert found >= 37
