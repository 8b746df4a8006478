"""Writing files completely or not at all."""

from __future__ import annotations

import os
import sys

import pytest

from images import (
    UNIT,
)
from impasto.errors import ResourceError
from impasto.image.files import atomic
from impasto.image.files.atomic import (
    make_folder,
    open_without_link,
    replace_atomically,
    write_atomically,
)
from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture
from impasto.network.train.run_state import lock_folder


def test_a_full_disk_keeps_the_existing_file(tmp_path, monkeypatch):
    import errno

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.png").write_bytes(b"precious")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="disk is full"):
        write_picture(Picture(UNIT), tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("letters", [251, 252, 300])
def test_file_names_may_be_as_long_as_the_file_system_allows(letters, tmp_path):
    target = tmp_path / ("🎨" * (letters // 4) + "a" * (letters % 4) + ".png")
    if letters == 251:
        write_atomically(target, b"whole")
        assert target.read_bytes() == b"whole"
    else:
        with pytest.raises(ResourceError, match="too long"):
            write_atomically(target, b"whole")
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be flushed there")
def test_the_names_of_new_folders_reach_the_disk(tmp_path, monkeypatch):
    flushed = []
    fsync = os.fsync

    def note(file):
        flushed.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    make_folder(tmp_path / "a" / "b")
    assert {tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino} <= set(flushed)
    flushed.clear()
    make_folder(tmp_path / "a" / "b")
    assert not flushed


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("append", [False, True])
def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path, append):
    victim, lock = tmp_path / "victim", tmp_path / "lock"
    victim.write_bytes(b"precious")
    lock.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        open_without_link(lock, append=append)
    with pytest.raises(ResourceError, match="symbolic links"), lock_folder(tmp_path):
        pass
    assert victim.read_bytes() == b"precious"
    with open_without_link(tmp_path / "plain", append=append) as file:
        file.write(b"text")
    assert (tmp_path / "plain").read_bytes() == b"text"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_temporary_file_is_new_and_no_link_is_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    names = set()
    for _ in range(3):
        with replace_atomically(tmp_path / "a") as temporary:
            names.add(temporary.name)
    assert len(names) == 3
    # Even a name that was guessed leads nowhere.
    monkeypatch.setattr(atomic, "name_temporary", lambda _: "guessed")
    (tmp_path / "guessed").symlink_to(victim)
    with pytest.raises(ResourceError, match="exists"), replace_atomically(tmp_path / "a"):
        pytest.fail("the link was used")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "guessed").is_symlink()
