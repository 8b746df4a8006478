"""A record comes from anyone: nothing in it names a file outside the folder of its picture."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from conftest import complaint, synthetic_painting, synthetic_photo
from impasto.cli import main
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.files.metadata import read_record
from impasto.image.masks import read_mask
from impasto.recipe.recipe import Recipe
from impasto.record.names import (
    LONGEST_NAME,
    PATH_FIELDS,
    find_file,
    is_reserved,
    strip_mask_name,
    strip_name,
    strip_recipe,
)
from impasto.record.provenance import parse_provenance
from studios import inside, post, refused

pytestmark = pytest.mark.usefixtures("narrow_encoder")

SECRET = "secret.png"
FORMS = {
    "plain": (SECRET, SECRET),
    "absolute": ("{root}/secret.png", SECRET),
    "parent": ("../secret.png", SECRET),
    "grandparent": ("x/../../secret.png", SECRET),
    "dot": ("./../secret.png", SECRET),
    "doubled": ("..//secret.png", SECRET),
    "backslashes": ("..\\secret.png", SECRET),
    "mixed": ("..\\x/..\\../secret.png", SECRET),
    "drive": ("C:\\Users\\me\\secret.png", SECRET),
    "drive with slashes": ("C:/Users/me/secret.png", SECRET),
    "drive alone": ("C:secret.png", SECRET),
    "drives": ("c:D:secret.png", SECRET),
    "device path": ("\\\\?\\C:\\secret.png", SECRET),
    "UNC": ("\\\\server\\share\\secret.png", SECRET),
    "UNC with slashes": ("//server/share/secret.png", SECRET),
    "file URL": ("file://{root}/secret.png", SECRET),
    "file URL of a host": ("file://localhost{root}/secret.png", SECRET),
    "web": ("http://127.0.0.1:9/secret.png", SECRET),
    "home": ("~/secret.png", SECRET),
    "home of another": ("~root/secret.png", SECRET),
    "variable": ("$HOME/secret.png", SECRET),
    "NUL first": ("\0{root}/secret.png", SECRET),
    "NUL last": ("{root}/secret.png\0", ""),
    "NUL before the suffix": ("../secret.png\0.txt", ""),
    "escape": ("../\x1b[31msecret.png", "\x1b[31msecret.png"),
    "line break": ("..\n/secret.png", SECRET),
    "percent": ("..%2fsecret.png", "..%2fsecret.png"),
    "percent twice": ("%252e%252e%252fsecret.png", "%252e%252e%252fsecret.png"),
    "long": ("../" + "n" * 5000 + ".png", ""),
    "long path": ("../" * 5000 + "secret.png", SECRET),
    "long in bytes": ("../" + "ü" * 200 + ".png", "ü" * 200 + ".png"),
    "division slash": ("..\u2215secret.png", SECRET),
    "fraction slash": ("..\u2044secret.png", SECRET),
    "fullwidth slash": ("\uff0e\uff0e\uff0fsecret.png", SECRET),
    "fullwidth backslash": ("..\uff3csecret.png", SECRET),
    "fullwidth dots": ("{root}/\uff0e\uff0e", ""),
    "lone surrogate": ("../\ud800secret.png", ""),
    "device": ("CON", "CON"),
    "device with a suffix": ("../nul.png", "nul.png"),
    "no name": ("", ""),
    "here": (".", ""),
    "above": ("..", ""),
    "root": ("/", ""),
    "folder": ("{root}/", ""),
    "dots and spaces": (". . ", ""),
}
"""What a record says, where ``{root}`` is the folder with the secret; and the name that is left."""


EVERY_FORM = pytest.mark.parametrize(("form", "left"), FORMS.values(), ids=FORMS)


class Watch:
    """The files that Python opens while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.opened: list[str] = []
        sys.addaudithook(self._hear)  # for good: there is no way to take one off

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            self.opened.append(os.fsdecode(arguments[0]))


WATCH = Watch()


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files that the test opens."""
    WATCH.opened.clear()
    WATCH.on = True
    yield WATCH.opened
    WATCH.on = False


@pytest.fixture(scope="module")
def record(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a picture of two iterations, made from photo.png and painting.png."""
    out = tmp_path_factory.mktemp("made") / "out.png"
    inputs = [str(pictures / "photo.png"), "--style", str(pictures / "painting.png")]
    run = ["--iterations", "1", "--size", "64", "--quiet", "-o", str(out)]
    assert main([*inputs, *run]) == 0
    text = read_record(out)
    assert text is not None
    return text


