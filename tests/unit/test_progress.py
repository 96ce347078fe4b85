"""Progress: silence for short work, lines for logs, a bar for terminals."""

from __future__ import annotations

import io

import pytest

from gnomon.core import progress as module
from gnomon.core.progress import progress


class Clock:
    """Seconds that move when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(seconds_an_item: float, total: int | None, count: int, done: int = 0, estimate: str = "") -> list[str]:
    stream, clock = io.StringIO(), Clock()
    with progress(total, "calibration", done=done, stream=stream, clock=clock) as bar:
        for _ in range(count):
            clock.now += seconds_an_item
            bar.advance(1, estimate)
    return stream.getvalue().splitlines()


def test_work_under_two_seconds_is_silent() -> None:
    assert lines_of(0.19, 10, 10) == []


def test_a_line_after_two_seconds_then_every_ten_and_at_the_end() -> None:
    assert lines_of(1.0, 30, 30, estimate="accuracy 0.71 ± 0.03") == [
        "calibration: 2/30, 1/s, 28 s left, accuracy 0.71 ± 0.03",
        "calibration: 12/30, 1/s, 18 s left, accuracy 0.71 ± 0.03",
        "calibration: 22/30, 1/s, 8 s left, accuracy 0.71 ± 0.03",
        "calibration: 30/30, 1/s, accuracy 0.71 ± 0.03",
    ]


def test_what_was_done_before_counts_but_not_for_the_rate() -> None:
    assert lines_of(2.0, 100, 1, done=50) == ["calibration: 51/100, 30/min, 1 min 38 s left"]


def test_an_unknown_total_has_no_time_left() -> None:
    assert lines_of(3.0, None, 1) == ["calibration: 1, 20/min"]


def test_long_times_are_said_in_hours() -> None:
    assert lines_of(60.0, 126, 1) == ["calibration: 1/126, 1/min, 2 h 5 min left"]


def test_an_estimate_stays_until_another_comes() -> None:
    stream, clock = io.StringIO(), Clock()
    with progress(3, "x", stream=stream, clock=clock) as bar:
        bar.advance(1, "first")
        clock.now += 3
        bar.advance()
        bar.advance(1, "second")
    assert stream.getvalue().splitlines() == ["x: 2/3, 40/min, 2 s left, first", "x: 3/3, 1/s, second"]


def test_a_failure_inside_still_ends_the_bar() -> None:
    stream, clock = io.StringIO(), Clock()
    with pytest.raises(ZeroDivisionError), progress(3, "x", stream=stream, clock=clock) as bar:
        clock.now += 5
        bar.advance()
        bar.advance()
        raise ZeroDivisionError
    assert stream.getvalue().splitlines()[-1].startswith("x: 2/3")


def test_a_terminal_gets_a_bar_that_shows_rate_and_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with progress(30, "calibration [a]", done=3, stream=stream) as bar:
        bar._timer.join()  # type: ignore[attr-defined]  # the bar is there when its timer has run
        bar.advance(7, "accuracy [b] 0.5")
    text = stream.getvalue()
    assert "calibration [a]" in text and "10/30" in text and "/s" in text and "accuracy [b] 0.5" in text


def test_short_work_in_a_terminal_is_silent() -> None:
    stream = Terminal()
    with progress(3, "x", stream=stream) as bar:
        bar.advance(3)
    assert stream.getvalue() == ""
