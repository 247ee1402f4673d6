"""What all tests share.

They run from a bare checkout: a link named `luxvox` makes its root importable. Hypothesis has no
deadlines, since the machine may be busy.
"""

import atexit
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from hypothesis import settings

if importlib.util.find_spec("luxvox") is None:
    folder = tempfile.TemporaryDirectory(prefix="luxvox-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "luxvox").symlink_to(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, folder.name)
    # The tests of the command line start processes, which need the link too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder.name, os.getenv("PYTHONPATH"))))

settings.register_profile("luxvox", deadline=None)
settings.load_profile("luxvox")
