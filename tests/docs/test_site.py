"""The documentation as a site: links lead to pages, and pages fit windows narrow and wide."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from luxvox.tests.evaluate.browser import open_browser

pytest.importorskip("mkdocs")

from luxvox.docs import hooks

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("index.html", "photographs", "evaluate", "results", "papers", "python", "FORMAT")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of a built site; a warning is an error."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        build(load_config("mkdocs.yml", site_dir=str(folder), strict=True))
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a page of a headless browser."""
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def lead(text, name):
    file = SimpleNamespace(
        abs_src_path=str(ROOT / ("" if name in hooks.PAGES_OF_ROOT else "docs") / name),
        src_uri=name,
    )
    page = SimpleNamespace(file=file)
    return hooks.on_page_markdown(text, page=page, config=None, files=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("[a](../FORMAT.md#means)", "architecture.md", "[a](FORMAT.md#means)"),
        ("[a](decisions/)", "architecture.md", "[a](decisions/README.md)"),
        ("[a](../results.md)", "decisions/001-lattice.md", "[a](../results.md)"),
        ("[a](docs/fuzzing.md)", "SECURITY.md", "[a](fuzzing.md)"),
        ("[a](#means) [b](https://x.org/y)", "index.md", "[a](#means) [b](https://x.org/y)"),
        ("```sh\n[a](decisions/)\n```", "index.md", "```sh\n[a](decisions/)\n```"),
    ],
)
def test_links_lead_to_the_site(text, name, expected):
    assert lead(text, name) == expected


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_load_nothing_from_elsewhere(width, site, browser):
    for name in PAGES:
        browser.errors.clear()
        browser.requests.clear()
        path = site / name
        browser.open(path if path.is_file() else path / "index.html", width)
        assert browser.value("document.documentElement.scrollWidth") == width, name
        assert not browser.errors, name
        assert all(url.startswith(("file:", "data:")) for url in browser.requests), name
        images = "[...document.images].every((image) => image.complete && image.naturalWidth > 0)"
        assert browser.value(images), name


def test_public_names_are_on_the_page(site):
    import luxvox

    page = (site / "python" / "index.html").read_text(encoding="utf-8")
    for name in set(luxvox.__all__) - {"__version__"}:
        assert f'id="luxvox.{name}"' in page or f'id="luxvox.errors.{name}"' in page, name
