"""The command line in a process of its own: what it loads, and how it ends."""

import os
import signal
import subprocess
import sys

import pytest

import luxvox
from luxvox.tests.commands.conftest import names, python, run, start


def list_loaded(statements):
    heavy = {"torch", "numpy", "PIL", "soundfile", "constriction"}
    check = f"print(sorted({heavy} & set(sys.modules)))"
    ran = python("-c", f"import sys\n{statements}\n{check}")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.decode().splitlines()[-1]


@pytest.mark.parametrize(
    "statements",
    [
        "import luxvox",
        *(
            f"from luxvox.cli import run; assert run({words}) == 0"
            for words in (["--help"], ["compress", "--help"], ["evaluate", "--help"])
        ),
    ],
)
def test_nothing_heavy_is_imported_early(statements):
    assert list_loaded(statements) == "[]"


def test_info_loads_no_network(folder):
    run("photo.png")
    loaded = list_loaded("from luxvox.cli import run; assert run(['info', 'photo.lvx']) == 0")
    assert "torch" not in loaded


def test_version():
    ran = python("-m", "luxvox", "--version")
    assert ran.stdout.decode().strip() == f"luxvox, version {luxvox.__version__}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell):
    environment = {**os.environ, "_LUXVOX_COMPLETE": f"{shell}_source"}
    ran = python("-m", "luxvox", env=environment)
    assert b"_LUXVOX_COMPLETE" in ran.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_without_a_traceback(folder):
    waiting = (
        "import sys, time, luxvox.codec.files as files\n"
        "from luxvox.cli import main\n"
        "def wait(source):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "files.read = wait\n"
        "main(['compress', 'photo.png'])"
    )
    with start(waiting) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        err = child.stderr.read()
    assert child.returncode == 130
    assert err.decode().strip() == "luxvox: interrupted"
    assert names(folder) == ["photo.png"]


def test_a_reader_that_has_gone_is_no_error(folder):
    talkative = (
        "import sys, types\n"
        "from luxvox.cli import main\n"
        "def compress_image(*arguments, **options):\n    return b'x' * 10_000_000\n"
        "fake = types.SimpleNamespace(compress_image=compress_image)\n"
        "sys.modules['luxvox.codec.pictures'] = fake\n"
        "main(['compress', 'photo.png', '-o', '-', '--device', 'cpu'])"
    )
    with start(talkative) as child:
        child.stdout.read(1)
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_a_closed_or_full_stderr_does_no_harm(folder, stderr):
    if "full" in stderr and not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    luxvox_command = f"{sys.executable} -m luxvox"
    for words in ("compress photo.png", "decompress photo.lvx -o back.png"):
        done = subprocess.run(f"{luxvox_command} {words} {stderr}", shell=True, check=False)
        assert done.returncode == 0
    assert names(folder) == ["back.png", "photo.lvx", "photo.png"]
