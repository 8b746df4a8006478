"""What `impasto inspect` may write, and never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import complaint
from impasto.cli import main
from impasto.explain.inspection_page import list_inspection_files

pytestmark = pytest.mark.usefixtures("in_work")

JOB = ["inspect", "photo.png", "-o", "seen", "--size", "32", "--iterations", "1", "--quiet"]


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("name", [path.name for path in list_inspection_files(Path())])
def test_a_file_of_the_users_is_kept_without_force(name, capsys):
    Path("seen").mkdir()
    Path("seen", name).write_bytes(b"precious")
    assert main(JOB) == 2
    assert f"seen/{name}: exists already; --force" in complaint(capsys)
    assert [p.read_bytes() for p in Path("seen").iterdir()] == [b"precious"]


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("flag", ["PHOTO", "--style"])
@pytest.mark.parametrize("name", ["content-relu1_1.png", "activations-relu5_1.png"])
def test_an_input_is_never_replaced_even_with_force(flag, name, capsys):
    Path("seen").mkdir()
    original = Path("seen", name)
    original.write_bytes(Path("photo.png").read_bytes())
    photo, rest = (str(original), []) if flag == "PHOTO" else ("photo.png", ["--style", original])
    arguments = ["inspect", photo, *map(str, rest), "-o", "./seen", "--force"]
    assert main(arguments) == 2
    assert "inputs are never replaced" in complaint(capsys)
    assert original.read_bytes() == Path("photo.png").read_bytes()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("folder", "says"),
    [("photo.png", "the page needs a folder"), ("x" * 300, "cannot be used as a folder")],
)
def test_a_folder_that_cannot_be_one_is_refused(folder, says, capsys):
    assert main(["inspect", "photo.png", "-o", folder]) == 2
    assert says in complaint(capsys)


def test_force_replaces_an_earlier_look_and_nothing_is_left_over():
    Path("seen").mkdir()
    for path in list_inspection_files(Path("seen")):
        path.write_bytes(b"earlier")
    assert main([*JOB, "--force"]) == 0
    assert sorted(Path("seen").iterdir()) == sorted(list_inspection_files(Path("seen")))
    assert b"earlier" not in {path.read_bytes() for path in list_inspection_files(Path("seen"))}


def test_a_full_disk_leaves_the_earlier_sheets_whole(monkeypatch, capsys):
    import errno
    import os

    from impasto.explain import inspection as layers

    Path("seen").mkdir()
    for path in list_inspection_files(Path("seen")):
        path.write_bytes(b"earlier")
    # The pictures find room; the first activation sheet does not.
    monkeypatch.setattr(layers, "write_picture", lambda *_, **__: None)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main([*JOB, "--force"]) == 4
    assert "the disk is full" in complaint(capsys)
    assert {path.read_bytes() for path in Path("seen").iterdir()} == {b"earlier"}
