"""The plots of the results: one curve per codec, in a self-contained SVG."""

import csv
from xml.etree import ElementTree

from luxvox.benchmarks.curves import PLOTS, lines_of
from luxvox.evaluate.report.standalone import drawing


def test_there_is_one_curve_per_codec(tmp_path):
    pictures, _ = PLOTS
    rows: list[tuple[object, ...]] = [
        ("ours", 1, 0.1, 30.0),
        ("ours", 1, 0.3, 34.0),
        ("ours", 2, 1.0, 40.0),
    ]
    rows += [("theirs", 5, 0.5, 33.0), ("theirs", 6, 1.5, 39.0), ("theirs", 7, 2.0, "")]
    path = tmp_path / "pictures.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("codec", "point", "rate", "psnr"), *rows])
    lines = lines_of(path, pictures)
    assert [line.key for line in lines] == ["ours", "theirs"]
    assert lines[0].points == ((0.2, 32.0, "ours"), (1.0, 40.0, "ours"))
    assert len(lines[1].points) == 2
    svg = ElementTree.fromstring(drawing(lines, pictures.axes))
    assert len(svg.findall(".//{*}polyline")) == 2
    assert {"ours", "theirs"} <= {text.text for text in svg.findall(".//{*}text")}