@pytest.fixture
def root(tmp_path: Path, pictures: Path, network_file: Path, monkeypatch) -> Path:
    """A folder with a secret picture and a secret network; the test runs in a folder inside it that
    has photo.png and painting.png.
    """
    stripes = np.zeros((48, 64, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 255)
    Image.fromarray(stripes).save(tmp_path / SECRET)
    (tmp_path / "secret.safetensors").write_bytes(network_file.read_bytes())
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("photo.png", "painting.png"):
        (inner / name).write_bytes((pictures / name).read_bytes())
    monkeypatch.chdir(inner)
    return tmp_path


def gift(record: dict[str, Any], name: str = "gift.png") -> str:
    """A picture with a record."""
    write_picture(
        read_picture(Path("photo.png")), Path(name), record=json.dumps(record), overwrite=True
    )
    return name


def make_started_record(text: str, name: str, *, entry: bool = False) -> dict[str, Any]:
    """A record of a run that began with a picture."""
    record = json.loads(text)
    record["recipe"]["start"].update(base="image", image=name)
    if entry:
        record["start"] = {"name": name, "sha256": "0" * 64}
    return record


def make_network_record(text: str, name: str, sha256: str | None = None) -> dict[str, Any]:
    """A record of a run by a network."""
    record = json.loads(text)
    record["recipe"]["engine"] = {"kind": "network", "file": name}
    record["recipe"]["precision"] = "float32"
    if sha256 is not None:
        record["network"] = {"name": name, "sha256": sha256}
    return record


def with_masks(text: str, name: str, kind: str) -> dict[str, Any]:
    """A record of a run with masks; ``kind`` is ``masks`` or ``style_masks``."""
    record = json.loads(text)
    record[kind] = [{"name": name, "sha256": "0" * 64}]
    return record


def with_input(text: str, name: str, kind: str) -> dict[str, Any]:
    """A record with another photo or painting."""
    record = json.loads(text)
    entry = {"name": name, "sha256": read_picture(Path("../secret.png")).compute_sha256()}
    record[kind] = entry if kind == "photo" else [entry]
    return record


@pytest.mark.parametrize("form", ["{root}/secret.png", "../secret.png"])
def test_the_picture_that_a_stranger_names_is_not_in_the_replay(root, record, form, capsys):
    gift(make_started_record(record, form.format(root=root)))
    assert main(["replay", "gift.png", "--quiet"]) == 2
    assert "secret.png is neither next to gift.png nor in the current folder" in complaint(capsys)
    assert not Path("gift-replay.png").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("of", "flag"),
    [
        (lambda text, name: with_input(text, name, "photo"), "--photo"),
        (lambda text, name: with_input(text, name, "paintings"), "--style"),
        (make_started_record, "--init"),
        (lambda text, name: make_started_record(text, name, entry=True), "--init"),
        (make_network_record, "--network"),
        (lambda text, name: make_network_record(text, name, "0" * 64), "--network"),
        (lambda text, name: with_masks(text, name, "masks"), "--mask"),
        (lambda text, name: with_masks(text, f"scribble:{name}", "masks"), "--mask"),
        (lambda text, name: with_masks(text, name, "style_masks"), "--style-mask"),
    ],
    ids=[
        *("photo", "painting", "start", "start with an entry", "network"),
        *("network with an entry", "mask", "scribble", "style mask"),
    ],
)
@EVERY_FORM
def test_a_replay_never_opens_what_a_record_names(
    root, record, opened, of, flag, form, left, capsys
):
    name = form.format(root=root)
    forged = of(record, name if flag != "--network" else name.replace(".png", ".safetensors"))
    gift(forged)
    opened.clear()
    code = main(["replay", "gift.png", "--quiet", "--accept-changed"])
    line = complaint(capsys)
    assert code == 2, line
    assert flag in line
    assert line.isprintable()
    assert str(root) not in line
    assert not [path for path in opened if "secret" in Path(path).name]
    assert not Path("gift-replay.png").exists()


