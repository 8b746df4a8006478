"""A film does not replace what got its name while it was painted."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from impasto.cli.jobs.film_request import FilmRequest
from impasto.cli.jobs.video_work import save_film
from impasto.errors import InputError
from impasto.image.files.atomic import write_atomically
from impasto.video.job.frame_store import FrameStore


def make_request(output: Path, *, force: bool = False) -> FilmRequest:
    options = argparse.Namespace(force=force)
    return FilmRequest(
        options=options, recipe=None, clip=None, paintings=[], size=(8, 8), output=output
    )


def write(target: Path, *, overwrite: bool) -> None:
    write_atomically(target, b"film", overwrite=overwrite)


@pytest.mark.parametrize("force", [False, True])
def test_a_taken_name_gives_a_free_one_unless_forced(force, tmp_path, capsys):
    target = tmp_path / "film.mp4"
    work = FrameStore(tmp_path / "work", {})
    target.write_bytes(b"somebody's")
    expected = target if force else tmp_path / "film-2.mp4"
    assert save_film(make_request(target, force=force), work, target, write) == expected
    assert expected.read_bytes() == b"film"
    assert ("the film is in" in capsys.readouterr().err) == (not force)
    if not force:
        assert target.read_bytes() == b"somebody's"
    work.note_output(target)
    assert save_film(make_request(target), work, target, write) == target


def test_numbered_pictures_that_appear_meanwhile_are_kept(tmp_path, capsys):
    pattern = tmp_path / "%03d.png"
    work = FrameStore(tmp_path / "work", {})
    somebody = tmp_path / "002.png"

    def write_two(place: Path, *, overwrite: bool) -> None:
        if place == pattern:  # both runs write at the same time
            somebody.write_bytes(b"somebody's")
            raise InputError("exists already", where=somebody, field="overwrite")
        for number in (1, 2):
            write(Path(str(place) % number), overwrite=overwrite)

    place = save_film(make_request(pattern), work, pattern, write_two)
    assert place == tmp_path / "2-%03d.png"
    assert somebody.read_bytes() == b"somebody's"
    assert (tmp_path / "2-002.png").read_bytes() == b"film"
    assert "the film is in" in capsys.readouterr().err
    assert save_film(make_request(pattern), work, pattern, write_two).name == "3-%03d.png"
    work.note_output(tmp_path / "001.png")
    assert save_film(make_request(pattern, force=True), work, pattern, lambda *_, **__: None)
