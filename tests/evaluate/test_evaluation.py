"""Miniature evaluations: what is measured, left out, kept and resumed."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from luxvox.codec.picture import reading
from luxvox.codec.pictures import compress_image
from luxvox.evaluate import peers, results
from luxvox.models.cards import read_card, use_weights

TINY = Path(__file__).resolve().parents[1] / "golden" / "weights"
SCHEMA = json.loads((Path(results.__file__).parent / "results.schema.json").read_text())
PEER = """
import os, signal
from pathlib import Path
import numpy as np

class Coarse:
    name = "coarse"
    points = (32, 8)
    version = "1"

    def encode(self, original, step):
        log = Path(os.environ["PEER_LOG"])
        with log.open("a") as stream:
            stream.write(f"{original.shape} {step}\\n")
        if os.environ.get("PEER_DIES") and len(log.read_text().splitlines()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if original.shape[0] == int(os.environ.get("PEER_REFUSES", 0)):
            raise ValueError("not that one")
        codes = (original // step).astype(np.uint8)
        head = np.array([*codes.shape, step], dtype="<u2").tobytes()
        return head + np.packbits(np.unpackbits(codes[..., None], axis=-1)[..., -6:]).tobytes()

    def decode(self, data):
        height, width, depth, step = np.frombuffer(data[:8], "<u2")
        n = int(height) * int(width) * int(depth) * 6
        bits = np.unpackbits(np.frombuffer(data[8:], np.uint8))[:n].reshape(-1, 6)
        codes = np.packbits(np.pad(bits, ((0, 0), (2, 0))), axis=-1)
        return (codes * step + step // 2).reshape(height, width, depth).astype(np.uint8)
"""


@pytest.fixture
def own_peer(tmp_path, monkeypatch):
    """Put a codec of our own where Python finds it; return the log of what it encodes."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own_peer.py").write_text(PEER)
    monkeypatch.syspath_prepend(str(folder))
    paths = filter(None, (str(folder), os.environ.get("PYTHONPATH")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("PEER_LOG", str(folder / "log"))
    peers.load.cache_clear()
    yield folder / "log"
    sys.modules.pop("own_peer", None)
    peers.load.cache_clear()


def test_two_pictures_with_every_installed_peer(pictures, evaluate, tmp_path):
    ends = ["jpeg=20,80", "webp=20,80", "avif=30,70", "jxl=30,80", "jpeg2000=0.3,1"]
    ends += ["luxvox-psnr=20,60", "avif-psnr=30,70"]
    points = [word for end in ends for word in ("--points", end)]
    code, records = evaluate(pictures, *points)
    assert code == 0
    record = records["pictures"]
    jsonschema.validate(record, SCHEMA)
    assert [file["name"] for file in record["files"]] == ["a.png", "b.png"]
    assert not record["skipped"]
    here = {codec["name"] for codec in record["codecs"]}
    away = {absent["name"] for absent in record["absent"]}
    assert here | away >= {"jpeg", "webp", "avif", "avif-psnr", "jxl", "jpeg2000"}
    assert here >= {"luxvox", "luxvox-psnr"}
    assert len(record["rows"]) == 2 * sum(len(codec["points"]) for codec in record["codecs"])
    for row in record["rows"]:
        pixels = {"a.png": 24 * 40, "b.png": 168 * 176}[row["file"]]
        assert row["rate"] == pytest.approx(8 * row["bytes"] / pixels)
        assert 5 < row["figures"]["psnr"] <= 100
    scale = {scale["name"]: scale for scale in record["scales"]}
    assert scale["psnr"]["files"] == 2
    assert scale["ms_ssim"]["files"] == 1
    assert scale["ms_ssim"]["left_out"][0]["file"] == "a.png"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report/results.csv").read_text())))
    assert len(rows) == len(record["rows"])
    assert rows[0]["bytes"] == str(record["rows"][0]["bytes"])


def test_a_voice_with_every_installed_peer(voice, evaluate):
    words = ["--peers", "opus,codec2,original", "--metrics", "pesq,stoi,si_sdr,wer"]
    code, records = evaluate(voice, *words, points="opus=6,16")
    assert code == 0
    record = records["voices"]
    jsonschema.validate(record, SCHEMA)
    assert record["files"][0]["seconds"] == 2.0
    absent = {absent["name"]: absent for absent in record["absent"]}
    assert "--recogniser" in absent["wer"]["install"]
    rows = {(row["codec"], row["point"]): row for row in record["rows"]}
    assert rows["original", 256.0]["bytes"] == 64_000
    assert rows["original", 256.0]["figures"]["stoi"] == pytest.approx(1.0, abs=1e-3)
    assert rows["opus", 6.0]["rate"] < rows["opus", 16.0]["rate"] < 24.0
    assert rows["opus", 6.0]["figures"]["stoi"] < rows["opus", 16.0]["figures"]["stoi"]


def test_both_kinds_give_two_reports(pictures, voice, evaluate, tmp_path):
    words = ["--peers", "original", "--metrics", "psnr,stoi"]
    code, records = evaluate(pictures, voice / "hum.flac", *words)
    assert code == 0
    assert sorted(records) == ["pictures", "voices"]
    assert (tmp_path / "report/voices/results.csv").is_file()


def test_a_kind_that_cannot_be_measured_does_not_cost_the_other(
    pictures, voice, evaluate, tmp_path, capsys
):
    """40 is a quality, but not a bitrate."""
    words = ["--peers", "none", "--points", "luxvox=40", "--metrics", "psnr,stoi"]
    code, records = evaluate(pictures, voice / "hum.flac", *words)
    assert (code, sorted(records)) == (0, ["pictures"])
    assert "voices: nothing could be measured" in capsys.readouterr().err


def test_damaged_files_are_reported_and_skipped(pictures, evaluate, capsys):
    (pictures / "cut.png").write_bytes((pictures / "b.png").read_bytes()[:3000])
    (pictures / "empty.png").touch()
    code, records = evaluate(pictures, "--peers", "none", "--metrics", "psnr")
    assert code == 0
    assert [file["name"] for file in records["pictures"]["files"]] == ["a.png", "b.png"]
    assert {skip["file"] for skip in records["pictures"]["skipped"]} == {"cut.png", "empty.png"}
    assert "cut.png skipped: " in capsys.readouterr().err


def test_nothing_but_damaged_files_is_an_error(tmp_path, evaluate, capsys):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG and nothing")
    code, records = evaluate(tmp_path / "bad.png")
    assert (code, records) == (3, {})
    assert "bad.png" in capsys.readouterr().err


def test_a_file_that_one_codec_fails_on_is_dropped_for_all(
    pictures, evaluate, own_peer, monkeypatch
):
    monkeypatch.setenv("PEER_REFUSES", "24")
    words = ["--peers", "none", "--peer", "own_peer:Coarse", "--metrics", "psnr"]
    code, records = evaluate(pictures, *words)
    assert code == 0
    record = records["pictures"]
    assert [file["name"] for file in record["files"]] == ["b.png"]
    assert record["skipped"][0]["codec"] == "coarse"
    assert "not that one" in record["skipped"][0]["reason"]


def test_a_codec_that_fails_on_every_file_is_left_out(pictures, evaluate, own_peer, monkeypatch):
    monkeypatch.setenv("PEER_REFUSES", "24")
    words = ["--peers", "none", "--peer", "own_peer:Coarse", "--metrics", "psnr"]
    code, records = evaluate(pictures / "a.png", *words)
    assert code == 0
    assert [codec["name"] for codec in records["pictures"]["codecs"]] == ["luxvox"]


def test_a_missing_package_is_named_with_what_installs_it(pictures, evaluate, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    words = ["--peers", "jxl", "--metrics", "psnr,ssimulacra2"]
    code, records = evaluate(pictures, *words)
    assert code == 0
    absent = {absent["name"]: absent["install"] for absent in records["pictures"]["absent"]}
    assert absent == dict.fromkeys(("jxl", "ssimulacra2"), "pip install 'luxvox[evaluate]'")


def test_processes_and_order_change_nothing(pictures, evaluate):
    words = ["--peers", "jpeg", "--metrics", "psnr,ms_ssim"]
    _, alone = evaluate(pictures, *words, out="one")
    files = [pictures / "b.png", pictures / "a.png"]
    code, together = evaluate(*files, *words, "--jobs", "2", out="two")
    assert code == 0
    for record in (alone["pictures"], together["pictures"]):
        del record["run"]
    assert alone == together


def test_own_weights_are_measured_in_every_process(pictures, evaluate, monkeypatch):
    monkeypatch.delenv("LUXVOX_WEIGHTS", raising=False)
    words = ["--peers", "none", "--metrics", "psnr", "--weights", TINY, "--jobs", "2"]
    code, records = evaluate(pictures, *words, points="luxvox=20")
    assert code == 0
    record = records["pictures"]
    card = read_card(TINY / "picture-0.json")
    named = f"picture-0 {card.fingerprint} {card.sha256[:8]}"  # tables alone do not tell networks
    assert record["codecs"][0]["version"].endswith(named)
    assert f"--weights {TINY.name}/" in record["run"]["command"]
    with use_weights(TINY):
        sizes = {
            path.name: len(compress_image(reading.from_file(path), 20))
            for path in pictures.glob("*.png")
        }
    assert {row["file"]: row["bytes"] for row in record["rows"]} == sizes


def test_a_folder_of_weights_that_is_not_there(pictures, evaluate, capsys):
    code, records = evaluate(pictures, "--weights", pictures / "none")
    assert (code, records) == (1, {})
    assert "there is no folder" in capsys.readouterr().err


def test_a_killed_run_continues_where_it_stopped(
    pictures, evaluate, own_peer, tmp_path, monkeypatch
):
    words = ["--peers", "none", "--peer", "own_peer:Coarse", "--metrics", "psnr"]
    options = ["--out", str(tmp_path / "report"), "--jobs", "1", "--timed-files", "0"]
    command = [sys.executable, "-m", "luxvox", "evaluate", str(pictures), *words, *options]
    environment = {**os.environ, "PEER_DIES": "yes"}
    killed = subprocess.run(
        [*command, "--points", "luxvox=20"], env=environment, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(own_peer.read_text().splitlines()) == 3
    own_peer.unlink()
    code, records = evaluate(pictures, *words, points="luxvox=20")
    assert code == 0
    assert own_peer.read_text().splitlines() == ["(168, 176, 3) 32", "(168, 176, 3) 8"]
    _, again = evaluate(pictures, *words, "--fresh", points="luxvox=20", out="again")
    for record in (records["pictures"], again["pictures"]):
        del record["run"]
    assert records == again


def test_a_new_metric_adds_to_the_cache(pictures, evaluate, own_peer):
    words = ["--peers", "none", "--peer", "own_peer:Coarse", "--metrics"]
    evaluate(pictures, *words, "psnr")
    _, records = evaluate(pictures, *words, "psnr,psnr_y")
    assert len(own_peer.read_text().splitlines()) == 8
    evaluate(pictures, *words, "psnr_y")
    assert len(own_peer.read_text().splitlines()) == 8
    assert {"psnr", "psnr_y"} == records["pictures"]["rows"][0]["figures"].keys()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peers", "jpg"], "no codec is called jpg; known: luxvox, luxvox-psnr, jpeg"),
        (["--metrics", "sharpness"], "no metric is called sharpness"),
        (["--points", "jpeg"], "jpeg: is not NAME=VALUE"),
        (["--points", "avif=20"], "avif is not among the codecs"),
        (["--checkpoint", "jpeg=x.pth"], "jpeg takes no checkpoint"),
        (["--points", "jpeg=10,80", "--metrics", "psnr", "--anchor", "webp"], "has no curve"),
        (["--peer", "no_such:thing"], "no_such:thing: No module named"),
        (["--peer", "json:JSONDecoder"], "a codec needs name, points, encode"),
    ],
)
def test_bad_options_are_refused(words, message, pictures, evaluate, capsys):
    peers = [] if words[0] == "--peers" else ["--peers", "jpeg"]
    points = ["--points", "luxvox=20,60"] if "--anchor" in words else []
    code, records = evaluate(pictures, *peers, *words, *points, points=None)
    assert code == 2
    assert bool(records) == ("--anchor" in words)  # anchors are checked after measuring
    assert message in capsys.readouterr().err


def test_an_empty_folder_is_refused(tmp_path, evaluate, capsys):
    (tmp_path / "nothing").mkdir()
    code, _ = evaluate(tmp_path / "nothing")
    assert code == 2
    assert "no picture and no recording" in capsys.readouterr().err


def test_results_can_be_printed(pictures, evaluate, capsys):
    words = ["--peers", "none", "--metrics", "psnr", "--json"]
    _, records = evaluate(pictures, *words)
    assert json.loads(capsys.readouterr().out) == records


def test_other_formats_and_a_table_at_the_end(pictures, evaluate, tmp_path, capsys):
    words = ["--peers", "jpeg", "--metrics", "psnr", "--points", "jpeg=10,80"]
    words += [word for name in ("compressai", "svg", "latex") for word in ("--format", name)]
    code, _ = evaluate(pictures, *words)
    assert code == 0
    report = tmp_path / "report"
    assert sorted(path.name for path in (report / "compressai").iterdir()) == [
        "jpeg.json",
        "luxvox.json",
    ]
    assert (report / "svg/psnr.svg").is_file()
    assert (report / "latex/against-jpeg.tex").is_file()
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("against JPEG (optimize, progressive)")
    assert printed[2].startswith("luxvox")


def test_pages_get_their_tables(pictures, evaluate, tmp_path):
    page = tmp_path / "page.md"
    parts = ("pictures", "pictures-summary")
    page.write_text("# Page\n" + "".join(f"<!-- {p}:begin -->\n<!-- {p}:end -->\n" for p in parts))
    words = ["--peers", "jpeg", "--metrics", "psnr", "--points", "jpeg=10,80", "--page", page]
    code, _ = evaluate(pictures, *words)
    assert code == 0
    text = page.read_text()
    assert "| against JPEG (optimize, progressive) | PSNR, dB |" in text
    assert "| **luxvox** | **−" in text
    assert "```sh\nluxvox evaluate pictures/ --peers jpeg --metrics psnr --out report" in text
    assert "--timed-files 0 --shown-files 0 --page page.md\n" in text
    assert "bytes and PSNR rise at every step on 2 of 2 files" in text


def test_a_set_of_files_gets_markers_and_an_anchor_of_its_own(pictures, evaluate, tmp_path, capsys):
    page = tmp_path / "page.md"
    parts = ("pictures", "pictures-camera", "pictures-camera-summary")
    page.write_text("".join(f"<!-- {p}:begin -->\n<!-- {p}:end -->\n" for p in parts))
    words = ["--peers", "jpeg,avif", "--metrics", "psnr", "--points", "jpeg=10,80"]
    words += ["--points", "avif=20,80", "--anchor", "avif", "--page-set", "camera"]
    code, _ = evaluate(pictures, *words, "--page", page)
    assert code == 0
    text = page.read_text()
    assert text.startswith("<!-- pictures:begin -->\n<!-- pictures:end -->\n")
    assert text.count("| against AVIF (speed 4) | PSNR, dB |") == 1
    assert text.count("| against AVIF | PSNR |") == 1  # a summary has short names
    assert "against JPEG" not in text
    assert "| against AVIF (speed 4) | PSNR, dB |" in capsys.readouterr().out


def test_a_page_without_markers_is_refused(pictures, evaluate, tmp_path, capsys):
    (tmp_path / "page.md").write_text("# Page\n")
    words = ["--peers", "none", "--metrics", "psnr", "--page", tmp_path / "page.md"]
    code, _ = evaluate(pictures, *words)
    assert code == 2
    assert "has no marker <!-- pictures:begin -->" in capsys.readouterr().err


def test_earlier_results_are_drawn_next_to_new_ones(pictures, evaluate, tmp_path, capsys):
    words = ["--peers", "jpeg", "--metrics", "psnr", "--points", "jpeg=10,80"]
    evaluate(pictures, *words, out="earlier")
    earlier = ["--against", tmp_path / "earlier/results.json", "--against-names", "JPEG*"]
    code, _ = evaluate(pictures, *words, *earlier, out="later")
    assert code == 0
    record = json.loads((tmp_path / "later/results.json").read_text())
    (curve,) = record["against"]
    assert curve["name"].startswith("JPEG (optimize, progressive) (earlier")
    same = [
        c for c in record["comparisons"] if (c["reference"], c["codec"]) == ("jpeg", curve["name"])
    ]
    assert same[0]["rate"]["value"] == pytest.approx(0.0, abs=1e-9)
    jsonschema.validate(record, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[1]",
        "{}",
        '{"a": {"bpp": [1, 2], "psnr": [3]}}',
        '{"a": {"bpp": [], "psnr": []}}',
        '{"a": {"bpp": [1, 2], "psnr": [30, Infinity]}}',
        '{"a": {"bpp": [0, 2], "psnr": [30, 31]}}',
    ],
)
def test_bad_curve_files_are_refused(text, pictures, evaluate, tmp_path):
    (tmp_path / "curves.json").write_text(text)
    code, _ = evaluate(pictures, "--against", tmp_path / "curves.json")
    assert code == 2
