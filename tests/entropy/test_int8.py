"""Products by int8 units equal float sums, to the last bit."""

import platform
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy import int8 as products


def use_int8(int8):
    """Use int8 units, or float sums."""
    if int8 and not products.has_exact_int8():
        pytest.skip("no exact int8 products here")
    return mock.patch.object(products, "has_exact_int8", lambda: int8)


@pytest.mark.parametrize("int8", [True, False])
@given(
    sizes=st.tuples(st.integers(1, 80), st.integers(1, 800), st.integers(1, 60)),
    values=st.sampled_from([[-127, 127], [-127, 0, 127], range(-127, 128)]),
    shift=st.integers(1, 9),
    seed=st.integers(0, 1 << 32),
)
def test_products_are_exact(int8, sizes, values, shift, seed):
    n_rows, n_sum, n_columns = sizes
    generator = np.random.default_rng(seed)
    x, weight = (
        torch.from_numpy(generator.choice(np.array(values, np.float32), (n, n_sum)))
        for n in (n_rows, n_columns)
    )
    bias = torch.from_numpy(generator.integers(-(1 << 20), 1 << 20, n_columns)).float()
    with use_int8(int8):
        result = products.rescaled_linear(x, weight, bias, shift)
    exact_sums = (x.double() @ weight.double().T + bias.double()).long()
    assert torch.equal(result.long(), (exact_sums + (1 << (shift - 1))) >> shift)


@pytest.mark.parametrize("int8", [True, False])
def test_gradients_pass_the_product(int8):
    x, weight = torch.ones(20, 4, requires_grad=True), torch.ones(3, 4, requires_grad=True)
    with use_int8(int8):
        products.rescaled_linear(x, weight, torch.zeros(3), 2).sum().backward()
    torch.testing.assert_close(x.grad, torch.full((20, 4), 0.75), rtol=0.0, atol=0.0)
    torch.testing.assert_close(weight.grad, torch.full((3, 4), 5.0), rtol=0.0, atol=0.0)


def saturating(x, weight):
    """Add pairs of products in 16 bits, one factor shifted by 128, as processors without VNNI."""
    shifted = x.double() + 128.0
    halves = (shifted[:, ::2], weight[::2].double()), (shifted[:, 1::2], weight[1::2].double())
    pairs = sum(a[:, :, None] * b[None] for a, b in halves)
    return (pairs.clamp(-32768, 32767).sum(1) - 128.0 * weight.double().sum(0)).int()


def exact(x, weight):
    return (x.double() @ weight.double()).int()


def missing(x, weight):
    raise RuntimeError("not implemented")


@pytest.mark.parametrize(("units", "used"), [(saturating, False), (exact, True), (missing, False)])
def test_only_exact_units_are_used(monkeypatch, units, used):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", units)
    assert products.has_exact_int8.__wrapped__() == used


def test_without_int8_units_floats_are_used(monkeypatch):
    monkeypatch.delattr(torch, "_int_mm")
    assert not products.has_exact_int8.__wrapped__()