@pytest.mark.parametrize("form", ["{root}/mine.png", "C:\\mine.png", "~/mine.png"])
def test_a_name_that_is_left_is_looked_for_beside_the_picture(root, record, form, capsys):
    start = Path("mine.png")
    start.write_bytes(Path("painting.png").read_bytes())
    forged = make_started_record(record, form.format(root=root))
    gift(forged)
    assert main(["replay", "gift.png", "--quiet"]) == 2  # the record has no hash of it
    assert "mine.png: is not the picture that was used" in complaint(capsys)
    forged["start"] = {
        "name": form.format(root=root),
        "sha256": read_picture(start).compute_sha256(),
    }
    gift(forged)
    assert main(["replay", "gift.png", "--quiet"]) == 0
    again = json.loads(read_record(Path("gift-replay.png")) or "")
    assert again["start"]["name"] == again["recipe"]["start"]["image"] == "mine.png"


def test_a_record_alone_chooses_only_the_network_it_has_the_hash_of(
    root, record, network_file, capsys
):
    from impasto.encoders.weight_sources import hash_file

    own = Path("own.safetensors")
    own.write_bytes(network_file.read_bytes())
    replay = ["replay", "gift.png", "--quiet", "--force"]
    gift(make_network_record(record, f"{root}/own.safetensors"))
    assert main([*replay, "--accept-changed"]) == 2
    assert "no hash of the network" in complaint(capsys)
    gift(make_network_record(record, f"{root}/own.safetensors", "0" * 64))
    assert main([*replay, "--accept-changed"]) == 2
    assert "is not the network that was used; give it with --network" in complaint(capsys)
    gift(make_network_record(record, f"{root}/own.safetensors", hash_file(own)))
    assert main(replay) == 0
    first = Path("gift-replay.png").read_bytes()
    gift(make_network_record(record, f"{root}/own.safetensors"))
    assert main([*replay, "--network", "own.safetensors"]) == 0
    assert Path("gift-replay.png").read_bytes() == first  # the hash is in the record again


@pytest.mark.usefixtures("no_work")
def test_the_weights_of_a_record_are_compared_and_never_read(root, record, opened, capsys):
    forged = json.loads(record)
    forged["weights"] = {"name": f"{root}/secret.safetensors", "sha256": "0" * 64}
    gift(forged)
    assert main(["replay", "gift.png", "--quiet"]) == 2
    line = complaint(capsys)
    assert "the weights used were secret.safetensors" in line
    assert str(root) not in line
    assert not [path for path in opened if "secret" in path]


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("target", ["../secret.png", "{root}/secret.png"])
def test_a_link_out_of_the_folder_is_not_followed(root, record, opened, target, capsys):
    Path("mine.png").symlink_to(target.format(root=root))
    gift(make_started_record(record, "mine.png"))
    assert main(["replay", "gift.png", "--quiet", "--accept-changed"]) == 2
    line = complaint(capsys)
    assert "mine.png: is a link to a file outside its folder; give its path with" in line
    assert not [path for path in opened if Path(path).name in ("mine.png", SECRET)]


def test_the_folder_itself_may_be_a_link(root, record, capsys):
    gift(json.loads(record))
    Path("../elsewhere").mkdir()
    Path("../link").symlink_to("inner")
    os.chdir("../elsewhere")
    assert main(["replay", "../link/gift.png", "--quiet"]) == 0
    os.chdir("../inner")
    forged = json.loads(record)
    forged["photo"]["name"] = ".."
    gift(forged)
    os.chdir("../elsewhere")
    assert main(["replay", "../link/gift.png", "--quiet"]) == 2
    assert "an input without a file name is neither next to ../link/gift.png" in complaint(capsys)


def test_a_link_inside_the_folder_is_followed(root, record):
    Path("originals").mkdir()
    Path("photo.png").rename("originals/1.png")
    Path("photo.png").symlink_to("originals/1.png")
    gift(json.loads(record))
    assert main(["replay", "gift.png", "--quiet"]) == 0


@pytest.mark.usefixtures("no_work")
def test_a_refinement_reads_neither_the_start_nor_the_network(root, record, opened):
    for forged in (
        make_started_record(record, f"{root}/secret.png"),
        make_network_record(record, f"{root}/secret.safetensors"),
    ):
        gift(forged)
        with pytest.raises(AssertionError, match="found too late"):  # no_work: the run begins
            main(["refine", "gift.png", "--region", "8,8,32,32", "--quiet"])
    assert not [path for path in opened if "secret" in path]


