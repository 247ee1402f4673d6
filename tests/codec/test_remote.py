"""Files at URLs: read, found, written whole or not at all; failures give one clear line."""

import importlib
import sys

import fsspec
import pytest

from luxvox.codec import files, folders, remote
from luxvox.errors import SystemFailure, UsageError


@pytest.fixture
def memory():
    """Return fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_what_is_a_url():
    assert all(map(remote.is_url, ("s3://b/a.png", "memory://a", "S3://B", "web+x.y://h")))
    assert not any(map(remote.is_url, ("a.png", "-", "C://a", "/s3://b", "s3:/b", "1a://b")))


def test_names_of_web_pages_end_before_the_query():
    assert [str(part) for part in remote.split("HTTPS://h/my%20photo.png?sign=a/b#c")] == [
        "https://",
        "h/my photo.png",
    ]
    assert str(remote.split("s3://b/why?.png")[1]) == "b/why?.png"


def test_files_in_a_bucket(bucket):
    url = bucket.url + "deep/a.bin"
    files.write(url, b"hello")
    assert (files.read(url), files.peek(url, 2), bucket.keys()) == (
        b"hello",
        b"he",
        ["deep/a.bin"],
    )
    with pytest.raises(UsageError, match="a.bin exists; name another with -o, or replace"):
        files.write(url, b"new")
    files.write(url, b"", overwrite=True)
    assert (files.read(url), files.peek(url, 2)) == (b"", b"")
    folders.remove(url)
    assert bucket.keys() == []


def test_a_large_file_is_uploaded_in_parts_and_seen_when_all_are_there(bucket, monkeypatch):
    import s3fs.core

    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda size, chunksize=None: 5 * 2**20)
    data = bytes(11 * 2**20)
    with files.open_output(bucket.url + "large.bin") as stream:
        for start in range(0, len(data), 2**20):
            files.write_all(stream, data[start : start + 2**20])
            assert bucket.keys() == []
    assert bucket.get("large.bin") == data
    assert sum(request.startswith("PUT") for request in bucket.requests) == 3


@pytest.mark.parametrize("url", ["memory://folder/", "file://{tmp_path}/"])
def test_files_elsewhere_appear_in_one_move(url, tmp_path, memory):
    url = url.format(tmp_path=tmp_path)
    files.write(url + "new/a.bin", b"hello")
    assert files.read(url + "new/a.bin") == b"hello"
    with pytest.raises(ZeroDivisionError), files.open_output(url + "new/b.bin") as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert remote.files_in(url, is_recursive=True) == [url + "new/a.bin"]


def test_a_failed_upload_leaves_nothing(memory, monkeypatch):
    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(memory, "mv", fail)
    with pytest.raises(SystemFailure, match="memory://a.bin cannot be written: the disk is full"):
        files.write("memory://a.bin", b"hello")
    assert not memory.store


@pytest.mark.parametrize("kind", ["bucket", "memory"])
def test_a_file_made_meanwhile_is_not_replaced(kind, request):
    place = request.getfixturevalue(kind)
    url = place.url + "a.bin" if kind == "bucket" else "memory://a.bin"
    message = "a.bin was created in the meantime; replace it with -f"
    with pytest.raises(UsageError, match=message), files.open_output(url) as stream:
        stream.write(b"ours")
        files.write(url, b"theirs")
    assert files.read(url) == b"theirs"
    assert remote.files_in(url.rpartition("/")[0] + "/", is_recursive=True) == [url]


def test_refused_requests_are_repeated(bucket):
    bucket.n_refusals = 2
    files.write(bucket.url + "a.bin", b"hello", overwrite=True)
    bucket.n_refusals = 2
    assert files.read(bucket.url + "a.bin") == b"hello"
    assert bucket.n_refusals == 0


def test_folders(bucket):
    for key in ("in/b.png", "in/a.png", "in/deep/c.png", "in/.hidden/d.png", "in/../../e.png"):
        bucket.put(key, b"")
    bucket.put("in//etc/f.png", b"")
    folder = bucket.url + "in"
    assert remote.is_folder(folder) and not remote.is_folder(folder + "/a.png")
    assert not remote.is_folder(bucket.url + "nothing")
    assert remote.is_folder(bucket.url) and not remote.is_folder("s3://no-such-bucket-here/")
    pictures = [f"{folder}/a.png", f"{folder}/b.png"]
    assert remote.files_in(folder, is_recursive=False) == pictures
    assert remote.files_in(folder + "/", is_recursive=True) == [*pictures, f"{folder}/deep/c.png"]
    assert remote.matches(folder + "/*.png") == pictures


def test_times(bucket, memory, tmp_path):
    times = folders.ModificationTimes()
    memory.pipe_file("/a/b", b"")
    bucket.put("a", b"")
    bucket.put("b", b"")
    (tmp_path / "c").touch()
    seconds = [times.of(url) for url in (bucket.url + "a", "memory://a/b", str(tmp_path / "c"))]
    assert max(seconds) - min(seconds) < 60
    n_requests = len(bucket.requests)
    times.of(bucket.url + "b")
    assert len(bucket.requests) == n_requests, "the folder was listed again"
    for missing in (bucket.url + "c", "memory://none/c", str(tmp_path / "d")):
        with pytest.raises(FileNotFoundError):
            times.of(missing)
    assert times.of("https://host/a.png") == float("-inf")


def test_a_bucket_or_a_file_that_is_not_there(bucket):
    with pytest.raises(SystemFailure, match=r"^cannot be read: there is no such file$"):
        files.read(bucket.url + "a.bin")
    missing = "s3://no-such-bucket-here/a.bin"
    with pytest.raises(SystemFailure, match="cannot be read: there is no bucket no-such-bucket-he"):
        files.read(missing)
    with pytest.raises(SystemFailure, match="written: there is no bucket no-such-bucket-here"):
        files.check_target(missing)
    with pytest.raises(SystemFailure, match="no bucket no-such-bucket-here"):
        folders.ModificationTimes().of(missing)


def test_a_bucket_that_vanishes_while_a_file_is_made(bucket):
    message = f"a.bin cannot be written: there is no bucket {bucket.name}"
    with (
        pytest.raises(SystemFailure, match=message),
        files.open_output(bucket.url + "a.bin") as stream,
    ):
        stream.write(b"hello")
        bucket.vanish()


def test_missing_credentials(bucket, monkeypatch):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    try:
        with pytest.raises(SystemFailure, match="no credentials for s3:// are found; set AWS_ACC"):
            files.read(bucket.url + "a.bin")
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("url", "hidden", "command"),
    [
        ("s3://b/a", "s3fs", "pip install 'luxvox[remote]'"),
        ("https://h/a", "fsspec.implementations.http", "pip install 'luxvox[remote]'"),
        ("memory://a", "fsspec", "pip install 'luxvox[remote]'"),
        ("gs://b/a", "gcsfs", "pip install gcsfs"),
        ("abfs://b/a", "adlfs", "pip install adlfs"),
        ("sftp://h/a", "fsspec.implementations.sftp", "pip install paramiko"),
    ],
)
def test_a_missing_package_is_named_with_its_command(url, hidden, command, monkeypatch):
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.delitem(registry._registry, url.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(SystemFailure, match="need") as caught:
        files.read(url)
    assert command in str(caught.value)


def test_unknown_urls_and_web_pages_are_refused(tmp_path):
    with pytest.raises(UsageError, match="foo://a cannot be used: Protocol not known: foo"):
        files.read("foo://a")
    with pytest.raises(UsageError, match="https://h/a cannot be written to; name a file or folder"):
        files.check_target("https://h/a")
    with pytest.raises(SystemFailure, match="cannot be read: Cannot connect to host"):
        files.read("http://127.0.0.1:1/a")


def test_web_pages_are_read(s3_server, tmp_path):
    host, port = s3_server.get_host_and_port()
    page = f"http://{host}:{port}/moto-api/"
    assert files.read(page).startswith(files.peek(page, 5))
    assert len(files.peek(page, 5)) == 5
    with pytest.raises(SystemFailure, match="there is no such file|404"):
        files.read(f"http://{host}:{port}/moto-api/none")
