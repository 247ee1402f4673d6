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
