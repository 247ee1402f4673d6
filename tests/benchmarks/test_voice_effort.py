"""The benchmark of efforts on voices: its table for two tiny recordings."""

import csv
import re

import soundfile
from click.testing import CliRunner

from luxvox.benchmarks import voice_effort
from luxvox.tests.evaluate.miniature import speech


def test_table_of_tiny_recordings(tmp_path):
    voices = tmp_path / "voices"
    for folder in (voices, tmp_path / "results"):
        folder.mkdir()
    for seed, name in enumerate(("a", "b", "c")):
        soundfile.write(voices / f"{name}.flac", speech(12_000, seed), 16_000)
    page = tmp_path / "results.md"
    page.write_text("# Before\n<!-- voice-effort:begin -->\n<!-- voice-effort:end -->\nafter\n")
    words = [str(voices), "--clips", "1", "-b", "4", "--docs", str(tmp_path)]
    ran = CliRunner().invoke(voice_effort.main, words, catch_exceptions=False)
    assert ran.exit_code == 0
    text = page.read_text()
    assert re.findall(r"^\| (\d) \|", text, re.MULTILINE) == list("123456789")
    assert "kbit/s" in text and "1 clips of voices at 4 kbit/s" in text
    with (tmp_path / "results" / "voice_effort.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["effort"], row["clip"]) for row in rows] == [
        (str(n), "a.flac") for n in range(1, 10)
    ]
    for row in rows:
        kbps = 8 * int(row["bytes"]) / float(row["sound_s"]) / 1000
        assert 2.0 < kbps < 5.0
        assert float(row["processor_s"]) > 0
