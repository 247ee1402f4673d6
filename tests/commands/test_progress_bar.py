"""The bar waits a second, stays off pipes and wipes itself."""

import io

from luxvox.commands.progress_bar import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, fractions_at):
    now_s = [0.0]
    progress = Progress("compressing a.png", stream, lambda: now_s[0])
    for now_s[0], fraction in fractions_at:
        progress(fraction)
    progress.close()
    return stream.getvalue()


def test_short_jobs_draw_nothing():
    assert run(Terminal(), [(0.5, 0.5), (0.9, 1.0)]) == ""


def test_pipes_get_nothing():
    assert run(io.StringIO(), [(5, 0.5)]) == ""


def test_long_jobs_draw_and_wipe():
    drawn = run(Terminal(), [(2, 0.25), (2.05, 0.3), (4, 0.5)])
    assert drawn.split("\r\x1b[K") == [
        "",
        "compressing a.png [######------------------]  25%, 6 s left",
        "compressing a.png [############------------]  50%, 4 s left",
        "",
    ]


def test_odd_fractions_are_clipped():
    drawn = run(Terminal(), [(2, -1.0), (4, 7.0)])
    assert "  0%" in drawn
    assert "100%" in drawn
