"""A second decoder, made from FORMAT.md alone, reads the same codes as luxvox, to the last one."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import luxvox
from luxvox.codec import container, pictures
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.coders import CONSTRICTION
from luxvox.entropy.walk import CodesEncoder, known, walk
from luxvox.models.catalogue import picture_codec
from luxvox.tests import second_decoder
from luxvox.tests.golden.files import TINY
from luxvox.tests.golden.record import ERRORS, HERE, read_manifest
from luxvox.tests.second_decoder import (
    STATE,
    Cut,
    RangeDecoder,
    Refused,
    read_codes,
    read_picture,
    read_voice_codes,
)

ROOT = Path(__file__).resolve().parent.parent
GOLDEN, REFUSED = read_manifest(HERE), read_manifest(ERRORS)


def grey_picture():
    """Uint8 [33, 40]: waves and noise."""
    y, x = np.mgrid[:33, :40]
    noise = np.random.default_rng(1).normal(0, 9, (33, 40))
    return np.clip(120 + 70 * np.sin(x / 5) * np.cos(y / 7) + noise, 0, 255).astype(np.uint8)


def colour_picture():
    """Uint8 [50, 75, 3]: waves, a slope, an edge and noise."""
    y, x = np.mgrid[:50, :75]
    waves = 128 + 90 * np.sin(x / 9) + 30 * np.cos(y / 3)
    blocks = 200 - x + 40 * ((x // 8 + y // 8) % 2)
    picture = np.stack([waves, 60 + 2 * y + x, blocks], -1)
    noise = np.random.default_rng(2).normal(0, 12, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def tensors():
    return load_file(ROOT / "weights" / f"{picture_codec().card.id}.safetensors")


def assert_same(some, others):
    assert some.keys() == others.keys()
    for level, codes in some.items():
        np.testing.assert_array_equal(codes, others[level], err_msg=level)


@pytest.mark.parametrize("quality", [5, 60, 97])
@pytest.mark.parametrize("picture", [grey_picture(), colour_picture()], ids=["grey", "colour"])
def test_both_read_the_same_codes(tensors, picture, quality):
    data = luxvox.compress_image(picture, quality)
    codes = pictures.codes(data)
    assert any(array.any() for array in codes.values())
    assert_same(read_codes(data, tensors), codes)


def test_both_read_the_same_codes_of_a_cut_file(tensors):
    data = luxvox.compress_image(colour_picture(), 97)
    last = container.list_sections(data).entries[-1]
    cut = data[: last.offset + last.size // 2]
    with pytest.warns(luxvox.TruncatedWarning):
        codes = pictures.codes(cut)
    assert_same(read_codes(cut, tensors), codes)


def file_of_random_codes(null_sections):
    """A file of made-up codes, those of some sections all null, and the codes."""
    codec = picture_codec()
    content = container.read(luxvox.compress_image(grey_picture(), 80))
    generator = np.random.default_rng(len(null_sections))
    codes = {
        level: generator.integers(1, 256, array.shape).astype(np.uint8)
        for level, array in pictures.codes(container.write(content.header, [])).items()
    }
    for plan in codec.context.plan:
        open_places = np.bool_(True)
        for stage, section in enumerate(plan.sections):
            words = codes[plan.name][stage]
            open_places = open_places & (generator.random(words.shape) < 0.4)
            words[~open_places | (section in null_sections)] = 0
            open_places = words != 0
    encoder = CodesEncoder(known(codes), CONSTRICTION)
    shapes = {level: array.shape[2:] for level, array in codes.items()}
    walk(codec.context, shapes, centi_to_position(content.header.quality_centi), encoder)
    payloads = encoder.sections()
    assert not payloads.keys() & null_sections
    sections = [container.Section(n, payloads.get(n, b"")) for n in range(1, 5)]
    return container.write(content.header, sections), codes


@pytest.mark.parametrize("null_sections", [set(), {2}, {3, 4}, {1, 2}, {1, 2, 3, 4}])
def test_sections_of_null_codes_are_empty(tensors, null_sections):
    data, codes = file_of_random_codes(null_sections)
    assert_same(read_codes(data, tensors), codes)
    assert_same(pictures.codes(data), codes)


def test_other_weights_are_refused(tensors):
    data = luxvox.compress_image(grey_picture(), 5)
    other = {**tensors, "order_16": tensors["order_16"][::-1]}
    with pytest.raises(Refused, match="other weights"):
        read_codes(data, other)


def weights_of(entry):
    folder = TINY if entry["weights"].endswith("-0") else ROOT / "weights"
    card = json.loads((folder / f"{entry['weights']}.json").read_text(encoding="utf-8"))
    return load_file(folder / f"{entry['weights']}.safetensors"), card


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_give_the_recorded_codes(name):
    entry = GOLDEN[name]
    data = (HERE / f"{name}.lvx").read_bytes()
    tables, card = weights_of(entry)
    if card["kind"] == "voice":
        channels = read_voice_codes(data, tables, card["config"]["first_stages"])
        found = {"frames": np.stack(channels) if len(channels) == 2 else channels[0]}
    else:
        found = read_codes(data, tables)
    assert found.keys() == entry["codes"].keys()
    small = "<u1" if card["config"]["codebook_size"] <= 256 else "<u2"
    for level, recorded in entry["codes"].items():
        assert list(found[level].shape) == recorded["shape"]
        digest = hashlib.sha256(found[level].astype(small).tobytes()).hexdigest()
        assert digest == recorded["sha256"], level


BEYOND_THE_CODES = ("alpha-png", "alpha-webp", "alpha-junk", "alpha-empty", "unknown-model")
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


class Traced(RangeDecoder):
    """Keeps what the table of the format document shows of each symbol."""

    rows: list[tuple[int, int, int, int, str, str]] = []

    def pull(self, counts):
        quantile = (self._point - self._lower) % STATE // (self._range // 2**24)
        symbol = super().pull(counts)
        before, own = int(counts[:symbol].sum()), int(counts[symbol])
        state = f"{self._lower:016x}", f"{self._range:016x}"
        self.rows.append((symbol, before, own, quantile, *state))
        return symbol


def test_the_real_file_of_the_format_document(tensors, monkeypatch):
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8").split("### A real file")[1]
    text = text.split("## Codes and the walk")[0]
    rows = re.findall(r"^    [0-9a-f]{2}  ([0-9a-f ]+)$", text, flags=re.MULTILINE)
    data = bytes.fromhex(" ".join(rows))
    assert data == (HERE / "grey-1x1.lvx").read_bytes()
    logits = []
    monkeypatch.setattr(second_decoder, "RangeDecoder", Traced)
    monkeypatch.setattr(Traced, "rows", [])
    flag_logits = second_decoder.Level.flag_logits

    def keep(level, stage, group, hidden):
        pair = flag_logits(level, stage, group, hidden)
        logits.append(int(pair[0]))
        return pair

    monkeypatch.setattr(second_decoder.Level, "flag_logits", keep)
    codes = read_codes(data, tensors)
    assert {level: array.sum() for level, array in codes.items()} == {
        "top": 84,
        "base": 0,
        "detail": 0,
    }
    assert codes["top"][0, 0, 0, 0] == 84
    assert len(Traced.rows) == 258
    printed = re.findall(
        r"^\| (\d+) \| (\S+) \| (\d+) \| (\d+) \| (\d+) \| `(\w+)` \| `(\w+)` \|$", text, re.M
    )
    assert len(printed) == 10
    flags = iter(logits)
    for row, traced in zip(printed, Traced.rows, strict=False):
        symbol, logit, before, own, quantile, lower, range_ = row
        numbers = tuple(map(int, (symbol, before, own, quantile)))
        assert (*numbers, lower, range_) == traced
        assert logit == "–" or int(logit.replace("−", "-")) == next(flags)
    lower, range_ = Traced.rows[-1][-2:]
    assert int(range_, 16) >= 2**32
    assert f"{(int.from_bytes(data[-4:], 'little') << 32) - int(lower, 16):x}" in text


def test_the_worked_example_of_the_format_document():
    text = (ROOT / "FORMAT.md").read_text(encoding="utf-8").split("## Worked example")[1]
    rows = re.findall(r"^    [0-9a-f]{2}  ([0-9a-f ]+)$", text, flags=re.MULTILINE)
    data = bytes.fromhex(" ".join(rows[:4]))
    picture = read_picture(data)
    assert len(data) == 50
    assert (picture.model, picture.fingerprint.hex()) == (1, "5ec0de01")
    assert (picture.width, picture.height, picture.quality) == (300, 200, 5000)
    assert picture.codes == (b"\1\2\3", b"\xaa")
    for end in (32, 37, 42, 49):
        read_picture(data[:end])
    with pytest.raises(Refused):
        read_picture(data[:31])
    for offset in range(len(data)):
        altered = data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]
        if offset not in (26, 33, 38, 43):  # a length, which may look like a cut
            with pytest.raises(Refused):
                read_picture(altered)
