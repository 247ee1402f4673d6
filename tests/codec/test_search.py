"""The search for a size, a rate or a PSNR."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from luxvox.codec.quality import COARSEST, FINEST, Quality
from luxvox.codec.search import (
    PICTURE_NUMBERS,
    LineForecast,
    Window,
    find,
    quality_and_lambda_factor,
)


def test_numbers_are_qualities_then_lambda():
    assert quality_and_lambda_factor(100) == (COARSEST, 1.0)
    assert quality_and_lambda_factor(4321) == (Quality(4321), 1.0)
    assert quality_and_lambda_factor(10_000) == (FINEST, 1.0)
    below, above = (quality_and_lambda_factor(PICTURE_NUMBERS[n]) for n in (0, -1))
    assert below[0] == COARSEST and above[0] == FINEST
    assert math.isclose(below[1], 6.0) and math.isclose(above[1], 1 / 6.0)


@settings(deadline=None)
@given(st.floats(0.00005, 0.001), st.floats(-2, 2), st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_a_target_in_reach_is_found_with_few_tries(slope, bend, first, where):
    low, high = PICTURE_NUMBERS[0], PICTURE_NUMBERS[-1]

    def measure(number):
        tried.append(number)
        share = (number - low) / (high - low)
        return slope * (number + bend * 1000 * share * (1 - share))

    tried: list[int] = []
    aim = measure(round(low + where * (high - low)))
    tried.clear()
    window = Window(aim - 0.02, aim, aim + 0.02)
    found = find(measure, window, PICTURE_NUMBERS, LineForecast(first, 0.0003))
    assert window.holds(measure(found))
    assert len(tried) <= 13


def test_out_of_reach_gives_the_nearest_end():
    numbers, forecast = range(-5, 6), LineForecast(0, 1.0)
    assert find(float, Window(90, 100, 110), numbers, forecast) == 5
    assert find(float, Window(-110, -100, -90), numbers, forecast) == -5


def test_steps_give_the_nearest():
    window, forecast = Window(0.5, 0.6, 0.7), LineForecast(50, 0.1)
    assert find(lambda number: float(number >= 37), window, range(101), forecast) >= 37


def test_a_limit_is_not_exceeded():
    """0.9 is nearer to the aim than 0, but above the limit."""
    window, forecast = Window(0.5, 0.6, 0.7, is_limit=True), LineForecast(50, 0.1)
    assert find(lambda number: 0.9 * (number >= 37), window, range(101), forecast) < 37
