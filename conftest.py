"""Let the tests run from a bare checkout: a link named `luxvox` makes its root importable."""

import atexit
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

if importlib.util.find_spec("luxvox") is None:
    folder = tempfile.TemporaryDirectory(prefix="luxvox-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "luxvox").symlink_to(Path(__file__).resolve().parent)
    sys.path.insert(0, folder.name)
    # The tests of the command line start processes, which need the link too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder.name, os.getenv("PYTHONPATH"))))
