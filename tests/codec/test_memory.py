"""Freed memory goes back to the system if the C library can do that."""

import ctypes

import pytest

from luxvox.codec import memory


@pytest.fixture(autouse=True)
def afresh():
    memory._function.cache_clear()
    memory.keep_as_usual.cache_clear()
    yield
    memory._function.cache_clear()
    memory.keep_as_usual.cache_clear()


def test_the_c_library_is_called(monkeypatch):
    pads: list[int] = []

    class Library:
        malloc_trim = staticmethod(pads.append)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    memory.release()
    assert pads == [0]


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_other_c_libraries_are_left_alone(monkeypatch, error):
    """Nothing is raised."""

    def fail(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    memory.release()
    memory.keep_as_usual()


@pytest.mark.parametrize(
    "threshold, expected", [("65536", [(-1, 1 << 26), (-3, 1 << 25)]), ("100000", []), (None, [])]
)
def test_only_the_setting_of_dask_is_replaced_once(monkeypatch, threshold, expected):
    calls: list[tuple[int, int]] = []

    class Library:
        mallopt = staticmethod(lambda number, value: calls.append((number, value)))

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if threshold is not None:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", threshold)
    memory.keep_as_usual()
    memory.keep_as_usual()
    assert calls == expected
