"""The folder of a film's frames: only its own files are ever deleted."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.errors import InputError
from impasto.image.files.atomic import name_temporary
from impasto.video.job.frame_store import FrameStore, StoredFrame

PIXELS = np.full((8, 8, 3), 128, np.uint8)
FRAME = StoredFrame(Fraction(0), 0, PIXELS, "0" * 16)


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("text", ['{"name": "mine"}', "not JSON", "[]", '{"format": "other 1"}'])
@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_with_somebody_elses_job_file_is_refused_and_kept(tmp_path, text, restart):
    (tmp_path / "job.json").write_text(text)
    (tmp_path / "holiday.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"job\.json does not belong to a film"):
        FrameStore(tmp_path, {"what": "test"}, restart=restart)
    assert list_names(tmp_path) == ["holiday.png", "job.json"]
    assert (tmp_path / "job.json").read_text() == text


def test_a_restart_deletes_the_films_files_and_no_others(tmp_path):
    folder = tmp_path / "film"
    store = FrameStore(folder, {"what": "one"})
    store.save(0, FRAME, PIXELS, PIXELS)
    store.save(0, FRAME, PIXELS, repainted=True)
    others = ["holiday.png", "00000000-copy.png", "notes.json", ".impasto-list"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    (folder / name_temporary(9_999_999)).write_bytes(b"half")
    (folder / "00000007.png").mkdir()
    with pytest.raises(InputError, match="not empty"):
        FrameStore(folder, {"what": "two"}, restart=True)
    assert list_names(folder) == sorted([*others, "00000007.png"])


def test_a_folder_that_holds_nothing_else_goes_with_its_film(tmp_path):
    store = FrameStore(tmp_path / "film", {"what": "one"})
    store.save(0, FRAME, PIXELS)
    store.remove()
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize("kills", range(8))
def test_a_removal_that_is_cut_short_leaves_the_first_frames(tmp_path, kills, monkeypatch):
    folder = tmp_path / "film"
    store = FrameStore(folder, {"what": "one"})
    for index in range(2):
        store.save(index, FRAME, PIXELS + 1, PIXELS)
    store.note_output(tmp_path / "film.mp4")
    unlink, calls = Path.unlink, []

    def unlink_some(self, **more):
        calls.append(self.name)
        if len(calls) > kills:
            raise OSError("killed")
        unlink(self, **more)

    monkeypatch.setattr(Path, "unlink", unlink_some)
    with pytest.raises(OSError, match="killed"):
        store.remove()
    left = list_names(folder)
    frames = sum(name in left for name in ("00000000.png", "00000001.png"))
    again = FrameStore(folder, {"what": "one"})  # still this film's
    assert again.frame_count == frames
    assert frames == (2 if kills == 0 else 1 if kills < 4 else 0)
    assert again.is_own_output(tmp_path / "film.mp4") == (kills < 7)


def test_a_restart_begins_another_film_in_the_folder(tmp_path):
    folder = tmp_path / "film"
    FrameStore(folder, {"what": "one"}).save(0, FRAME, PIXELS)
    with pytest.raises(InputError, match="differs"):
        FrameStore(folder, {"what": "two"})
    store = FrameStore(folder, {"what": "two"}, restart=True)
    assert store.frame_count == 0
    assert json.loads((folder / "job.json").read_text())["what"] == "two"


def test_a_kill_before_the_first_frame_does_not_spoil_the_folder(tmp_path):
    (tmp_path / name_temporary(9_999_999)).write_bytes(b"half")
    (tmp_path / f".impasto-00000000-1-{'0' * 16}").write_bytes(b"of another machine")
    store = FrameStore(tmp_path, {"what": "one"})
    assert store.frame_count == 0
    assert not (tmp_path / name_temporary(9_999_999)).exists()


def test_frames_that_a_kill_leaves_of_a_removal_still_belong_to_their_film(tmp_path, monkeypatch):
    job = {"what": "one"}
    store = FrameStore(tmp_path / "film", job)
    store.save(0, FRAME, PIXELS, PIXELS)
    store.note_output(tmp_path / "film.mp4")
    unlink, count = Path.unlink, len(list_names(store.folder))
    for allowed in range(count - 1):
        left = [allowed]

        def unlink_some(path, *arguments, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "Input/output error")
            unlink(path, *arguments)

        monkeypatch.setattr(Path, "unlink", unlink_some)
        with pytest.raises(OSError, match="Input/output"):
            store.remove()
        monkeypatch.setattr(Path, "unlink", unlink)
        FrameStore(store.folder, job)


def test_an_output_that_just_got_its_name_is_its_films(tmp_path):
    store, target = FrameStore(tmp_path / "film", {"what": "one"}), tmp_path / "film.mp4"
    complete = tmp_path / "complete"
    complete.write_bytes(b"a film")
    store.note_output(target, complete)
    target.write_bytes(b"somebody else's")
    assert not store.is_own_output(target)
    complete.replace(target)
    assert store.is_own_output(target)


def test_two_runs_cannot_share_a_folder(tmp_path):
    first = FrameStore(tmp_path / "work", {"film": 1}, exclusive=True)
    for job, restart in (({"film": 1}, False), ({"film": 2}, True)):
        with pytest.raises(InputError, match="another run is painting into this folder"):
            FrameStore(tmp_path / "work", job, restart=restart, exclusive=True)
    first.close()
    second = FrameStore(tmp_path / "work", {"film": 1}, exclusive=True)
    second.remove()
    assert not (tmp_path / "work").exists()


def test_a_foreign_folder_gets_no_lock(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="is not empty"):
        FrameStore(tmp_path, {"film": 1}, exclusive=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_restart_keeps_the_lock(tmp_path):
    FrameStore(tmp_path / "work", {"film": 1}).save(0, FRAME, FRAME.result)
    third = FrameStore(tmp_path / "work", {"film": 2}, restart=True, exclusive=True)
    with pytest.raises(InputError, match="another run"):
        FrameStore(tmp_path / "work", {"film": 2}, exclusive=True)
    third.close()
