"""A mistake on the command line is one line that says what, where, and what would be right."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from conftest import complaint
from impasto.cli import main
from impasto.cli.options.arguments import escape_line
from impasto.engine.machine.capacity import find_scratch_folder

pytestmark = pytest.mark.usefixtures("in_work", "no_work")

STYLE = ["--style", "painting.png"]
JOB = ["photo.png", *STYLE, "-o", "o.png"]


def refuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command line that is refused as bad input, and return its line."""
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    line = complaint(capsys)
    assert line.startswith("impasto: error: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere/a.png", *STYLE], "nowhere/a.png: no such folder nowhere"),
        (["https://example.org/a.jpg", *STYLE], "https://example.org/a.jpg: is an address"),
        (["sheet", "https://example.org/a.jpg", *STYLE], "is an address"),
        (["video", "nowhere/a.mp4", *STYLE], "nowhere/a.mp4: no such folder nowhere"),
        (["sketchy", "photo.png"], "sketchy: no such file or command; see `impasto --help`"),
        (["photo.png", "--style", ""], "argument --style: is empty"),
        (["", *STYLE], "argument PHOTO: is empty"),
        ([*JOB, "-o", ""], "argument -o/--output: is empty"),
        (
            ["photo.png", "--style", "blue woodcut"],
            "or 'words: blue woodcut'",
        ),
        (["photo.png", "--style", "wood panel"], "wood panel: no such file"),
        (["photo.png", "--style", "words:"], "the description is empty; expected a technique"),
        ([*JOB, "--mask", "persn"], "persn: no such file; did you mean person?"),
        ([*JOB, "--mask", "rekt:1,2,3,4"], "did you mean rect:1,2,3,4?"),
        ([*JOB, "--mask", "none.png"], "none.png: no such file"),
        (["mask", "photo.png", "persn", "-o", "m.png"], "did you mean person?"),
        (["mask", "photo.png", "cat", "-o", "m.png"], "cat: unknown kind of mask; expected one of"),
        ([*JOB, "--resume", "photo.png"], "photo.png: is not an impasto checkpoint"),
        ([*JOB, "--recipe", "standart"], "no recipe 'standart'; did you mean standard?"),
        ([*JOB, "--set", "size=big"], "size is 'big'; expected a whole number"),
        ([*JOB, "--set", "strength=7"], "strength is 7; expected 1 or less"),
        ([*JOB, "--set", "colors=blue"], "colors is 'blue'; expected 'style', 'content', "),
        ([*JOB, "--set", "style.layers.relu9_9=1"], "style.layers.relu9_9: no layer"),
        (["sheet", *JOB, "--strengths", "a,b"], "strength is 'a'; expected a number"),
        (["batch", "t.tsv", *STYLE, "-o", "out"], "t.tsv: tables of this kind are not read"),
        (["batch", "semicolons.csv", "-o", "out"], "separates its cells by semicolons; expected"),
        (["batch", "tabs.csv", "-o", "out"], "separates its cells by tabs; expected commas"),
        (["batch", "a[1].png", *STYLE, "-o", "out"], "[ are wildcards, and [[] is a bracket"),
    ],
)
def test_a_mistake_gets_a_line_that_helps(arguments, says, capsys):
    Path("semicolons.csv").write_text("photo;style\nphoto.png;painting.png\n")
    Path("tabs.csv").write_text("photo\tstyle\nphoto.png\tpainting.png\n")
    assert says in refuse(arguments, capsys)


def test_empty_standard_input_is_called_that(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input: is empty" in refuse(["-", *STYLE, "-o", "o.png"], capsys)


def test_a_name_in_brackets_is_a_file_before_it_is_a_pattern():
    from impasto.batch.sources.photo_search import SearchReport, find_photos

    Path("a[1].png").write_bytes(b"")
    photos = find_photos("a[1].png", root=None, skip="", report=SearchReport(), read_list=list)
    assert [each.photo for each in photos] == ["a[1].png"]


def test_a_temporary_folder_of_an_ended_session_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    assert find_scratch_folder().is_dir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert find_scratch_folder() == tmp_path


def test_streams_escape_what_they_cannot_show(monkeypatch):
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert main(["recipes", "gone"]) == 2
    sys.stdout.write("b\u00e4ume \udce4")  # as a table of results does
    sys.stdout.flush()
    assert out.getvalue().startswith(b"b\\xe4ume \\udce4")


def test_names_of_another_locale_are_shown_as_they_are():
    name = "b\u00e4ume-\u6728.png"
    decoded = name.encode().decode("ascii", "surrogateescape")  # by a process in the locale C
    if os.fsencode(decoded) == name.encode():
        assert escape_line(decoded) == name
    assert escape_line("a\udcff\x1b") == "a\\udcff\\x1b"
