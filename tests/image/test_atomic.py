"""Files that are written completely or not at all, and what is removed after a kill."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from impasto.errors import ResourceError
from impasto.image.files import atomic
from impasto.image.files.atomic import (
    name_temporary,
    remove_orphans,
    replace_atomically,
    write_atomically,
)

DEAD = 9_999_999
"""No process has this number."""


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_temporary_name_cannot_be_guessed(tmp_path):
    names = set()
    for _ in range(20):
        with replace_atomically(tmp_path / "out.png") as temporary:
            names.add(temporary.name)
            temporary.write_bytes(b"data")
    assert len(names) == 20
    assert list_names(tmp_path) == ["out.png"]


def test_a_link_with_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr(atomic, "name_temporary", lambda _: "guessed")
    (tmp_path / "guessed").symlink_to(victim)
    with pytest.raises(ResourceError, match=r"out\.png: cannot be written"):
        write_atomically(tmp_path / "out.png", b"data")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "out.png").exists()


def test_a_file_with_the_temporary_name_is_kept(tmp_path, monkeypatch):
    other = tmp_path / "guessed"
    other.write_bytes(b"mine")
    monkeypatch.setattr(atomic, "name_temporary", lambda _: "guessed")
    with pytest.raises(ResourceError):
        write_atomically(tmp_path / "out.png", b"data")
    assert other.read_bytes() == b"mine"
    assert list_names(tmp_path) == ["guessed"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def fail() -> None:
        with replace_atomically(target) as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_bytes() == b"old"
    assert list_names(tmp_path) == ["out.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_new_file_has_the_permissions_that_others_have(tmp_path):
    mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "out.png", b"data")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o640


def test_only_temporary_files_of_dead_processes_are_removed(tmp_path):
    kept = [
        name_temporary(os.getpid()),
        ".impasto-notes.txt",
        ".impasto-12-photo-of-mine.png",
        f".impasto-00000000-{DEAD}-0123456789abcdef",
        f".impasto-{DEAD}-0a0b0c0d",
        ".impasto-studio",
    ]
    for name in [*kept, name_temporary(DEAD)]:
        (tmp_path / name).write_bytes(b"data")
    folder = tmp_path / name_temporary(DEAD)
    folder.mkdir()
    link = tmp_path / name_temporary(DEAD)
    link.symlink_to(tmp_path / kept[1])
    remove_orphans(tmp_path)
    assert list_names(tmp_path) == sorted([*kept, folder.name, link.name])


def test_old_temporary_files_of_version_0_1_are_removed(tmp_path):
    old, new = tmp_path / f".impasto-{DEAD}-0a0b0c0d", tmp_path / f".impasto-{DEAD}-0a0b0c0e"
    for path in (old, new):
        path.write_bytes(b"half")
    long_ago = time.time() - 2 * atomic.OLD_S
    os.utime(old, (long_ago, long_ago))
    remove_orphans(tmp_path)
    assert list_names(tmp_path) == [new.name]
