"""Freed memory goes back to the system where the C library can do that."""

import ctypes

import pytest

from luxvox.codec import memory


@pytest.fixture(autouse=True)
def afresh():
    memory._trim.cache_clear()
    yield
    memory._trim.cache_clear()


def test_the_c_library_is_asked(monkeypatch):
    asked: list[int] = []

    class Library:
        malloc_trim = staticmethod(asked.append)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    memory.release()
    assert asked == [0]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_other_c_libraries_are_left_alone(monkeypatch, error):
    """Nothing is raised."""

    def fail(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    memory.release()


@pytest.mark.parametrize(
    "environment, asked",
    [({"MALLOC_TRIM_THRESHOLD_": "65536"}, [(-1, 1 << 26), (-3, 1 << 25)]), ({}, [])],
)
def test_only_the_setting_of_dask_is_replaced(environment, asked):
    calls: list[tuple[int, int]] = []

    def mallopt(number: int, value: int) -> int:
        calls.append((number, value))
        return 1

    assert memory._keep_as_usual(environment, mallopt) is bool(asked)
    assert calls == asked
    assert not memory._keep_as_usual({"MALLOC_TRIM_THRESHOLD_": "100000"}, mallopt)
    assert calls == asked


def test_other_c_libraries_keep_what_they_keep(monkeypatch):
    def fail(name):
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert memory._mallopt() is None
    assert not memory._keep_as_usual({"MALLOC_TRIM_THRESHOLD_": "65536"}, None)
