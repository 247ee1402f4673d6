"""Files shortened without coding them again."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox
from luxvox.codec import container, pictures
from luxvox.codec.container import Container, PictureHeader, Section, VoiceHeader
from luxvox.codec.container.bands import bands_of
from luxvox.codec.picture.rasters import Raster
from luxvox.codec.quality import Quality
from luxvox.codec.truncation import truncate
from luxvox.errors import TruncatedError, TruncatedWarning, UsageError
from luxvox.timeline import n_frames, n_segments

VOICE = VoiceHeader(1, bytes(4), 600_000, 16_000, False, 128, Quality(5000), 1)  # three segments
RANDOM = np.random.default_rng(0)


def voice_file(stereo=False, rate_hz=16_000, tags=True):
    n_samples = 600_000 * rate_hz // 16_000
    header = VoiceHeader(1, bytes(4), n_samples, rate_hz, stereo, 128, Quality(5000), 1)
    period = 4 if stereo else 2
    n = period * n_segments(n_samples, rate_hz)
    codes = [Section(k % period + 1, RANDOM.bytes(20 + 10 * (k % period))) for k in range(n)]
    return container.write(header, [*codes, *[Section(131, b"tags")][: int(tags)]])


@pytest.fixture(scope="module")
def picture_file():
    rows, columns = np.indices((140, 150))
    waves = 128 + 60 * np.sin(rows / 5) * np.cos(columns / 7)
    noisy = waves + RANDOM.normal(0, 25, (140, 150))
    pixels = np.repeat(noisy.clip(0, 255).astype(np.uint8)[:, :, None], 3, 2)
    alpha = np.full((140, 150), 9, np.uint8)
    raster = Raster(pixels, alpha, b"profile" * 9, None, b"<x:xmpmeta/>")
    return luxvox.compress_image(raster, 85)


def read_whole(data) -> Container:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = container.read(data)
    assert not content.truncated
    return content


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9])
def test_a_picture_of_the_first_sections(picture_file, n):
    cut = truncate(picture_file, sections=n)
    content, whole = read_whole(cut), container.read(picture_file)
    assert content.sections == whole.sections
    assert content.parts == {p: data for p, data in whole.parts.items() if p.section <= n}
    decoded = pictures.decompress_raster(cut)
    expected = pictures.decompress_raster(picture_file, pictures.PictureReading(n))
    np.testing.assert_array_equal(decoded.pixels, expected.pixels)
    assert (decoded.icc, decoded.xmp) == (expected.icc, expected.xmp)
    assert (cut == picture_file) == (n > 5)


def test_a_picture_of_any_size(picture_file):
    """Every size from the preview up is possible; the finest codes go first."""
    content = container.read(picture_file)
    preview = {part: data for part, data in content.parts.items() if part.section == 1}
    smallest = len(container.write(content.header, content.sections[:1], preview))
    before = content.parts
    for size in [*range(len(picture_file), smallest, -97), smallest]:
        cut = truncate(picture_file, size=size)
        assert len(cut) <= size
        left = read_whole(cut).parts
        assert list(left.items()) == list(before.items())[: len(left)]
        before = left
    assert before == preview
    assert truncate(picture_file, size=10**6) == picture_file
    with pytest.raises(UsageError, match=f"too few; this file can be cut to {smallest}"):
        truncate(picture_file, size=smallest - 1)


def test_the_lowest_band_goes_first():
    header = PictureHeader(1, bytes(4), 300, 200, True, False, True, 0, 1, Quality(5000), 1)
    parts = {part: b"payload" for part in bands_of(header).parts()}
    data = container.write(header, [], parts)
    content = read_whole(truncate(data, size=len(data) - 1))
    assert list(content.parts) == list(parts)[:-1]
    content = read_whole(truncate(data, size=len(data) - 100))
    assert list(content.parts) == list(parts)[: len(content.parts)]


def test_metadata_goes_before_codes(picture_file):
    cut = read_whole(truncate(picture_file, size=len(picture_file) - 1))
    assert [section.type for section in cut.sections] == [64, 128]
    assert cut.parts == container.read(picture_file).parts


@pytest.mark.parametrize("stereo", [False, True])
def test_the_first_stages_of_a_voice(stereo):
    data = voice_file(stereo)
    content, whole = read_whole(truncate(data, sections=1)), container.read(data)
    assert content.header == whole.header
    for section, original in zip(content.sections, whole.sections, strict=True):
        is_kept = section.type > 63 or section.type % 2 == 1
        assert section.payload == (original.payload if is_kept else b"")
    assert truncate(data, sections=2) == data


@settings(max_examples=60, deadline=None)
@given(st.booleans(), st.sampled_from([8000, 16_000, 44_100, 96_000]), st.integers(0, 700))
def test_a_voice_of_any_size(stereo, rate_hz, size):
    data = voice_file(stereo, rate_hz)
    try:
        cut = truncate(data, size=size)
    except UsageError as error:
        least = int(str(error).rpartition(" ")[2])
        assert least > size and len(truncate(data, size=least)) == least
        return
    assert len(cut) <= size
    content, whole = read_whole(cut), container.read(data)
    header = content.header
    assert isinstance(header, VoiceHeader)
    n = n_segments(header.n_samples, rate_hz)
    if header != whole.header:  # the remaining segments are as long as before
        assert n_frames(header.n_samples, rate_hz) == 750 * n
        assert not any(section.payload for section in content.sections if section.type % 2 == 0)
    for section, original in zip(content.sections, whole.sections, strict=False):
        assert section.payload in (original.payload, b"")


def test_fine_stages_go_before_whole_segments():
    data = voice_file(tags=False)
    sizes = [len(section.payload) for section in container.read(data).sections]
    content = read_whole(truncate(data, size=len(data) - 1))
    assert [len(section.payload) for section in content.sections] == [*sizes[:-1], 0]
    bare = len(data) - sum(sizes[1::2])
    assert read_whole(truncate(data, size=bare)).header == container.read(data).header


def test_a_cut_file_becomes_a_whole_one(picture_file):
    entries = container.list_sections(picture_file).entries
    with pytest.warns(TruncatedWarning, match="keeping what is whole") as caught:
        mended = truncate(picture_file[: entries[2].offset + 1], sections=9)
    assert caught[0].filename == __file__
    content = read_whole(mended)
    assert isinstance(content.header, PictureHeader)
    assert {part.section for part in content.parts} == {1, 2} and not content.header.alpha
    assert luxvox.decompress_image(mended).shape == (140, 150, 3)


@pytest.mark.parametrize(("n_entries", "n_left"), [(1, 1), (2, 1), (3, 2), (5, 3), (6, 3)])
def test_a_cut_voice_becomes_a_whole_one(n_entries, n_left):
    data = voice_file()
    entries = container.list_sections(data).entries
    with pytest.warns(TruncatedWarning):
        mended = truncate(data[: entries[n_entries].offset], sections=2)
    header = read_whole(mended).header
    assert isinstance(header, VoiceHeader)
    assert n_segments(header.n_samples, header.sample_rate_hz) == n_left


def test_a_voice_without_a_whole_segment_is_refused():
    data = voice_file(stereo=True)
    entries = container.list_sections(data).entries
    with pytest.warns(TruncatedWarning), pytest.raises(TruncatedError, match="first segment"):
        truncate(data[: entries[2].offset], sections=2)


@pytest.mark.parametrize("options", [{}, {"size": 5, "sections": 1}, {"sections": 0}, {"size": 0}])
def test_illegal_requests_are_refused(picture_file, options):
    with pytest.raises(UsageError):
        truncate(picture_file, **options)
