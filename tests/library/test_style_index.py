"""A folder of paintings is measured once, searched, grouped, and looked through for copies."""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli import main
from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.library.duplicates import CopyPair, find_duplicates, group_duplicates
from impasto.library.library_paintings import load_shipped
from impasto.library.shipped_codes import list_similar, load_codes
from impasto.library.style_index import (
    INDEX_NAME,
    StyleIndex,
    make_thumbnail,
    rank_codes,
    update_index,
)
from impasto.library.style_map import cluster_codes, draw_map, place_on_grid
from impasto.library.whitened_code import (
    LAYERS,
    LENGTH,
    StyleCoder,
    Whitening,
    cut_squares,
    load_whitening,
)

RNG = np.random.default_rng(3)


class ColorCoder:
    """A code is the mean color, for tests that need no network."""

    count = 0

    def __init__(self) -> None:
        type(self).count += 1

    def measure_code(self, picture: Picture) -> np.ndarray:
        code = np.zeros(LENGTH, np.float32)
        code[:3] = picture.pixels.mean((0, 1)) - 0.5
        return code / np.linalg.norm(code)


def make_texture(seed: int, width: int = 80, height: int = 60) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    for number, color in enumerate(["red", "blue", "#ee5500", "#5500ee", "#dd7700"]):
        Image.new("RGB", (20, 16), color).save(tmp_path / f"{number}.png")
    return tmp_path


def test_only_new_and_changed_pictures_are_measured(folder):
    ColorCoder.count = 0
    assert update_index(folder, ColorCoder).fresh == 5
    again = update_index(folder, ColorCoder)
    assert (again.fresh, again.gone, ColorCoder.count) == (0, 0, 1)
    (folder / "1.png").unlink()
    Image.new("RGB", (20, 16), "green").save(folder / "2.png")
    os.utime(folder / "2.png", ns=(1, 1))
    (folder / "broken.png").write_bytes(b"not a picture")
    update = update_index(folder, ColorCoder)
    assert (update.fresh, update.gone) == (1, 1)
    assert [name for name, _ in update.unreadable] == ["broken.png"]
    assert StyleIndex.load(folder).names == ("0.png", "2.png", "3.png", "4.png")


def test_the_nearest_come_first(folder):
    index = update_index(folder, ColorCoder).index
    red = ColorCoder().measure_code(read_picture(folder / "0.png"))
    matches = index.search(red, 3)
    assert [index.names[each.place] for each in matches] == ["0.png", "2.png", "4.png"]
    assert matches[0].likeness == pytest.approx(1, abs=1e-3)
    assert len(index.search(red, 99)) == 5


def test_the_rank_of_a_painting_leaves_out_the_painting_itself(folder):
    index = update_index(folder, ColorCoder).index
    orange = ColorCoder().measure_code(read_picture(folder / "2.png"))
    red = ColorCoder().measure_code(read_picture(folder / "0.png"))
    assert index.rank_painting(orange, orange) == 1
    assert index.rank_painting(red, red) == 1
    assert index.rank_painting(red, orange) == 3
    blue = ColorCoder().measure_code(read_picture(folder / "1.png"))
    assert index.rank_painting(red, blue) == 3


def test_a_search_is_that_of_sorting_everything():
    codes = RNG.standard_normal((500, LENGTH)).astype(np.float32)
    places = [each.place for each in rank_codes(codes, codes[5], 10)]
    assert places == np.argsort(-(codes @ codes[5]))[:10].tolist()


def test_a_damaged_index_is_an_error_that_names_the_file(folder):
    (folder / INDEX_NAME).write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        update_index(folder, ColorCoder)


def test_groups_are_those_of_the_colors(folder):
    index = update_index(folder, ColorCoder).index
    assert cluster_codes(index.codes, 2).tolist() == [0, 1, 0, 1, 0]


def test_like_paintings_are_neighbors_on_the_map():
    codes = np.repeat(np.eye(4, LENGTH, dtype=np.float32), 4, 0)
    codes += 0.01 * RNG.standard_normal(codes.shape).astype(np.float32)
    places = place_on_grid(codes)
    assert len({*places}) == 16
    spots = np.array(places)
    apart = np.abs(spots[:, None] - spots[None]).sum(-1)
    same = np.arange(16)[:, None] // 4 == np.arange(16)[None] // 4
    assert apart[same].sum() / (same.sum() - 16) < apart[~same].mean()
    sheet = draw_map([Image.new("RGB", (9, 5))] * 16, places, 16)
    assert sheet.size == (64, 64)
    assert place_on_grid(codes[:1]) == [(0, 0)]


