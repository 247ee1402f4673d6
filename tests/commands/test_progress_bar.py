"""The bar waits a second, stays off pipes and wipes itself."""

import io

from luxvox.commands.progress_bar import BatchProgressBar, ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(stream, fractions_at):
    now_s = [0.0]
    progress = ProgressBar("compressing a.png", stream, lambda: now_s[0])
    for now_s[0], fraction in fractions_at:
        progress(fraction)
    progress.close()
    return stream.getvalue()


class GoneTerminal(Terminal):
    def write(self, text):
        raise OSError("Input/output error")


def test_a_terminal_that_has_gone_stops_nothing():
    assert run(GoneTerminal(), [(2, 0.5), (3, 1.0)]) == ""
    now_s = [0.0]
    bar = BatchProgressBar([1.0, 1.0], GoneTerminal(), lambda: now_s[0])
    now_s[0] = 5.0
    bar.advance(0, (10, 5))
    bar.clear()
    bar.close()


def test_short_jobs_draw_nothing():
    assert run(Terminal(), [(0.5, 0.5), (0.9, 1.0)]) == ""


def test_pipes_get_nothing():
    assert run(io.StringIO(), [(5, 0.5)]) == ""


def test_long_jobs_draw_and_wipe():
    output = run(Terminal(), [(2, 0.25), (2.05, 0.3), (4, 0.5)])
    assert output.split("\r\x1b[K") == [
        "",
        "compressing a.png [######------------------]  25%, 6 s left",
        "compressing a.png [############------------]  50%, 4 s left",
        "",
    ]


def test_odd_fractions_are_clipped():
    output = run(Terminal(), [(2, -1.0), (4, 7.0)])
    assert "  0%" in output
    assert "100%" in output


def test_the_bar_of_many_files_moves_with_the_work():
    now_s, stream = [0.0], Terminal()
    progress = BatchProgressBar([10, 10, 60, 20], stream, lambda: now_s[0])
    progress.skip(0)
    progress.draw()
    assert stream.getvalue() == "", "nothing is known of the speed yet"
    now_s[0] = 1.0
    progress.advance(1, (100, 40))
    now_s[0] = 7.0
    progress.advance(2, (100, 130))
    progress.clear()
    progress.draw()
    progress.advance(3, None)
    progress.close()
    assert stream.getvalue().split("\r\x1b[K") == [
        "",
        "[###---------------------] 2 of 4 files, 60 bytes saved, 8 s left",
        "[###################-----] 3 of 4 files, 30 bytes saved, 2 s left",
        "",
        "[###################-----] 3 of 4 files, 30 bytes saved, 2 s left",
        "[########################] 4 of 4 files, 30 bytes saved, 0 s left",
        "",
    ]


def test_one_file_or_a_pipe_has_no_batch_bar():
    for weights, stream in (([1], Terminal()), ([1, 1], io.StringIO()), ([1, 1], None)):
        progress = BatchProgressBar(weights, stream)
        progress.advance(0, None)
        progress.close()
        assert stream is None or stream.getvalue() == ""
