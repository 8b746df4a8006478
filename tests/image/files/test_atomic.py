"""Writing files completely or not at all."""

from __future__ import annotations

import os

import pytest

from images import (
    UNIT,
)
from impasto.errors import ResourceError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.encode import write_picture
from impasto.image.picture import Picture


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
