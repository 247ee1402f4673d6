"""Two tiny pictures and a voice, and the command with what it writes."""

import json

import pytest

from luxvox.tests.evaluate.miniature import run_command, write_pictures, write_voice


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of two pictures."""
    return write_pictures(tmp_path / "pictures")


@pytest.fixture
def voice(tmp_path):
    """Return a folder with a voice."""
    return write_voice(tmp_path / "voices")


@pytest.fixture
def evaluate(tmp_path):
    """Run the command; return its exit code and the results of its report, by kind."""

    def run(*words, out="report", points="luxvox=20,60"):
        folder = tmp_path / out
        options = ["--out", folder, "--timed-files", "0", "--shown-files", "0"]
        code = run_command(*options, *(["--points", points] if points else []), *words)
        records = [json.loads(path.read_text()) for path in sorted(folder.rglob("results.json"))]
        return code, {record["kind"]: record for record in records}

    return run
