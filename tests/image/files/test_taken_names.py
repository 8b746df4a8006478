"""Nothing is replaced, also when a name is taken while the result is made."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from impasto.cli.jobs.paint import give_up_on_errors
from impasto.engine.factory import make_engine
from impasto.errors import ImageError, InputError, ResourceError
from impasto.image.files.atomic import find_free_name, replace_atomically, write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.result_file import ResultFile
from impasto.recipe.recipe import load_recipe
from sources import SOURCE, name_place, walk_modules


@pytest.mark.parametrize("can_link", [True, False])
def test_a_file_that_appears_during_the_writing_is_kept(tmp_path, monkeypatch, can_link):
    target = tmp_path / "a.png"

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    if not can_link:
        monkeypatch.setattr(os, "link", refuse)

    def write() -> None:
        with replace_atomically(target, overwrite=False) as temporary:
            temporary.write_bytes(b"new")
            target.write_bytes(b"somebody's")

    with pytest.raises(InputError, match="exists already"):
        write()
    assert target.read_bytes() == b"somebody's"
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    write_atomically(tmp_path / "b.png", b"new", overwrite=False)
    assert (tmp_path / "b.png").read_bytes() == b"new"


def test_a_finished_result_gets_a_free_name_and_it_is_said(tmp_path):
    target = tmp_path / "a.png"
    for name in ("a.png", "a-2.png"):
        (tmp_path / name).write_bytes(b"somebody's")

    messages: list[str] = []
    place = ResultFile(target, notice=messages.append).write_bytes(b"result")
    assert place == tmp_path / "a-3.png"
    assert place.read_bytes() == b"result"
    assert target.read_bytes() == b"somebody's"
    assert messages == [
        f"{target} was created during the run and is kept; the result is in {place}"
    ]
    assert find_free_name(target) == tmp_path / "a-4.png"


def test_other_errors_of_a_result_are_raised(tmp_path):
    def write(place: Path, **_: bool) -> None:
        raise ResourceError("the disk is full", where=place)

    with pytest.raises(ResourceError, match="full"):
        ResultFile(tmp_path / "a.png").write(write)


def test_a_name_that_is_taken_while_the_result_is_written_is_left_alone(tmp_path):
    target = tmp_path / "a.png"

    def write(place: Path, *, overwrite: bool) -> None:
        if place == target:
            target.write_bytes(b"somebody's")
        write_atomically(place, b"result", overwrite=overwrite)

    place = ResultFile(target).write(write)
    assert place.read_bytes() == b"result"
    assert target.read_bytes() == b"somebody's"


def test_a_file_that_is_written_again_replaces_itself_and_nothing_else(tmp_path):
    target = tmp_path / "sheet.png"
    file = ResultFile(target)
    for data in (b"1", b"2"):
        assert file.write_bytes(data) == target
        assert target.read_bytes() == data
    target.unlink()
    target.write_bytes(b"somebody's")
    for data in (b"3", b"4"):
        assert file.write_bytes(data) == tmp_path / "sheet-2.png"
    assert target.read_bytes() == b"somebody's"
    assert (tmp_path / "sheet-2.png").read_bytes() == b"4"
    assert len([*tmp_path.iterdir()]) == 2


def test_only_the_file_that_was_adopted_is_replaced(tmp_path):
    target = tmp_path / "net.safetensors"
    target.write_bytes(b"of an earlier command")
    file = ResultFile(target)
    file.adopt()
    assert file.write_bytes(b"1") == target
    target.write_bytes(b"somebody's")
    assert file.write_bytes(b"2") == tmp_path / "net-2.safetensors"


def test_something_beside_the_result_is_given_up_with_a_line(capsys):
    def write() -> None:
        raise ResourceError("cannot be written", where="plot.png")

    assert not give_up_on_errors(write)
    assert capsys.readouterr().err == "impasto: not written: plot.png: cannot be written\n"
    assert give_up_on_errors(lambda: None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("https://example.org/a.png", "^https://example.org/a.png: is an address; download"),
        ("file:///a.png", "is an address; download it first"),
        ("none/a.png", "no such folder none"),
        ("a.png", "no such file"),
        ("film.mp4", "looks like a film, paint it with `impasto video`"),
        ("film.mkv", "looks like a film, paint it with `impasto video`"),
    ],
)
def test_what_is_no_picture_gets_a_line_that_helps(name, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2avc1mp41")
    Path("film.mkv").write_bytes(b"\x1aE\xdf\xa3" + bytes(40))
    with pytest.raises(ImageError, match=says):
        read_picture(name)


def test_commands_write_their_results_by_one_function():
    """A command that writes in another way may replace what appeared while it worked.

    Functions that are told whether to overwrite are what that one function calls.
    """
    writers = {"write_picture", "write_atomically", "replace_atomically", "write_film"}
    writers |= {"write_parameters", "write_painter", "write_text", "write_bytes"}
    others = {"options/input_files.py"}  # the cache, whose names are hashes of the contents
    places = [
        name_place(path, node.lineno)
        for path, nodes in walk_modules()
        for node in set(nodes) - list_nodes_of_writers(nodes)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in writers
        if path.is_relative_to(SOURCE / "cli")
        and path.relative_to(SOURCE / "cli").as_posix() not in others
    ]
    assert places == []


def list_nodes_of_writers(nodes):
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    writers = [node for node in functions if "overwrite" in {x.arg for x in node.args.kwonlyargs}]
    return {inner for node in writers for inner in ast.walk(node)}


def test_a_current_folder_that_was_deleted_is_one_line(tmp_path, monkeypatch, capsys):
    from impasto.cli import main

    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert main(["recipes"]) == 2
    messages = capsys.readouterr().err
    assert messages.startswith("impasto: error: the current folder has been deleted")
    assert messages.count("\n") == 1
    with pytest.raises(InputError, match="the current folder has been deleted"):
        make_engine(load_recipe("sketch"))
    monkeypatch.chdir(tmp_path)
