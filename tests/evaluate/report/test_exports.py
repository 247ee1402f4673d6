"""Results in other programs' forms, and the tables that a report and a terminal add."""

import json
from xml.etree import ElementTree

import pytest

from luxvox.evaluate.report import exports, latex, speeds, terminal, worst
from luxvox.tests.evaluate.report.records import record


def with_plain_ms_ssim(found):
    """Add the scale of MS-SSIM as it is, which the report does not compare."""
    plain = {**found["scales"][1], "name": "ms_ssim", "unit": "", "is_compared": False}
    for mean in found["means"]:
        mean["figures"]["ms_ssim"] = mean["figures"]["ms_ssim_db"]
    return {**found, "scales": [*found["scales"], plain]}


def test_curves_for_compressai():
    found = exports.compressai(with_plain_ms_ssim(record()))
    assert sorted(found) == ["jpeg.json", "luxvox.json"]
    content = json.loads(found["luxvox.json"])
    assert content["name"] == "luxvox"
    assert content["results"] == {
        "bpp": pytest.approx([0.25 * 3.5 / 3, 0.5 * 3.5 / 3, 3.5 / 3]),
        "psnr-rgb": [34.0, 38.0, 42.0],
        "ms-ssim-rgb": pytest.approx([0.9, 1 - 10**-1.5, 0.99]),
        "encoding_time": [0.1, 0.2, 0.3],
        "decoding_time": [0.05, 0.1, 0.15],
    }


def test_compressai_gets_no_metric_of_other_files_and_no_voices():
    found = with_plain_ms_ssim(record())
    found["scales"][2]["files"] = 2
    results = json.loads(exports.compressai(found)["jpeg.json"])["results"]
    assert "ms-ssim-rgb" not in results
    assert "psnr-rgb" in results
    assert exports.compressai({**found, "kind": "voices"}) == {}


def test_compressais_own_plot_tool_reads_them(tmp_path):
    plot = pytest.importorskip("compressai.utils.plot.__main__")
    (tmp_path / "luxvox.json").write_text(
        exports.compressai(with_plain_ms_ssim(record()))["luxvox.json"]
    )
    curve = plot.parse_json_file(tmp_path / "luxvox.json", "ms-ssim")
    assert curve["name"] == "luxvox"
    assert curve["ys"] == pytest.approx([10.0, 15.0, 20.0])


def test_plots_stand_alone():
    found = exports.svg(record())
    assert sorted(found) == ["ms_ssim_db.svg", "psnr.svg"]
    svg = ElementTree.fromstring(found["psnr.svg"])
    assert len(svg.findall(".//{*}polyline")) == 2
    assert "JPEG (a_b & 50 %)" in {text.text for text in svg.findall(".//{*}text")}
    assert not [element for element in svg.iter() if element.get("class")]


def test_tables_for_latex():
    found = latex.tables(record())
    assert sorted(found) == ["against-jpeg.tex", "means.tex"]
    lines = found["against-jpeg.tex"].splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[2] == r"against JPEG (a\_b \& 50 \%) & PSNR, dB & MS-SSIM, dB \\"
    assert lines[4] == r"luxvox & $-$12.3 ($-$20.0 \,\dots\, $-$5.0) & -- \\"
    assert lines[-1] == r"\end{tabular}"


def test_the_table_of_a_terminal():
    lines = terminal.summary(record()).splitlines()
    assert lines[0].split() == (
        "against JPEG (a_b & 50 %) PSNR, dB MS-SSIM, dB encoding decoding".split()
    )
    assert lines[1].split() == ["luxvox", "−12.3", "%", "–", "2", "1"]
    assert lines[-1].endswith("speeds in s/megapixel)")
    assert len({line.rindex(" ") for line in lines[:2]}) == 2  # columns end together
    assert len(lines[0]) == len(lines[1])


def test_a_codec_alone_gets_its_means():
    found = record()
    found["codecs"] = found["codecs"][:1]
    found["means"] = found["means"][:3]
    found["comparisons"] = []
    lines = terminal.summary(found).splitlines()
    assert lines[0].split()[:3] == ["codec", "point", "bpp"]
    assert len(lines) == 4


def test_speeds_are_per_megapixel_and_times_real_time():
    ours, _ = speeds.speeds(record())
    assert ours.encode == pytest.approx((2.0, 1.0, 3.0))  # a picture of 0.1 megapixels
    assert ours.decode == pytest.approx((1.0, 0.5, 1.5))
    voice = {**record(), "kind": "voices"}
    voice["files"] = [{"name": "easy.png", "seconds": 6.0}]
    ours, _ = speeds.speeds(voice)
    assert ours.encode == pytest.approx((36.666666, 20.0, 60.0))
    assert speeds.speeds({**record(), "times": None}) == []
    assert speeds.table({**record(), "times": None}) == ""


def test_the_worst_files_come_first():
    found = worst.standings(record(), "jpeg")
    assert [standing.file for standing in found] == ["hard.png", "even.png", "easy.png"]
    assert [standing.figures[0] for standing in found] == pytest.approx([100.0, 0.0, -50.0])
    assert [standing.figures[1] for standing in found] == pytest.approx([100.0, 0.0, -50.0])
    page = worst.table(record())
    assert "All 3 files" in page
    assert "+100.0&#8239;%" in page


def test_the_worst_files_without_a_reference():
    found = record()
    for row in found["rows"]:
        row["figures"]["psnr"] += {"easy.png": 0.0, "even.png": -3.0, "hard.png": 3.0}[row["file"]]
    assert [standing.file for standing in worst.standings(found, None)] == [
        "even.png",
        "easy.png",
        "hard.png",
    ]
    assert worst.table({**found, "files": found["files"][:1]}) == ""
    assert worst.table({**found, "codecs": found["codecs"][1:]}) == ""
