"""The report as a browser shows it: narrow and wide, without errors and without a network."""

import json
import re
from pathlib import Path

import pytest

from luxvox.tests.evaluate.browser import open_browser
from luxvox.tests.evaluate.miniature import run_command, write_pictures, write_voice

PUBLISHED = {
    "Some <codec> & more": {
        "bpp": [0.2, 0.9, 40.0],
        "psnr": [20.0, 30.0, 50.0],
        "source": "a paper",
    },
    "Far away": {"bpp": [90.0, 99.0], "psnr": [90.0, 99.0], "source": "another paper"},
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Return a page of a headless browser."""
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Return the reports of two pictures and of a voice."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "published.json").write_text(json.dumps(PUBLISHED))
    write_pictures(folder / "pictures")
    write_voice(folder / "voices")
    points = ("jpeg=10,40,80", "jpeg2000=0.2,0.6,1.5", "luxvox=10,40,70")
    words = ["--peers", "jpeg,jpeg2000", "--metrics", "psnr,ms_ssim", "--timed-files", "1"]
    words += [word for setting in points for word in ("--points", setting)]
    against = ["--against", folder / "published.json"]
    run_command(folder / "pictures", *words, *against, "--out", folder / "p")
    words = ["--peers", "original,codec2,opus", "--metrics", "stoi", "--timed-files", "0"]
    run_command(folder / "voices", *words, "--out", folder / "v")
    return {kind: folder / kind[0] / "report.html" for kind in ("pictures", "voices")}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["pictures", "voices"])
def test_it_fits_and_needs_nothing_else(kind, width, browser, reports):
    browser.errors.clear()
    browser.requests.clear()
    browser.open(reports[kind], width)
    assert browser.value("document.documentElement.scrollWidth") == width
    assert not browser.errors
    assert [url for url in browser.requests if not url.startswith("data:")] == [
        reports[kind].resolve().as_uri()
    ]
    images = "[...document.images].every((image) => image.complete && image.naturalWidth > 0)"
    assert browser.value(images)
    opacity = (
        "[...document.images].every((image) => getComputedStyle(image.parentElement).opacity > 0)"
    )
    assert browser.value(opacity)
    heights = (
        "[...document.querySelectorAll('.plots svg text')]"
        ".map((text) => text.getBoundingClientRect().height)"
    )
    assert browser.value(f"Math.min(...{heights})") > 10


def test_the_reference_can_be_chosen(browser, reports):
    browser.open(reports["pictures"], 1280)
    shown = "document.querySelector('[data-reference]:not([hidden]) thead th').textContent"
    assert browser.value(shown) == "against JPEG (optimize, progressive)"
    browser.value(
        "{ const select = document.getElementById('reference'); select.value = '0';"
        " select.dispatchEvent(new Event('change')); }"
    )
    assert browser.value(shown) == "against luxvox"
    rows = "document.querySelectorAll('[data-reference]:not([hidden]) tbody tr').length"
    assert browser.value(rows) == 4


def test_curves_can_be_hidden_and_marks_read(browser, reports):
    browser.open(reports["pictures"], 390)
    display = "getComputedStyle(document.querySelector('[data-curve=\"jpeg\"]')).display"
    assert browser.value(display) != "none"
    browser.tap("[data-toggles='jpeg']")
    assert browser.value(display) == "none"
    browser.tap("[data-curve='luxvox'] .point .hit")
    assert browser.value("document.querySelector('.readout').textContent").startswith(
        "luxvox at 10:"
    )


def test_a_tap_shows_the_original(browser, reports):
    browser.open(reports["pictures"], 390)
    same = (
        "document.querySelector('[data-codec=jpeg] img').src ==="
        " document.querySelector('[data-codec=original] img').src"
    )
    assert not browser.value(same)
    browser.tap("[data-codec=jpeg] .swap")
    assert browser.value(same)
    browser.tap("[data-codec=jpeg] .swap")
    assert not browser.value(same)


def test_differences_can_be_shown(browser, reports):
    browser.open(reports["pictures"], 1280)
    source = "document.querySelector('[data-codec=jpeg] img').src"
    decoded = browser.value(source)
    waits = """new Promise((done) => {
        const image = document.querySelector('[data-codec=jpeg] img');
        image.addEventListener('load', () => {
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth;
            canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            done(data.filter((_, k) => k % 4 === 1).reduce((a, b) => a + b) / (data.length / 4));
        }, { once: true });
        document.querySelector('[data-view=difference]').click();
    })"""
    assert browser.value(waits) == pytest.approx(128.0, abs=8.0)  # grey where nothing differs
    assert browser.value(source) != decoded
    browser.value("document.querySelector('[data-view=decoded]').click()")
    assert browser.value(source) == decoded


def test_zoom_magnifies_all_tiles_at_one_place(browser, reports):
    browser.open(reports["pictures"], 390)
    browser.tap("[data-zoom='4']")
    width = "document.querySelector('[data-codec={}] img').getBoundingClientRect().width"
    frame = "document.querySelector('[data-codec=jpeg] .window').getBoundingClientRect().width"
    assert browser.value(width.format("jpeg")) == pytest.approx(4 * browser.value(frame))
    assert browser.value(width.format("original")) == pytest.approx(4 * browser.value(frame))
    assert browser.value("document.documentElement.scrollWidth") == 390
    browser.tap("[data-zoom='1']")
    assert browser.value(width.format("jpeg")) == pytest.approx(browser.value(frame))


def test_distant_sizes_are_marked(reports):
    page = Path(reports["pictures"]).read_text(encoding="utf-8")
    assert re.search(r'class="far">\d+ % (more|fewer) bytes than luxvox', page)


def test_a_dash_gives_the_reason(browser, reports):
    browser.open(reports["pictures"], 390)
    browser.tap("[data-reference]:not([hidden]) button.why")
    reason = browser.value("document.querySelector('.reason').textContent")
    assert "the curves share no" in reason


def test_voices_can_be_played(browser, reports):
    browser.open(reports["voices"], 390)
    plays = """new Promise((done) => {
        const sound = document.querySelector('[data-codec=original] audio');
        sound.addEventListener('loadedmetadata', () => done(sound.duration));
        sound.addEventListener('error', () => done(-1));
        sound.load();
    })"""
    assert browser.value(plays) == pytest.approx(2.0, abs=0.1)


def test_words_from_elsewhere_are_escaped(reports):
    page = Path(reports["pictures"]).read_text(encoding="utf-8")
    assert "Some &lt;codec&gt; &amp; more (published)" in page
    assert "<codec>" not in page
