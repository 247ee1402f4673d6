"""What MkDocs does not do by itself: documents of the root as pages, and links that fit both.

The pages are read in the repository, too, where `../FORMAT.md` and `decisions/` are right. On the
site FORMAT.md is a page like the others, and a folder is the page of its README.md.
"""

from __future__ import annotations

import atexit
import os
import posixpath
import re
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PAGES_OF_ROOT = ("FORMAT.md", "SECURITY.md", "CHANGELOG.md")
ATTACHED = ("evaluate/results.schema.json", "examples/train_on_tokens.py")

_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@event_priority(100)  # before mkdocstrings looks for the paths
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the Python API be read from this checkout, whatever its folder is called."""
    folder = tempfile.TemporaryDirectory(prefix="luxvox-")
    atexit.register(folder.cleanup)
    (Path(folder.name) / "luxvox").symlink_to(ROOT)
    python = config.plugins["mkdocstrings"].config["handlers"]["python"]
    python["paths"] = [folder.name]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the documents of the root, and the files next to code that pages link to."""
    for name in (*PAGES_OF_ROOT, *ATTACHED):
        files.append(File.generated(config, name, abs_src_path=os.fspath(ROOT / name)))
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files, **_: Navigation
) -> str:
    """Lead each relative link to the place its target has on the site."""
    source = Path(str(page.file.abs_src_path))
    folder = posixpath.dirname(page.file.src_uri)
    code = [(found.start(), found.end()) for found in _FENCE.finditer(markdown)]

    def lead(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        if "://" in target or any(start <= found.start() < end for start, end in code):
            return found.group()
        return f"{before}{_on_site(target, source, folder)}{after}"

    return _LINK.sub(lead, markdown)


def _on_site(target: str, source: Path, folder: str) -> str:
    """Return a link from a page in a folder of the site; other targets stay unchanged."""
    path = (source.parent / target).resolve()
    if path.is_dir():
        path /= "README.md"
    if ROOT not in path.parents:
        return target
    name = path.relative_to(ROOT).as_posix()
    return posixpath.relpath(name.removeprefix("docs/"), folder or ".")
