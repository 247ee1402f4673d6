"""Settings and fixtures that all tests share.

They run from a bare checkout: a link named `luxvox` makes its root importable. Hypothesis has no
deadlines, since the machine may be busy. With several processes (`pytest -n auto`), each computes
in one thread, or they would wait for one another.
"""

import atexit
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

if importlib.util.find_spec("luxvox") is None:
    folder = tempfile.TemporaryDirectory(prefix="luxvox-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "luxvox").symlink_to(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, folder.name)
    # The tests of the command line start processes, which need the link too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder.name, os.getenv("PYTHONPATH"))))

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("luxvox", deadline=None)
settings.load_profile("luxvox")


@pytest.fixture(scope="session")
def s3_server():
    """Run an S3 server, and let this process and those that it starts find it."""
    from luxvox.tests.buckets import start_server

    server = start_server()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield server
    server.stop()


@pytest.fixture
def bucket(s3_server):
    """Make an empty bucket on the S3 server."""
    from luxvox.tests.buckets import Bucket

    with Bucket(s3_server._server) as new_bucket:
        yield new_bucket
