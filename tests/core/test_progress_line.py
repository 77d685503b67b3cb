"""Progress is shown where a line can move, told now and then in logs, and silent if that is wished."""

import re
from io import StringIO

import pytest

import penjing
from penjing.core import progress_line as lines
from penjing.core.progress_line import progress_line, said, shows_progress


class Terminal(StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(lines.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_has_one_line_that_moves_and_is_gone_at_the_end(clock):
    out = Terminal()
    with progress_line(to=out) as progress:
        for done in range(50):
            clock[0] += 0.05
            progress("writing", done, 50)
    assert "\n" not in out.getvalue()
    assert re.search(r"writing +\d+ %  0:01", out.getvalue())
    assert out.getvalue().count("writing") < 2 * 30
    assert out.getvalue().rstrip(" ").endswith("\r")


def test_a_log_gets_few_whole_lines(clock):
    out = StringIO()
    with progress_line(to=out) as progress:
        for done in range(100):
            clock[0] += 1
            progress("measuring", done, 100)
    told = out.getvalue().splitlines()
    assert told[0] == "penjing: measuring    9 %  0:10"
    assert len(told) == 4


def test_what_is_quick_says_nothing_in_a_log():
    out = StringIO()
    with progress_line(to=out) as progress:
        progress("writing", 1, 2)
    assert out.getvalue() == ""


def test_silence_and_callables_are_heeded():
    seen = []

    @shows_progress
    def work(n, *, progress):
        progress("x", n, 2)

    work(1, progress=lambda *told: seen.append(told))
    work(1, progress=False)
    work(1)
    assert seen == [("x", 1, 2)]


def test_what_users_call_shows_it_by_default():
    from inspect import signature

    for name in ("shrink", "plan", "measure", "compare", "run", "profile", "sensitivity", "select_data", "apply"):
        assert signature(getattr(penjing, name)).parameters["progress"].default is None, name


def test_a_line_without_a_total_has_no_share():
    assert said("opening", 0, 0, 65.2) == "opening  1:05"
