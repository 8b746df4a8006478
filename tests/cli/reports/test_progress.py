"""Progress on a terminal and in a pipe, of made-up steps."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from impasto.cli.reports import progress
from impasto.engine.step import Step
from steps import step, two_scales


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def show_steps(stream: io.StringIO, steps: list[Step], *, quiet: bool = False) -> str:
    with progress.choose_progress(stream, quiet=quiet) as display:
        for each in steps:
            display.update(each)
    return stream.getvalue()


def test_a_pipe_gets_a_line_at_each_scale_and_at_the_end():
    lines = show_steps(io.StringIO(), two_scales(10)).splitlines()
    assert [line.split()[0] for line in lines] == ["1/10", "6/10", "10/10"]
    for word in ("32x24", "total 3", "content 1", "style 2", "1:01 left"):
        assert word in lines[0]
    assert "\x1b" not in "".join(lines)


def test_a_pipe_gets_a_line_every_few_seconds(monkeypatch):
    clock = iter(np.arange(1000, 2000, 2.0))  # two seconds a step
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    lines = show_steps(io.StringIO(), [step(i, 10) for i in range(1, 11)]).splitlines()
    assert [line.split()[0] for line in lines] == ["1/10", "4/10", "7/10", "10/10"]


def test_a_terminal_gets_one_live_line(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = show_steps(Terminal(), two_scales(10))
    assert "\x1b[" in text
    for word in ("64x48", "10/10", "style 2", "1:01 left"):
        assert word in text


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet_shows_nothing(stream):
    assert show_steps(stream(), two_scales(10), quiet=True) == ""


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_time_left_is_readable(seconds, expected):
    assert progress.format_duration(seconds) == expected
