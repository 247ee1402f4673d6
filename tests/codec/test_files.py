"""Files are written whole or not at all, and outputs get the names a user expects."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from luxvox.codec import files
from luxvox.errors import SystemFailure, UsageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000])
def test_round_trip(tmp_path, data):
    target = str(tmp_path / "out.lvx")
    files.write(target, data)
    assert files.read(target) == data
    assert names(tmp_path) == ["out.lvx"]


def test_new_file_has_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    files.write(str(tmp_path / "ours"), b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_existing_file_is_kept_unless_forced(tmp_path):
    target = tmp_path / "out.lvx"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="-f"):
        files.write(str(target), b"new")
    assert target.read_bytes() == b"old"
    files.write(str(target), b"new", overwrite=True)
    assert target.read_bytes() == b"new"


def test_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.write(str(tmp_path / "link"), b"new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failed_write_leaves_nothing_and_keeps_the_old(tmp_path, monkeypatch, failure):
    target = tmp_path / "out.lvx"
    target.write_bytes(b"old")

    def fail(descriptor):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((SystemFailure, KeyboardInterrupt)):
        files.write(str(target), b"new", overwrite=True)
    assert names(tmp_path) == ["out.lvx"]
    assert target.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_to_directly():
    files.write("/dev/null", b"x")
    with pytest.raises(SystemFailure, match="No space left"):
        files.write("/dev/full", b"x")
    assert Path("/dev/full").is_char_device()


def test_refusals_say_why(tmp_path):
    with pytest.raises(SystemFailure, match="No such file"):
        files.read(str(tmp_path / "nothing"))
    with pytest.raises(SystemFailure, match="Is a directory"):
        files.read(str(tmp_path))
    with pytest.raises(SystemFailure, match="there is no folder"):
        files.write(str(tmp_path / "nowhere" / "out.lvx"), b"")
    with pytest.raises(UsageError, match="is a folder"):
        files.write(str(tmp_path), b"")


def test_a_folder_that_may_not_be_made(tmp_path, monkeypatch):
    """It is not only missing; nobody could make it."""
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    target = tmp_path / "deep" / "deeper" / "file"
    with pytest.raises(SystemFailure, match="no permission to make the folder .*deeper$"):
        files.check_target(str(target))


def test_pipes(monkeypatch, capsysbinary):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00in")))
    assert files.read("-") == b"\xff\x00in"
    files.write("-", b"\xff\x00out")
    assert capsysbinary.readouterr().out == b"\xff\x00out"


def test_terminals_are_refused(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        files.read("-")
    with pytest.raises(UsageError, match="terminal"):
        files.write("-", b"", overwrite=True)


posix = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")


def mode_of(path):
    return path.stat().st_mode & 0o7777


def refuse(monkeypatch, number):
    """Refuse new files in all folders."""
    really = os.open

    def open_or_refuse(path, *arguments):
        if str(path).endswith(".part"):
            raise OSError(number, os.strerror(number))
        return really(path, *arguments)

    monkeypatch.setattr(os, "open", open_or_refuse)


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o400, 0o755])
def test_a_new_file_has_permissions_and_time_of_its_input(tmp_path, mode):
    source = tmp_path / "in.png"
    source.touch()
    source.chmod(mode)
    os.utime(source, ns=(10**18, 10**18 + 123_456_789))
    files.write(str(tmp_path / "out"), b"x", like=str(source))
    target = tmp_path / "out"
    assert mode_of(target) == mode
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert target.stat().st_uid == source.stat().st_uid


@posix
@pytest.mark.parametrize(
    ("of_input", "before", "after"),
    [
        (0o644, 0o600, 0o600),
        (0o600, 0o644, 0o600),
        (0o440, 0o660, 0o640),
        (0o644, 0o644, 0o644),
        (None, 0o600, 0o600),
    ],
)
def test_a_replaced_file_is_never_open_to_more_people(tmp_path, of_input, before, after):
    source, target = tmp_path / "in", tmp_path / "out"
    target.touch()
    target.chmod(before)
    if of_input is not None:
        source.touch()
        source.chmod(of_input)
    files.write(str(target), b"new", overwrite=True, like=str(source))
    assert mode_of(target) == after
    assert target.read_bytes() == b"new"


@posix
def test_nobody_can_read_a_private_picture_while_it_is_written(tmp_path):
    source = tmp_path / "in.png"
    source.touch()
    source.chmod(0o600)
    with files.open_output(str(tmp_path / "out"), like=str(source)) as stream:
        assert os.fstat(stream.fileno()).st_mode & 0o077 == 0


@posix
def test_pipes_have_no_permissions_to_take_over(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "usual").touch()
    files.write(str(tmp_path / "out"), b"x", like=str(tmp_path / "fifo"))
    assert mode_of(tmp_path / "out") == mode_of(tmp_path / "usual")


@pytest.mark.parametrize("letters", ["x" * 251, "\u65e5" * 83, "\U0001f600" * 62])
def test_names_of_the_greatest_length(tmp_path, letters):
    target = tmp_path / f"{letters}.lvx"
    files.write(str(target), b"x")
    assert target.read_bytes() == b"x"
    longer = tmp_path / f"{letters}{letters}.lvx"
    with pytest.raises(SystemFailure, match="too long"):
        files.write(str(longer), b"x")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_need_not_be_utf_8(tmp_path):
    target = os.path.join(tmp_path, os.fsdecode(b"caf\xe9.lvx"))
    files.write(target, b"x")
    assert files.read(target) == files.peek(target, 9) == b"x"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_appears_meanwhile_stays(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(OSError(errno.EPERM)))
    target = tmp_path / "out"
    with pytest.raises(UsageError, match="created in the meantime"):
        with files.open_output(str(target)) as stream:
            stream.write(b"ours")
            target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]
    with files.open_output(str(target), overwrite=True) as stream:
        stream.write(b"ours")
    files.write(str(tmp_path / "other"), b"new")
    assert target.read_bytes() == b"ours"
    assert names(tmp_path) == ["other", "out"]


def test_overwriting_replaces_a_file_that_appears_meanwhile(tmp_path):
    target = tmp_path / "out"
    with files.open_output(str(target), overwrite=True) as stream:
        stream.write(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"ours"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_writable_file_in_a_read_only_folder(tmp_path, monkeypatch, number):
    target = tmp_path / "out"
    target.write_bytes(b"the old one, which is longer")
    before = target.stat().st_ino
    refuse(monkeypatch, number)
    files.write(str(target), b"new", overwrite=True)
    assert (target.read_bytes(), target.stat().st_ino) == (b"new", before)
    files.write(str(target), b"n" * 100_000, overwrite=True)
    assert target.read_bytes() == b"n" * 100_000
    with pytest.raises(RuntimeError):
        with files.open_output(str(target), overwrite=True) as stream:
            stream.write(b"half")
            raise RuntimeError
    assert target.read_bytes() == b"n" * 100_000
    with pytest.raises(SystemFailure):
        files.write(str(tmp_path / "new"), b"new")
    assert names(tmp_path) == ["out"]


@posix
def test_an_input_is_not_written_into_through_a_link(tmp_path, monkeypatch):
    (tmp_path / "in").write_bytes(b"precious")
    (tmp_path / "out").hardlink_to(tmp_path / "in")
    refuse(monkeypatch, errno.EACCES)
    with pytest.raises(SystemFailure, match="has links"):
        files.write(str(tmp_path / "out"), b"new", overwrite=True)
    assert (tmp_path / "in").read_bytes() == b"precious"


def test_a_file_that_cannot_be_replaced_is_overwritten(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.write_bytes(b"of somebody else in a sticky folder")

    def refuse_rename(*paths):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse_rename)
    files.write(str(target), b"new", overwrite=True)
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


@posix
def test_descriptors_are_written_to_where_they_stand(tmp_path):
    with (tmp_path / "log").open("wb") as stream:
        stream.write(b"before ")
        stream.flush()
        files.write(f"/dev/fd/{stream.fileno()}", b"ours")
        stream.write(b" after")
    assert (tmp_path / "log").read_bytes() == b"before ours after"


@posix
def test_other_names_of_standard_streams():
    assert [files.plain_name(name, 0) for name in ("/dev/stdin", "/dev/fd/0", "a")] == [
        "-",
        "-",
        "a",
    ]
    assert [files.plain_name(name, 1) for name in ("/dev/stdout", "/dev/stdin")] == [
        "-",
        "/dev/stdin",
    ]


def test_closed_streams_are_refused(monkeypatch):
    for closed in (None, io.TextIOWrapper(io.BytesIO())):
        if closed is not None:
            closed.close()
        monkeypatch.setattr(sys, "stdin", closed)
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemFailure, match="standard input is closed"):
            files.read("-")
        with pytest.raises(SystemFailure, match="standard output is closed"):
            files.write("-", b"")
