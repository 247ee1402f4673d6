"""Results in the forms of other programs, and further tables of reports and terminals."""

import json
from xml.etree import ElementTree

import pytest

from luxvox.evaluate.report import exports, latex, speeds, terminal, worst
from luxvox.tests.evaluate.report.records import record


def with_plain_ms_ssim(results):
    """Add the plain scale of MS-SSIM, which the report does not compare."""
    plain = {**results["scales"][1], "name": "ms_ssim", "unit": "", "is_compared": False}
    for mean in results["means"]:
        mean["figures"]["ms_ssim"] = mean["figures"]["ms_ssim_db"]
    return {**results, "scales": [*results["scales"], plain]}


def test_curves_for_compressai():
    files = exports.compressai(with_plain_ms_ssim(record()))
    assert sorted(files) == ["jpeg.json", "luxvox.json"]
    content = json.loads(files["luxvox.json"])
    assert content["name"] == "luxvox"
    assert content["results"] == {
        "bpp": pytest.approx([0.25 * 3.5 / 3, 0.5 * 3.5 / 3, 3.5 / 3]),
        "psnr-rgb": [34.0, 38.0, 42.0],
        "ms-ssim-rgb": pytest.approx([0.9, 1 - 10**-1.5, 0.99]),
        "encoding_time": [0.1, 0.2, 0.3],
        "decoding_time": [0.05, 0.1, 0.15],
    }


def test_compressai_gets_no_metric_of_other_files_and_no_voices():
    results_record = with_plain_ms_ssim(record())
    results_record["scales"][2]["files"] = 2
    curves = json.loads(exports.compressai(results_record)["jpeg.json"])["results"]
    assert "ms-ssim-rgb" not in curves
    assert "psnr-rgb" in curves
    assert exports.compressai({**results_record, "kind": "voices"}) == {}


def test_compressais_own_plot_tool_reads_them(tmp_path):
    plot = pytest.importorskip("compressai.utils.plot.__main__")
    (tmp_path / "luxvox.json").write_text(
        exports.compressai(with_plain_ms_ssim(record()))["luxvox.json"]
    )
    curve = plot.parse_json_file(tmp_path / "luxvox.json", "ms-ssim")
    assert curve["name"] == "luxvox"
    assert curve["ys"] == pytest.approx([10.0, 15.0, 20.0])


def test_plots_stand_alone():
    plots = exports.svg(record())
    assert sorted(plots) == ["ms_ssim_db.svg", "psnr.svg"]
    svg = ElementTree.fromstring(plots["psnr.svg"])
    assert len(svg.findall(".//{*}polyline")) == 2
    assert "JPEG (a_b & 50 %)" in {text.text for text in svg.findall(".//{*}text")}
    assert not [element for element in svg.iter() if element.get("class")]


def test_tables_for_latex():
    files = latex.tables(record())
    assert sorted(files) == ["against-jpeg.tex", "means.tex"]
    lines = files["against-jpeg.tex"].splitlines()
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
    results = record()
    results["codecs"] = results["codecs"][:1]
    results["means"] = results["means"][:3]
    results["comparisons"] = []
    lines = terminal.summary(results).splitlines()
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
    standings = worst.standings(record(), "jpeg")
    assert [standing.file for standing in standings] == ["hard.png", "even.png", "easy.png"]
    assert [standing.figures[0] for standing in standings] == pytest.approx([100.0, 0.0, -50.0])
    assert [standing.figures[1] for standing in standings] == pytest.approx([100.0, 0.0, -50.0])
    page = worst.table(record())
    assert "All 3 files" in page
    assert "+100.0&#8239;%" in page


def test_the_worst_files_without_a_reference():
    results = record()
    for row in results["rows"]:
        row["figures"]["psnr"] += {"easy.png": 0.0, "even.png": -3.0, "hard.png": 3.0}[row["file"]]
    assert [standing.file for standing in worst.standings(results, None)] == [
        "even.png",
        "easy.png",
        "hard.png",
    ]
    assert worst.table({**results, "files": results["files"][:1]}) == ""
    assert worst.table({**results, "codecs": results["codecs"][1:]}) == ""
