"""The encoder's choice: the cheapest word by the context model's own costs."""

import numpy as np
import pytest
import torch

from luxvox.entropy.walk import CodesMeter, walk
from luxvox.models.catalogue import load_picture_codec
from luxvox.models.choice import CONTEXT_RATE_WEIGHT, RateAwareChoice, static_codes
from luxvox.models.image import LEVELS, quality_to_step
from luxvox.models.strips import analyse, grid_shapes

SIZE = (64, 96)


@pytest.fixture(scope="module")
def codec(tiny_weights):
    return load_picture_codec(tiny_weights)


@pytest.fixture(scope="module")
def latents(codec, picture_of):
    pixels = picture_of(*SIZE, 3)
    return analyse(codec.model, pixels, quality_to_step(60.0, codec.model.config), lambda _: None)


def quantisers(codec):
    return {level: codec.model.quantiser(level) for level in LEVELS}


def chosen(codec, latents, source):
    """Codes, bits and squared error in steps of a walk."""
    meter = CodesMeter(source)
    codes = walk(codec.context, grid_shapes(*SIZE), 0, meter)
    error = 0.0
    for level, vq in quantisers(codec).items():
        decoded = vq.decode(torch.from_numpy(codes[level])[None])
        error += float((decoded - latents[level]).square().sum())
    return codes, sum(meter.bits.values()), error


def test_each_choice_is_the_cheapest(codec, latents):
    books = quantisers(codec)
    choice = RateAwareChoice(books, latents)
    left = {level: books[level].group(y).clone() for level, y in latents.items()}
    n_words = 0

    def check(prediction):
        nonlocal n_words
        codes = choice.choose(prediction)
        flags = prediction.flag_logits() / 16.0
        for group in range(codes.shape[1]):
            index = prediction.groups.start + group
            rows = np.flatnonzero(prediction.alive[:, group])
            words = books[prediction.level].codebooks[prediction.stage, index]
            vectors = left[prediction.level][index, prediction.rows[rows]]
            logits = torch.from_numpy(prediction.code_logits(group, rows) / 16.0)
            word_bits = -torch.log_softmax(logits * np.log(2.0), 1) / np.log(2.0)
            other = torch.from_numpy(np.logaddexp2(0.0, flags[rows, group]))[:, None]
            null = torch.from_numpy(np.logaddexp2(0.0, -flags[rows, group]))[:, None]
            bits = torch.cat([null, other + word_bits], 1)
            cost = torch.cdist(vectors, words).square() + CONTEXT_RATE_WEIGHT * bits
            mine = torch.from_numpy(codes[rows, group].astype(np.int64))
            found = cost.gather(1, mine[:, None])[:, 0]
            assert torch.allclose(found, cost.min(1).values, rtol=1e-4, atol=1e-4)
            assert not codes[~prediction.alive[:, group], group].any()
            left[prediction.level][index, prediction.rows[rows]] -= words[mine]
            n_words += int((mine > 0).sum())
        return codes

    chosen(codec, latents, check)
    assert n_words > 100


def test_rate_weight_trades_bits_for_error(codec, latents):
    results = []
    for weight in (0.0, CONTEXT_RATE_WEIGHT, 10 * CONTEXT_RATE_WEIGHT):
        source = RateAwareChoice(quantisers(codec), latents, weight).choose
        results.append(chosen(codec, latents, source))
    bits = [one[1] for one in results]
    errors = [one[2] for one in results]
    assert bits == sorted(bits, reverse=True) and bits[0] > 1.05 * bits[1]
    assert errors == sorted(errors)


def test_latents_are_left_alone(codec, latents):
    before = {level: y.clone() for level, y in latents.items()}
    chosen(codec, latents, RateAwareChoice(quantisers(codec), latents).choose)
    for level, y in latents.items():
        assert torch.equal(y, before[level])


def test_nothing_to_code_is_null(codec, latents):
    nothing = {level: torch.zeros_like(y) for level, y in latents.items()}
    codes, _, error = chosen(codec, nothing, RateAwareChoice(quantisers(codec), nothing).choose)
    assert error == 0.0
    assert not any(array.any() for array in codes.values())


@pytest.mark.parametrize("rate_weight", [0.1155, 0.3])
def test_static_codes_are_those_of_the_vq(codec, latents, rate_weight):
    position = torch.tensor([0.2])
    for level, vq in quantisers(codec).items():
        expected = vq.encode(latents[level], position, rate_weight)[0].numpy()
        codes = static_codes(vq, latents[level], 0.2, rate_weight)
        assert codes.dtype == expected.dtype
        assert (codes != expected).mean() < 1e-3  # ties of floats may fall either way
        assert codes.any() and not codes[1:][codes[:-1] == 0].any()
