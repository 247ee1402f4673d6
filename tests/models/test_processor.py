"""What the processor is asked for."""

import platform

import pytest
import torch

from luxvox.models.processor import has_bfloat16


@pytest.fixture(autouse=True)
def asked_anew():
    has_bfloat16.cache_clear()
    yield
    has_bfloat16.cache_clear()


@pytest.mark.parametrize("has_avx512, has_amx", [(True, False), (False, True), (False, False)])
def test_either_kind_of_unit_is_enough(monkeypatch, has_avx512, has_amx):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx, raising=False)
    assert has_bfloat16() is (has_avx512 or has_amx)


def test_older_torch_cannot_tell(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_bfloat16()


def test_other_processors_have_no_such_units(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not has_bfloat16()