def test_notes_of_refinements_name_no_folders(record):
    forged = json.loads(record)
    recipe = make_started_record(record, "/home/me/start.png")["recipe"]
    forged["refined"] = [{"region": [0, 0, 8, 8], "recipe": recipe, "paintings": []}]
    provenance = parse_provenance(json.dumps(forged), Path("gift.png"))
    assert provenance.refined[0]["recipe"]["start"]["image"] == "start.png"
    assert "/home" not in provenance.to_json()


def test_a_recipe_of_a_record_that_is_written_names_no_folders(record):
    from dataclasses import replace

    provenance = parse_provenance(record, Path("gift.png"))
    recipe = provenance.recipe.with_changes(
        {"start.base": "image", "start.image": "/home/me/a.png"}
    )
    assert "/home" not in replace(provenance, recipe=recipe).to_json()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("studio")) as client:
        yield client


@EVERY_FORM
def test_restore_gives_plain_names_and_opens_nothing(root, record, client, opened, form, left):
    name = form.format(root=root)
    forged = make_network_record(record, name, "0" * 64)
    forged["photo"]["name"] = forged["paintings"][0]["name"] = name
    forged["masks"] = [{"name": name, "sha256": ""}, {"name": f"scribble:{name}", "sha256": ""}]
    data = Path(gift(forged)).read_bytes()
    opened.clear()
    answer = client.post("/v1/restore", files={"picture": ("a.png", data)})
    assert answer.status_code == 200, answer.text
    assert str(root) not in answer.text
    restored = answer.json()
    assert restored["recipe"]["engine"]["file"] == left
    plain = "".join(letter for letter in left if letter.isprintable())[:100]
    names = [restored["photo"], *restored["paintings"], restored["masks"][0]]
    assert [each["name"] for each in names] == [plain] * 3
    assert restored["masks"][1]["name"] == f"scribble:{plain}"[:100]
    assert not [path for path in opened if "secret" in Path(path).name]
    # And a job with this recipe is refused.
    refused(post(client, recipe=restored["recipe"], set={}), "path_refused")


@EVERY_FORM
def test_restore_names_the_start_without_its_folder(root, record, client, opened, form, left):
    data = Path(gift(make_started_record(record, form.format(root=root)))).read_bytes()
    opened.clear()
    restored = client.post("/v1/restore", files={"picture": ("a.png", data)}).json()
    assert restored["init"] == "".join(letter for letter in left if letter.isprintable())[:100]
    assert restored["recipe"]["start"]["image"] is None
    assert not [path for path in opened if "secret" in Path(path).name]


@pytest.mark.parametrize("form", [form for form, _ in FORMS.values() if "\ud800" not in form])
def test_a_job_over_http_never_names_a_file_of_the_servers(root, record, client, form):
    name = form.format(root=root)
    for forged in (make_started_record(record, name), make_network_record(record, name)):
        refused(post(client, recipe=forged["recipe"], set={}), "path_refused")
    refused(post(client, masks=[{"word": f"scribble:{name}"[:60]}]), "path_refused")


