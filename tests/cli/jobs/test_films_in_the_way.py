"""A film does not replace what got its name while it was painted."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from impasto.cli.jobs.film_request import FilmRequest
from impasto.cli.jobs.video_work import choose_place
from impasto.video.job.frame_store import FrameStore


@pytest.mark.parametrize("force", [False, True])
def test_a_taken_name_gives_a_free_one_unless_forced(force, tmp_path, capsys):
    target = tmp_path / "film.mp4"
    work = FrameStore(tmp_path / "work", {})
    options = argparse.Namespace(force=force)
    film = FilmRequest(
        options=options, recipe=None, clip=None, paintings=[], size=(8, 8), output=target
    )
    assert choose_place(film, work, target) == target
    target.write_bytes(b"somebody's")
    expected = target if force else tmp_path / "film-2.mp4"
    assert choose_place(film, work, target) == expected
    assert ("the film is in" in capsys.readouterr().err) == (not force)
    work.note_output(target)
    assert choose_place(film, work, target) == target
    pattern = Path(tmp_path / "%03d.png")
    assert choose_place(film, work, pattern) == pattern