def test_copies_are_found_and_others_are_not(monkeypatch):
    monkeypatch.setattr("impasto.library.duplicates._NEAREST", 100)
    originals = [make_texture(seed) for seed in range(12)]
    pictures = []
    for image in originals:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=60)
        copies = [image, image.resize((40, 30)), image.crop((10, 4, 74, 52)), Image.open(stream)]
        pictures += [read_picture(each) for each in copies]
    thumbnails = np.stack([make_thumbnail(each) for each in pictures])
    codes = np.ones((len(pictures), LENGTH), np.float32) / LENGTH**0.5  # all are candidates
    pairs = {(a, b) for a, b, _ in find_duplicates(codes, thumbnails)}
    assert {(4 * k, 4 * k + n) for k in range(12) for n in (1, 2, 3)} <= pairs
    owners = {(a // 4, b // 4) for a, b in pairs}
    assert owners == {(k, k) for k in range(12)}
    flat = np.full((3, 96, 96), 128, np.uint8)
    assert find_duplicates(codes[:3], flat) == []


def test_pairs_are_joined_to_groups():
    pairs = [CopyPair(0, 3, 1.0), CopyPair(3, 5, 1.0), CopyPair(1, 2, 1.0)]
    assert group_duplicates(pairs) == [[0, 3, 5], [1, 2]]


# --- codes ---------------------------------------------------------------------------------------


class PlainEncoder:
    """Gives the statistics of the pixels as features of every layer."""

    def __call__(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return dict.fromkeys(LAYERS, image)


def test_statistics_of_squares_are_those_of_all_their_pixels(monkeypatch):
    monkeypatch.setattr("impasto.library.whitened_code.SIDE", 8)
    pixels = RNG.random((8, 16, 3), np.float32)
    statistics = StyleCoder(PlainEncoder()).measure_statistics([*cut_squares(Picture(pixels))])
    flat = pixels.reshape(-1, 3)
    assert statistics[:3] == pytest.approx(flat.mean(0), abs=1e-5)
    assert statistics[12:15] == pytest.approx(np.log(flat.std(0) + 1e-4), abs=1e-4)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40), (30, 20), (20, 20), (1, 1)])
def test_squares_are_equal_and_do_not_overlap(width, height):
    marks = np.arange(width * height, dtype=np.float32).reshape(height, width, 1).repeat(3, 2)
    one, other = (each.pixels for each in cut_squares(Picture(marks)))
    assert one.shape == other.shape
    assert one.shape[0] == one.shape[1]
    if width * height > 1:
        assert not np.intersect1d(one, other).size


def test_whitened_codes_have_no_preferred_direction(tmp_path):
    mixed = RNG.standard_normal((400, 6)) @ RNG.standard_normal((6, 30))
    whitening = Whitening.fit(mixed.astype(np.float32), 6)
    plain = ((mixed - whitening.center) / whitening.scale) @ whitening.basis.T
    assert np.cov(plain.T, bias=True) == pytest.approx(np.eye(6), abs=0.02)
    assert np.linalg.norm(whitening.encode(mixed), axis=1) == pytest.approx(np.ones(400), abs=1e-5)
    whitening.save(tmp_path / "map.safetensors")
    again = Whitening.load(tmp_path / "map.safetensors")
    assert again.encode(mixed) == pytest.approx(whitening.encode(mixed), abs=0.01)


def test_every_shipped_painting_has_a_code():
    codes = load_codes()
    assert {each.name for each in load_shipped()} <= {*codes}
    assert np.linalg.norm(codes["munch-scream"]) == pytest.approx(1, abs=1e-2)
    assert "vangogh-starry-rhone" in list_similar("vangogh-starry-night", 6)


def test_the_shipped_map_fits_the_network():
    assert load_whitening().basis.shape == (LENGTH, 2 * (64 + 128 + 256 + 512))


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def _color_codes(monkeypatch):
    monkeypatch.setattr("impasto.library.whitened_code.StyleCoder", ColorCoder)


@pytest.mark.usefixtures("_color_codes")
def test_every_action_of_the_command(folder, tmp_path, capsys):
    def run(*arguments: str) -> dict:
        assert main(["styles", *arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    where = str(folder)
    assert run("index", where)["paintings"] == [f"{k}.png" for k in range(5)]
    similar = run("similar", str(folder / "3.png"), where, "-n", "2")["paintings"]
    assert [os.path.basename(each["path"]) for each in similar] == ["3.png", "1.png"]  # noqa: PTH119
    groups = run("cluster", where, "-k", "2")["groups"]
    assert groups == [["0.png", "2.png", "4.png"], ["1.png", "3.png"]]
    assert run("dedupe", where)["groups"] == []
    red, blue = str(folder / "0.png"), str(folder / "1.png")
    assert main(["compare", blue, red, red, blue, "--json", "--library", where]) == 0
    ranks = json.loads(capsys.readouterr().out)
    assert [ranks[each]["library_rank"] for each in (red, blue)] == [1, 3]
    assert main(["compare", red, red, red, "--video", "--library", where]) == 2
    capsys.readouterr()
    assert main(["compare", red, "the screem", red, "--json"]) == 0
    assert "The Scream, Edvard Munch" in capsys.readouterr().err
    (tmp_path / "maps").mkdir()
    output = str(tmp_path / "maps" / "map.png")
    assert len(run("map", where, "-o", output, "--cell", "16")["paintings"]) == 5
    sheet = read_picture(output)
    assert (sheet.width, sheet.height) == (48, 32)
    assert main(["styles", "map", where, "-o", output]) == 2
    assert main(["styles", "index", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["styles", "index", str(tmp_path / "empty")]) == 2
