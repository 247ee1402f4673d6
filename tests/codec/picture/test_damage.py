"""Picture files that are cut, altered or foreign: refused, warned of, or concealed."""

import warnings
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import luxvox
from luxvox.codec import container
from luxvox.codec.container import Part, open_file
from luxvox.codec.picture.decoding import open_picture_file, read_codes
from luxvox.codec.quality import Quality
from luxvox.errors import (
    ChecksumError,
    FormatError,
    LuxvoxError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
)
from luxvox.tests.codec.picture_checks import describe, parts_of, psnr, reseal


def borders(data):
    """Offsets at which sections end."""
    return [entry.offset + entry.size for entry in container.list_sections(data).entries]


@pytest.mark.parametrize("n_sections", [1, 3, 6])
@pytest.mark.parametrize("extra", [0, 1])
def test_a_cut_file_gives_its_whole_sections(small_file, n_sections, extra):
    cut = small_file[: borders(small_file)[n_sections - 1] + extra]
    with pytest.warns(TruncatedWarning, match="cut"):
        decoded = luxvox.decompress_image(cut)
    expected = luxvox.decompress_image(small_file, n_sections)
    np.testing.assert_array_equal(decoded, expected[:, :, :3])


def test_strict_refuses_cut_files(small_file):
    luxvox.decompress_image(small_file, strict=True)
    for end in (borders(small_file)[0], len(small_file) - 1):
        with pytest.raises(TruncatedError, match="the file is cut"):
            luxvox.decompress_image(small_file[:end], strict=True)


def test_the_warning_points_at_the_caller(small_file):
    cut = small_file[: borders(small_file)[0]]
    for call in (luxvox.decompress_image, luxvox.codes):
        with pytest.warns(TruncatedWarning) as caught:
            call(cut)
        assert caught[0].filename == __file__


def alter(data, number):
    """The file with a byte of a section's payload altered."""
    entry = container.list_sections(data).entries[number]
    changed = bytearray(data)
    changed[entry.offset + entry.size - 1] ^= 0x55
    return bytes(changed)


@pytest.mark.parametrize("number", range(7))
def test_altered_sections_are_concealed(small_file, photograph, number):
    damaged = alter(small_file, number)
    with pytest.raises(ChecksumError):
        luxvox.decompress_image(damaged)
    with pytest.warns(luxvox.DamageWarning, match="1 parts of the file are altered") as caught:
        decoded = luxvox.decompress_image(damaged, conceal=True)
    assert caught[0].filename == __file__
    whole = luxvox.decompress_image(small_file)
    if number == 6:  # alpha
        np.testing.assert_array_equal(decoded, whole[:, :, :3])
        return
    np.testing.assert_array_equal(decoded[:, :, 3], whole[:, :, 3])
    if number:
        before = luxvox.decompress_image(small_file, number)[:, :, :3]
        pixels = photograph[40:184, 40:120]
        assert psnr(decoded[:, :, :3], pixels) > psnr(before, pixels) - 0.3


