"""Sizes as people write them."""

import pytest

from luxvox.commands.sizes import parse_size
from luxvox.errors import UsageError


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        *[("1", 1), ("20000", 20_000), ("20000B", 20_000), ("20kB", 20_000), ("20KB", 20_000)],
        *[("20k", 20_000), (" 1.5 MB ", 1_500_000), ("64KiB", 65_536), ("64kiB", 65_536)],
        *[(".5MiB", 524_288), ("1.0009kB", 1000), ("2GB", 2 * 10**9), ("1GiB", 2**30)],
    ],
)
def test_sizes(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize(
    "text",
    ["", "kB", "0", "0.5", "-3kB", "20 kbit", "1e6", "nan", "3 k B", 400 * "9", 308 * "9" + "G"],
)
def test_bad_sizes(text):
    with pytest.raises(UsageError, match="is not a size; legal"):
        parse_size(text)
