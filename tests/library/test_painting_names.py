"""Paintings are found by what people call them, and what was found is shown."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import impasto
from conftest import REPOSITORY
from impasto.cli import main
from impasto.errors import InputError
from impasto.library.library_paintings import (
    LibraryPainting,
    load_library,
    load_shipped,
    read_folder,
)
from impasto.library.painting_search import THRESHOLD, NameIndex, is_name

NAMES = tomllib.loads((Path(__file__).parent / "names.toml").read_text("utf-8"))
QUICK = ["--recipe", "sketch", "--iterations", "1", "--size", "32", "--quiet"]

pytestmark = pytest.mark.usefixtures("narrow_encoder")


@pytest.fixture(scope="module")
def shipped() -> NameIndex:
    return NameIndex(load_shipped())


@pytest.mark.parametrize(("language", "share"), [("english", 0.85), ("chinese", 0.9)])
def test_the_first_hit_is_the_painting_that_is_meant(shipped, language, share):
    hits = []
    for text, name in NAMES[language]:
        best = shipped.rank(text)[0]
        hits.append(best.painting.name == name and best.score >= THRESHOLD)
    assert len(hits) == 30
    assert sum(hits) >= share * len(hits)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("starry night", "The Starry Night"),
        ("星夜", "The Starry Night"),
        ("the screem", "The Scream"),
        ("CÉZANNE", "The Basket of Apples"),
        ("《睡莲》", "Water Lilies"),
    ],
)
def test_names_are_found_without_case_accents_and_with_a_slip(shipped, text, title):
    assert shipped.choose(text).painting.title == title


def test_paintings_that_match_as_well_are_told(shipped):
    choice = shipped.choose("van gogh")
    assert choice.painting.title == "The Starry Night"
    assert len(choice.others) == 5
    assert "also found: Starry Night over the Rhône, " in choice.describe()
    assert "and 2 more" in choice.describe()


@pytest.mark.parametrize("text", ["mona lisa", "向日葵", "zzz", "the"])
def test_a_name_that_none_has_is_an_error_with_the_nearest(shipped, text):
    with pytest.raises(InputError, match="no painting of this name; the nearest are ") as caught:
        shipped.choose(text)
    assert caught.value.problem.count(",") == 3


@pytest.mark.parametrize("source", ["a/b", "painting.jpg", "s3://x", "-", "", None, "a:b", "C:\\x"])
def test_paths_are_no_names(source):
    assert not is_name(source)
    assert is_name("starry night")


def test_every_shipped_painting_is_there_small_and_has_its_source():
    sources = load_shipped()[0].path.with_name("SOURCES.md").read_text("utf-8")
    for each in load_shipped():
        with Image.open(each.path) as image:
            assert max(image.size) <= 640
        assert f"| {each.path.name} | {each.title} | {each.artist} |" in sources
        assert any(ord(letter) > 0x3400 for letter in "".join(each.other))


def test_a_folder_has_the_names_of_its_files_or_of_its_table(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    for name in ("red-barn.png", "b.png", "sub/Old Mill.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    table = "file,title,artist,other\nb.png,Composition 8,Wassily Kandinsky,构成第八号|Comp 8\n"
    (tmp_path / "captions.csv").write_text(table, "utf-8")
    monkeypatch.setenv("IMPASTO_LIBRARY", str(tmp_path))
    paintings = load_library()
    assert [each.title for each in paintings[:3]] == ["Composition 8", "red barn", "Old Mill"]
    index = NameIndex(paintings)
    assert index.choose("old mill").painting.path == tmp_path / "sub" / "Old Mill.JPG"
    assert index.choose("构成第八号").painting.artist == "Wassily Kandinsky"
    assert index.choose("Wassily Kandinsky").painting.title == "Composition 8"
    (tmp_path / "captions.csv").write_text("file,title\nc.png,Nothing\n", "utf-8")
    with pytest.raises(InputError, match=r"captions.csv line 2: c.png: no such file"):
        read_folder(tmp_path)
    (tmp_path / "captions.csv").write_text("file,titel\nb.png,Nothing\n", "utf-8")
    with pytest.raises(InputError, match=r"line 2: titel: unknown column"):
        read_folder(tmp_path)


# --- the command line and Python -----------------------------------------------------------------


@pytest.mark.usefixtures("in_work")
def test_a_style_is_named_and_replay_finds_it(work, capsys):
    assert main(["photo.png", "--style", "呐喊", "-o", "a.png", *QUICK]) == 0
    assert "呐喊: The Scream, Edvard Munch, 1893 (munch-scream.jpg)" in capsys.readouterr().err
    assert main(["replay", "a.png", "-o", "b.png", "--quiet"]) == 0
    assert (work / "a.png").read_bytes() == (work / "b.png").read_bytes()
    recipe = impasto.load_recipe("sketch").with_changes({"schedule.total": 1, "size": 32})
    result = impasto.stylize("photo.png", "the scream", recipe=recipe)
    result.save("c.png")
    assert (work / "a.png").read_bytes() == (work / "c.png").read_bytes()


@pytest.mark.usefixtures("in_work", "no_work")
def test_a_style_that_nothing_is_called_fails_before_any_work(work, capsys):
    assert main(["photo.png", "--style", "mona lisa", *QUICK]) == 2
    message = capsys.readouterr().err
    assert "mona lisa: no such file, and no painting of this name; the nearest are" in message
    (work / "table.csv").write_text("photo,style\nphoto.png,painting.png\nphoto.png,mona lisa\n")
    assert main(["batch", "table.csv", "-o", "out", *QUICK]) == 2
    assert "table.csv line 3: mona lisa: no such file" in capsys.readouterr().err


@pytest.mark.usefixtures("in_work")
def test_rows_and_the_users_own_folder_are_named_too(work):
    (work / "mine").mkdir()
    (work / "painting.png").rename(work / "mine" / "blue-barn.png")
    (work / "table.csv").write_text("photo,style,output\nphoto.png,blue barn,a\n")
    own = ["--library", "mine", *QUICK]
    assert main(["batch", "table.csv", "-o", "out", *own, "--executor", "serial"]) == 0
    assert main(["photo.png", "--style", "blue barn", "-o", "b.png", *own]) == 0
    assert (work / "out" / "a.png").read_bytes() == (work / "b.png").read_bytes()
    assert main(["photo.png", "--style", "x y", "--library", "nowhere", *QUICK]) == 2


@pytest.mark.usefixtures("in_work")
def test_the_command_lists_and_finds(capsys):
    assert main(["styles", "find", "星夜", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    titles = [each["title"] for each in report["paintings"]]
    assert titles == ["The Starry Night", "Starry Night over the Rhône"]
    assert main(["styles", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load_shipped())
    assert main(["styles", "find", "mona lisa"]) == 2


def test_the_documentation_lists_every_painting():
    page = (REPOSITORY / "docs" / "library.md").read_text("utf-8")
    for each in load_shipped():
        assert each.title in page


def test_an_empty_library_has_no_matches():
    assert NameIndex(()).rank("x") == []
    painting = LibraryPainting(Path("a.png"), "A")
    assert NameIndex([painting]).choose("a").painting is painting