def test_a_flipped_byte_costs_one_band(banded_file):
    """All other bands keep their codes, and so do coarser sections of this one."""
    codes = luxvox.codes(banded_file)
    for entry in parts_of(banded_file)[::4]:
        damaged = bytearray(banded_file)
        damaged[entry.offset + entry.size // 2] ^= 0x10
        picture = open_picture_file(open_file(bytes(damaged)), 10**6, conceal=True)
        (caution,) = picture.cautions
        assert isinstance(caution, luxvox.DamageWarning)
        assert str(caution).startswith("1 parts")
        decoded = read_codes(picture)
        for number, (level, array) in enumerate(codes.items()):
            rows = np.arange(array.shape[1]) // 2**number
            same = rows != entry.part.band
            np.testing.assert_array_equal(decoded[level][:, same], array[:, same])
            if 2 * number + 1 < entry.part.section and level != "base":
                np.testing.assert_array_equal(decoded[level], array)


def test_a_band_without_its_preview_is_filled_from_its_neighbours():
    slope = np.linspace(60, 200, 5 * 64).astype(np.uint8)
    pixels = np.repeat(np.repeat(slope[:, None, None], 70, 1), 3, 2)
    with mock.patch("luxvox.codec.picture.encoding.usual_band_rows", lambda height, width: 1):
        data = bytearray(luxvox.compress_image(pixels, 60))
    entry = next(entry for entry in parts_of(data) if entry.part == Part(1, 2))
    data[entry.offset + 3] ^= 0x10
    with pytest.warns(luxvox.DamageWarning):
        decoded = luxvox.decompress_image(bytes(data), conceal=True)
    rows = decoded.mean((1, 2)) - slope
    assert np.abs(rows[128:192]).max() < 25
    assert np.abs(np.delete(rows, range(96, 224))).max() < 6


def test_concealing_changes_nothing_in_sound_files(small_file):
    concealed = luxvox.decompress_image(small_file, conceal=True)
    np.testing.assert_array_equal(concealed, luxvox.decompress_image(small_file))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_concealing_survives_any_damage(tiny_file, data):
    changed = bytearray(tiny_file)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert luxvox.decompress_image(bytes(changed), conceal=True).shape == (32, 40, 3)
        except LuxvoxError as error:
            assert "\n" not in str(error)


def survives(data):
    """Return whether data decodes, if only with a warning; only our own errors may be raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncatedWarning)
            luxvox.decompress_image(data)
    except LuxvoxError as error:
        assert "\n" not in str(error)
        return False
    return True


def test_every_cut_is_an_error_or_a_warning(tiny_file):
    whole = [n for n in range(len(tiny_file)) if survives(tiny_file[:n])]
    assert whole == list(range(borders(tiny_file)[0], len(tiny_file)))


def test_every_flipped_byte_is_noticed(tiny_file):
    for offset in range(len(tiny_file)):
        for bits in (1, 0xFF):
            data = bytearray(tiny_file)
            data[offset] ^= bits
            # An altered length may look like a cut, which gives a warning.
            with pytest.raises((LuxvoxError, TruncatedWarning)), warnings.catch_warnings():
                warnings.simplefilter("error")
                luxvox.decompress_image(bytes(data))


def test_kinds_of_damage(tiny_file):
    with pytest.raises(TruncatedError):
        luxvox.decompress_image(tiny_file[: borders(tiny_file)[0] - 1])
    with pytest.raises(ChecksumError):
        luxvox.decompress_image(tiny_file[:-1] + bytes([tiny_file[-1] ^ 1]))
    for junk in (b"", b"junk", tiny_file + b"x"):
        with pytest.raises(FormatError):
            luxvox.decompress_image(junk)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
def test_junk_with_right_checksums(tiny_file, payloads):
    parts = {Part(n, 0): payload for n, payload in enumerate(payloads, start=1)}
    survives(reseal(tiny_file, parts, band_rows=1))
    survives(reseal(tiny_file, {Part(1, 0): payloads[0]}))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 70), st.integers(1, 70), st.integers(100, 10_000), st.booleans())
def test_codes_under_another_header(tiny_file, width, height, hundredths, colour):
    quality = Quality(hundredths)
    changes = {"width": width, "height": height, "quality": quality, "colour": colour}
    survives(reseal(tiny_file, **changes))


def test_the_preview_of_another_picture_is_refused(small_file, tiny_file):
    """A preview must have the codes of as many cells as the header says."""
    foreign = container.read(small_file).parts[Part(1, 0)]
    with pytest.raises(FormatError, match="codes 1: "):
        luxvox.decompress_image(reseal(tiny_file, {Part(1, 0): foreign}, band_rows=1))


def test_unknown_model_is_named(tiny_file):
    data = reseal(tiny_file, model_number=65535)
    with pytest.raises(UnsupportedError, match="picture model 65535 is not among the installed"):
        luxvox.decompress_image(data)
    assert describe(data).model == 65535


def test_other_weights_are_named(tiny_file):
    data = reseal(tiny_file, fingerprint=b"\1\2\3\4")
    installed = describe(tiny_file).fingerprint
    with pytest.raises(UnsupportedError, match=f"weights 01020304 .*; installed are {installed}"):
        luxvox.decompress_image(data)
