"""A second decoder, written from FORMAT.md alone, reads exactly the same codes as luxvox."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import luxvox
from luxvox.codec import container
from luxvox.codec.container import Part
from luxvox.codec.container.bands import bands_of
from luxvox.codec.picture.codes import BandWalk, decode_codes, encode_codes, fixed_sources
from luxvox.codec.quality import Quality
from luxvox.entropy.coders import CONSTRICTION, TORCHAC
from luxvox.entropy.picture.lattice import picture_levels
from luxvox.entropy.picture.layers import CODE_MAX, MEAN_UNITS, SHIFTS
from luxvox.entropy.picture.tables import N_SYMBOLS, N_TABLES, counts_from_shares
from luxvox.entropy.picture.walk import LatticeContext
from luxvox.errors import FormatError
from luxvox.models.picture.weights import picture_codec, state_sizes
from luxvox.progress import silent
from luxvox.tests.golden.files import farthest, random_source, waves
from luxvox.tests.golden.record import ERRORS, HERE, read_manifest
from luxvox.tests.golden.tiny_pictures import PICTURE, random_tables
from luxvox.tests.golden.tiny_weights import TINY
from luxvox.tests.second_decoder import (
    Cut,
    Refused,
    fingerprint,
    log_step,
    read_codes,
    read_voice_codes,
)

ROOT = Path(__file__).resolve().parent.parent
GOLDEN, REFUSED = read_manifest(HERE), read_manifest(ERRORS)


@pytest.fixture(scope="module")
def tensors():
    return load_file(ROOT / "weights" / f"{picture_codec().card.id}.safetensors")


def assert_same(codes_by_level, expected):
    assert codes_by_level.keys() == expected.keys()
    for level, codes in codes_by_level.items():
        np.testing.assert_array_equal(codes, expected[level], err_msg=level)


@pytest.mark.parametrize(("size", "quality"), [((33, 40), 60), ((20, 75), 5), ((30, 30), 94)])
def test_both_read_the_same_codes(tensors, size, quality):
    data = luxvox.compress_image(waves(*size), quality)
    codes = luxvox.codes(data)
    assert any(array.any() for array in codes.values())
    assert_same(read_codes(data, tensors), codes)


def test_both_read_the_same_codes_of_a_cut_file(tensors):
    data = luxvox.compress_image(waves(150, 140), 94)
    last = container.list_sections(data).entries[-1]
    cut = data[: last.offset + last.size // 2]
    with pytest.warns(luxvox.TruncatedWarning):
        codes = luxvox.codes(cut)
    assert_same(read_codes(cut, tensors), codes)


class RandomModel:
    """A context model of random tables, for both decoders."""

    def __init__(self, seed, line_reach=2, alter=lambda tables: None):
        generator = torch.Generator().manual_seed(seed)
        levels = picture_levels(PICTURE.channels)
        following = state_sizes(levels)
        tables = {
            level.name: random_tables(level, following[level.name], generator, line_reach)
            for level in levels
        }
        for level in levels:
            alter(tables[level.name])
        shares = np.random.default_rng(seed).dirichlet(np.full(N_SYMBOLS, 0.3), N_TABLES)
        counts = counts_from_shares(shares)
        self.context = LatticeContext(levels, tables, counts)
        whole = {
            f"context.{level}.{name}": table.numpy().astype(np.int64).astype(np.int32)
            for level, named in tables.items()
            for name, table in named.items()
        }
        self.tensors = whole | {"context.tables": counts.astype(np.int32)}

    def file(self, size, p, source, coder=CONSTRICTION, band_rows=None):
        """Return the bytes of a file and its codes; of a quality that gives log-step p."""
        quality = next(q for q in range(100, 10001) if log_step(q) == p)
        print_ = fingerprint(self.tensors)
        rows = -(-size[0] // 64) if band_rows is None else band_rows
        header = container.PictureHeader(
            0, print_, size[1], size[0], True, False, True, 0, coder, Quality(quality), rows
        )
        walk = self.walk(header)
        codes, parts = encode_codes(walk, fixed_sources([source] * walk.bands.n_bands))
        return container.write(header, [], parts), codes

    def walk(self, header):
        p = log_step(header.quality.hundredths)
        return BandWalk(self.context, bands_of(header), p, header.coder, silent)

    def read(self, data):
        """Return the codes as luxvox reads them."""
        content = container.read(data)
        assert isinstance(content.header, container.PictureHeader)
        return decode_codes(self.walk(content.header), content.parts)


def random(seed, null_sections=(), share=0.5):
    return random_source(np.random.default_rng(seed), null_sections, share)


@pytest.mark.parametrize("null_sections", [(), (3,), (5, 6), (1, 2, 3), (1, 2, 3, 4, 5, 6)])
@pytest.mark.parametrize("p", [-127, 31])
def test_both_read_the_codes_of_a_random_model(p, null_sections):
    model = RandomModel(seed=p + 200)
    data, codes = model.file((33, 66), p, random(p + 200, null_sections))
    empty = set(range(1, 7)) - {part.section for part in container.read(data).parts}
    assert empty <= set(null_sections)
    assert_same(read_codes(data, model.tensors), codes)
    assert_same(model.read(data), codes)


@pytest.mark.parametrize(("size", "band_rows"), [((130, 20), 1), ((200, 9), 2), ((90, 70), 0)])
def test_both_read_the_bands_of_a_random_model(size, band_rows):
    model = RandomModel(seed=8)
    data, codes = model.file(size, 0, random(8), band_rows=band_rows)
    assert_same(read_codes(data, model.tensors), codes)
    assert_same(model.read(data), codes)


def test_both_read_the_codes_of_a_random_model_with_coder_2():
    pytest.importorskip("torchac")
    model = RandomModel(seed=3)
    data, codes = model.file((70, 40), 0, random(3), TORCHAC)
    assert_same(read_codes(data, model.tensors), codes)
    assert_same(model.read(data), codes)


def test_runaway_means_stay_in_range():
    """Linear predictors with large taps, next to the largest codes."""
    model = RandomModel(seed=4, line_reach=127)
    choose, means = farthest(np.random.default_rng(4), share=0.5), []

    def source(prediction):
        means.append(np.abs(prediction.mean).max(initial=0))
        return choose(prediction)

    data, codes = model.file((50, 70), 5, source)
    assert max(means) == MEAN_UNITS * CODE_MAX
    assert_same(read_codes(data, model.tensors), codes)
    assert_same(model.read(data), codes)


def all_silent(tables):
    """Set all scales to 0, and means to codes other than 0."""
    for name, values in tables.items():
        if name.endswith("out.weight"):
            values.zero_()
        if name.endswith("out.bias"):
            n = len(values) // 2
            values[:n], values[n:] = 3.0 * (8 << SHIFTS["out"]), 0.0


@pytest.mark.parametrize("coder", [CONSTRICTION, TORCHAC])
def test_a_section_of_silent_codes_is_one_zero_byte(coder):
    model = RandomModel(seed=5, alter=all_silent)
    data, codes = model.file((9, 9), 5, random(5), coder)
    assert [*container.read(data).parts.values()] == [b"\0"] * 6
    assert all(array.any() for array in codes.values())
    assert_same(read_codes(data, model.tensors), codes)
    assert_same(model.read(data), codes)
    content = container.read(data)
    data = container.write(content.header, [], {**content.parts, Part(1, 0): b"\1"})
    with pytest.raises(Refused, match="no symbol"):
        read_codes(data, model.tensors)
    with pytest.raises(FormatError, match="codes 1: bytes are left"):
        model.read(data)


def test_both_refuse_the_same_junk():
    model, outcomes = RandomModel(seed=6), []
    generator = np.random.default_rng(6)
    data, codes = model.file((9, 9), 5, random(6))
    content = container.read(data)
    for _ in range(12):
        payload = bytearray(content.parts[Part(1, 0)])
        payload[generator.integers(len(payload))] ^= 1 << int(generator.integers(8))
        junk = container.write(content.header, [], {Part(1, 0): bytes(payload)})
        outcomes.append(outcome(lambda junk=junk: model.read(junk)))
        assert outcome(lambda junk=junk: read_codes(junk, model.tensors)) == outcomes[-1]
    assert "refused" in outcomes


def outcome(read):
    try:
        return {level: array.tolist() for level, array in read().items()}
    except (FormatError, Refused):
        return "refused"


def test_other_weights_are_refused(tensors):
    data = luxvox.compress_image(waves(9, 9), 5)
    changed = {**tensors, "context.steps": tensors["context.steps"] + 1}
    with pytest.raises(Refused, match="other weights"):
        read_codes(data, changed)


def weights_of(entry):
    folder = TINY if entry["weights"].endswith("-0") else ROOT / "weights"
    card = json.loads((folder / f"{entry['weights']}.json").read_text(encoding="utf-8"))
    return load_file(folder / f"{entry['weights']}.safetensors"), card


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_give_the_recorded_codes(name):
    entry = GOLDEN[name]
    data = (HERE / f"{name}.lvx").read_bytes()
    tables, card = weights_of(entry)
    if entry["fingerprint"] != card["fingerprint"]:
        pytest.skip("made with other weights")
    if card["kind"] == "voice":
        channels = read_voice_codes(data, tables, card["config"]["first_stages"])
        decoded = {"frames": np.stack(channels) if len(channels) == 2 else channels[0]}
    else:
        decoded = read_codes(data, tables)
    assert decoded.keys() == entry["codes"].keys()
    stored = "<u2" if card["kind"] == "voice" else "<i2"
    for level, recorded in entry["codes"].items():
        assert list(decoded[level].shape) == recorded["shape"]
        digest = hashlib.sha256(decoded[level].astype(stored).tobytes()).hexdigest()
        assert digest == recorded["sha256"], level


BEYOND_THE_CODES = (
    *("alpha-png", "alpha-webp", "alpha-junk", "alpha-empty", "unknown-model"),
    *("metadata-",),
)
LIMITS = ("over-max-pixels", "largest-picture", "voice-longest", "voice-over-max-seconds")


@pytest.mark.parametrize("name", sorted(set(REFUSED) - set(LIMITS)))
def test_both_refuse_the_same(name):
    if name.startswith(BEYOND_THE_CODES):
        pytest.skip("the second decoder reads codes alone")
    data = (ERRORS / f"{name}.lvx").read_bytes()
    with pytest.raises(Refused) as refusal:
        if data[:6] == b"\x89LVX\1\2":
            read_voice_codes(data, load_file(TINY / "voice-0.safetensors"), 2)
        else:
            read_codes(data, load_file(TINY / "picture-0.safetensors"))
    assert isinstance(refusal.value, Cut) == (REFUSED[name]["error"] == "TruncatedError")