def test_text_that_has_no_bytes_is_no_failure_of_the_server(root, record, client):
    forged = json.loads(record)
    forged["photo"]["name"], forged["photo"]["sha256"] = "\udce9a.png", "\ud800"
    forged["impasto"] = "\ud8001"
    data = Path(gift(forged)).read_bytes()
    answer = client.post("/v1/restore", files={"picture": ("a.png", data)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["photo"] == {"name": "a.png", "sha256": ""}
    assert answer.json()["version"] == "1"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", [None, 1, ["x"], {}])
def test_a_name_that_is_not_text_is_one_line(record, name, capsys):
    forged = json.loads(record)
    forged["photo"]["name"] = name
    gift(forged)
    assert main(["replay", "gift.png", "--quiet"]) == 2
    assert "record is damaged (a name is not text)" in complaint(capsys)


@EVERY_FORM
def test_what_is_left_of_a_name(form, left):
    assert strip_name(form.format(root="/srv/files")) == left


@given(
    st.one_of(
        st.text(st.characters()), st.text(alphabet="./\\:~%aC\0\u2215\uff0e\uff0f \n", max_size=30)
    )
)
@example("a" * LONGEST_NAME)
@example("a" * (LONGEST_NAME + 1))
@example("photo.png")
def test_what_is_left_of_any_text_lies_in_the_folder(text):
    name = strip_name(text)
    assert strip_name(name) == name
    assert text.endswith(name)
    assert len(name) <= LONGEST_NAME
    assert not set(name) & set("/\\\0")
    if name:
        for system, folder in (
            (PurePosixPath, "/folder"),
            (PureWindowsPath, "D:\\folder"),
        ):
            path = system(folder) / name
            assert path.parent == system(folder)
            assert path.name == name
        assert os.path.normpath(f"/folder/{name}") == f"/folder/{name}"


PLAIN = st.characters(
    exclude_characters="/\\\0:\u2044\u2215\u2571\u29f8\uff0f\u2216\u2572\u29f5\u29f9\ufe68\uff3c",
    exclude_categories=["Cs"],
)


@given(st.text(PLAIN, min_size=1, max_size=60))
def test_plain_names_stay_as_they_are(name):
    assert strip_name(name) == (name if name.strip(". \uff0e") else "")


@pytest.mark.parametrize("word", ["rect:10,5,60,50", "auto:3#1", "salient", "person", "face"])
def test_words_for_masks_stay_as_they_are(word):
    assert strip_mask_name(word) == word


def test_the_fields_of_a_recipe_that_may_hold_a_path_are_known():
    """A new field of free text is a path until somebody adds it here or to ``PATH_FIELDS``."""
    texts = set()
    for table, field in Recipe.model_fields.items():
        if field.annotation in (str, str | None):
            texts.add((table,))
        for name, inner in getattr(field.annotation, "model_fields", {}).items():
            if inner.annotation in (str, str | None):
                texts.add((table, name))
    # Engines and encoders are names in their registries, and nothing else is accepted.
    registered = {("engine", "kind"), ("encoder", "network")}
    assert texts == {("name",), ("description",), *registered, *PATH_FIELDS}


@pytest.mark.parametrize("recipe", [None, [], "x", {"start": None}, {"start": {"image": 3}}])
def test_a_recipe_that_is_none_is_left_to_be_refused(recipe):
    assert strip_recipe(recipe) == recipe


@pytest.mark.parametrize(
    "name",
    [
        *("CON", "nul.png", "Aux.tar.gz", "COM1", "lpt9.txt", "con .png", "NUL:"),
        *("conin$", "com\u00b9"),
    ],
)
def test_devices_of_windows_are_not_looked_for_there(name, tmp_path, monkeypatch):
    assert is_reserved(name)
    (tmp_path / name).write_bytes(b"")
    assert find_file(name, tmp_path) == tmp_path / name  # a plain file anywhere else
    monkeypatch.setattr("impasto.record.names.os.name", "nt")
    assert find_file(name, tmp_path) is None


@pytest.mark.parametrize("name", ["console.png", "null.png", "com.png", "com10", "aconite.png"])
def test_names_like_those_of_devices_are_names(name):
    assert not is_reserved(name)


def test_folders_pipes_and_loops_are_not_files(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "pipe", "loop", "none", "ü" * 200, "\ud800", ""):
        assert find_file(name, tmp_path) is None


def test_masks_beside_the_picture_are_still_found(root, record):
    from impasto.record.provenance import read_provenance

    Image.fromarray(synthetic_photo()).save("mask.png")
    sha256 = read_mask(Path("mask.png")).compute_sha256()
    forged = with_masks(record, f"{root}/mask.png", "masks")
    forged["masks"][0]["sha256"] = sha256
    gift(forged)
    assert read_provenance(Path("gift.png")).masks == (("mask.png", sha256),)
    assert main(["replay", "gift.png", "--quiet"]) == 0


def test_several_forms_of_one_photo_are_one_file(root, record):
    assert np.array_equal(np.asarray(Image.open("painting.png")), synthetic_painting())
    forged = json.loads(record)
    forged["photo"]["name"] = "C:\\Users\\me\\photo.png"
    forged["paintings"][0]["name"] = "\\\\server\\share\\painting.png"
    gift(forged)
    assert main(["replay", "gift.png", "--quiet"]) == 0
