"""Tables and their place on the page."""

from pathlib import Path

import pytest

from luxvox.evaluate.report.pages import _short_name, splice, table
from luxvox.evaluate.report.wording import format_signed


def test_splice_renews_only_its_own_part(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    page.write_text(
        "# A\n<!-- x:begin -->\nold\n<!-- x:end -->\nB\n<!-- y:begin -->\n<!-- y:end -->\n"
    )
    splice(page, "x", "new\n")
    splice(page, "x", "newer\n")
    assert page.read_text() == (
        "# A\n<!-- x:begin -->\nnewer\n<!-- x:end -->\nB\n<!-- y:begin -->\n<!-- y:end -->\n"
    )


@pytest.mark.parametrize("text", ["", "<!-- x:begin -->", "<!-- x:end --> <!-- x:begin -->"])
def test_splice_refuses_a_page_without_markers(tmp_path: Path, text: str) -> None:
    page = tmp_path / "results.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="no markers"):
        splice(page, "x", "new")
    assert page.read_text() == text


def test_table() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_a_summary_shortens_the_label_of_its_reference() -> None:
    labels = {"opus": "Opus (voip, VBR)", "a": "AVIF (speed 4)", "b": "AVIF (4:4:4)"}
    assert [_short_name(labels, name) for name in labels] == ["Opus", labels["a"], labels["b"]]


def test_signed() -> None:
    assert [format_signed(-46.04, 1), format_signed(0.06, 2)] == ["−46.0", "+0.06"]
