"""Masks that are found: by rectangle, by scribbles, by clustering."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import impasto
from conftest import complaint, synthetic_painting
from impasto.cli import main
from impasto.errors import ImpastoError, InputError
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.image.picture import Picture
from impasto.segment.clusters import _cluster, find_region_pairs
from impasto.segment.mask_words import expand_auto, find_masks
from impasto.segment.soft_edges import soften_edges
from runs import replayed

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

JOB = ["photo.png", "--style", "painting.png", "--iterations", "2", "--size", "32", "--quiet"]
JOB += ["--recipe", "sketch"]


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """A red disc before grass, with grain: [H, W, 3] uint8."""
    pixels = np.empty((height, width, 3))
    pixels[:] = (60, 140, 50)
    pixels[disc(width, height)] = (200, 40, 40)
    grain = np.random.default_rng(3).normal(0, 8, pixels.shape)
    return (pixels + grain).clip(0, 255).astype(np.uint8)


def disc(width: int = 96, height: int = 64) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return (x - 40) ** 2 + (y - 30) ** 2 < 18**2


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union."""
    region = mask > 0.5
    return float((region & truth).sum() / (region | truth).sum())


def test_soft_edges_are_where_the_picture_has_its_own():
    step = np.zeros((40, 240), np.float32)
    step[:, 120:] = 1
    rough = np.roll(step, 1, axis=1)

    def across(guide: np.ndarray) -> np.ndarray:
        picture = Picture(np.repeat(guide[..., None], 3, -1))
        return soften_edges(rough, picture, "m").values[20, 119:121]

    sharp, flat = across(step), across(np.full_like(step, 0.5))
    assert sharp[1] - sharp[0] > 0.6
    assert abs(flat[1] - flat[0]) < 0.2
    assert np.rint(255 * sharp) == pytest.approx(255 * sharp, abs=1e-4)


def test_k_means_finds_what_is_apart_and_always_the_same():
    random = np.random.default_rng(5)
    centers = np.array([[0, 0], [10, 0], [0, 10]])
    points = np.concatenate([random.normal(c, 1, (50, 2)) for c in centers])
    labels = _cluster(points, 3)
    assert sorted(len(set(labels[k * 50 : k * 50 + 50])) for k in range(3)) == [1, 1, 1]
    assert len(set(labels)) == 3
    assert np.array_equal(labels, _cluster(points, 3))


def two_grounds(flip: bool) -> np.ndarray:
    """Blue and smooth over brown and rough, or the other way round."""
    random = np.random.default_rng(2)
    smooth = np.full((48, 96, 3), (70, 110, 220.0)) + random.normal(0, 2, (48, 96, 3))
    rough = np.full((48, 96, 3), (140, 90, 40.0)) + random.normal(0, 60, (48, 96, 1))
    both = [rough, smooth] if flip else [smooth, rough]
    return np.concatenate(both).clip(0, 255).astype(np.uint8)


def test_regions_of_photo_and_painting_correspond():
    photo, painting = read_picture(two_grounds(False)), read_picture(two_grounds(True))
    pairs = find_region_pairs(photo, [painting], 2, "auto:2")
    for of_photo, of_painting in zip(pairs.photo, pairs.painting, strict=True):
        top, bottom = of_photo.values[:40].mean(), of_photo.values[56:].mean()
        their_top, their_bottom = of_painting.values[:40].mean(), of_painting.values[56:].mean()
        assert abs(top - bottom) > 0.8
        assert (top > bottom) == (their_top < their_bottom)
    assert np.abs(sum(m.values for m in pairs.photo) - 1).max() < 0.1
    assert pairs.photo[0].name == "auto:2#1"


@pytest.mark.slow
def test_several_paintings_take_turns_and_each_has_what_it_has_most_of():
    """The photo is blue over brown; of two paintings one is mostly blue, the other brown."""
    both = two_grounds(False)
    photo = read_picture(both)
    blue = read_picture(np.concatenate([both[:48], both[:24], both[-24:]]))
    brown = read_picture(np.concatenate([both[:24], both[-24:], both[48:]]))
    for paintings, top_first in (([brown, blue], False), ([blue, brown], True)):
        pairs = find_region_pairs(photo, paintings, 2, "auto:2")
        top, bottom = pairs.photo[0].values[:40].mean(), pairs.photo[0].values[56:].mean()
        assert abs(top - bottom) > 0.6
        assert (top > bottom) == top_first
        assert 0.6 < pairs.painting[0].values.mean() < 0.9


WORDS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["rect", "scribble", "auto", "salient", "person", "face"]),
        st.sampled_from(["", ":", "::", ":rect:"]),
        st.text("0123456789,-#. x", max_size=12),
    ),
)


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_any_word_is_a_mask_or_one_line(text):
    photo, error = read_picture(two_grounds(False)), None
    try:
        masks, _ = find_masks(photo, [photo], [text], [])
    except ImpastoError as raised:
        error = raised
    if error is None:
        assert masks[0].values.shape == (photo.height, photo.width)
    else:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("word", ["auto", "auto:3", "auto:2#3", "auto:9#1", "auto:2#0", "auto:x"])
def test_one_region_has_to_be_named(word, work, capsys):
    job = ["mask", "photo.png", word, "--style", "painting.png", "-o", "m.png"]
    assert main(job) == 2
    assert "such as auto:3#1" in capsys.readouterr().err


def test_auto_is_spelled_out_for_the_photo_and_its_painting():
    words = ["auto:2#1", "auto:2#2"]
    assert expand_auto(["auto:2"], ["p"], []) == (words, ["p", "p"], words)
    assert len(expand_auto(["auto"], ["p"], [])[0]) == 3
    assert expand_auto(["m.png"], ["p"], ["q"]) == (["m.png"], ["p"], ["q"])
    assert expand_auto(["auto"], ["p", "q"], [])[1] == ["p", "q", "p"]
    assert len(expand_auto(["auto"], [*"pqrs"], [])[0]) == 4
    with pytest.raises(InputError, match="cannot be combined with other masks"):
        expand_auto(["auto", "m"], ["p"], [])
    with pytest.raises(InputError, match="one region for each of the 3 paintings"):
        expand_auto(["auto:2"], [*"pqr"], [])
    with pytest.raises(InputError, match="2 to 8 regions"):
        expand_auto(["auto:9"], ["p"], [])


def test_auto_through_the_command_line_and_again(work):
    Image.fromarray(two_grounds(False)).save("photo.png")
    Image.fromarray(two_grounds(True)).save("painting.png")
    job = [*JOB, "--iterations", "6", "--mask", "auto:2", "--strength", "1", "--strength", "0"]
    assert main([*job, "-o", "out.png"]) == 0
    record = json.loads(read_record(Path("out.png")))
    assert [each["name"] for each in record["masks"]] == ["auto:2#1", "auto:2#2"]
    assert [each["name"] for each in record["style_masks"]] == ["auto:2#1", "auto:2#2"]
    assert main([*JOB, "-o", "none.png", "--strength", "0"]) == 0
    same = (np.asarray(Image.open("out.png")) == np.asarray(Image.open("none.png"))).all(-1)
    assert 0.2 < same.mean() < 0.8
    assert replayed("out.png")


@pytest.mark.slow
def test_auto_with_two_paintings_is_replayed_and_refined(work):
    Image.fromarray(two_grounds(False)).save("photo.png")
    Image.fromarray(two_grounds(True)).save("painting.png")
    Image.fromarray(255 - two_grounds(False)).save("other.png")
    size = ["--size", "96", "--mask", "auto:2"]
    assert main([*JOB, *size, "--style", "other.png", "-o", "out.png"]) == 0
    record = json.loads(read_record(Path("out.png")))
    assert [each["name"] for each in record["paintings"]] == ["painting.png", "other.png"]
    assert [each["name"] for each in record["masks"]] == ["auto:2#1", "auto:2#2"]
    assert replayed("out.png")
    region = ["--region", "20,30,40,30", "--iterations", "3", "--quiet"]
    assert main(["refine", "out.png", *region]) == 0
    after, before = (np.asarray(Image.open(f"out{end}.png")) for end in ("-refined", ""))
    changed = (after != before).any(-1)
    assert changed[35:55, 25:55].mean() > 0.5
    changed[30:60, 20:60] = False
    assert not changed.any()


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("rect:1,2,3", "rect:X,Y,WIDTH,HEIGHT"),
        ("rect:0,0,65,20", "is not inside the photo of 64x48 px"),
        ("rect:0,0,64,48", "covers the whole photo"),
        ("scribble", "scribble:FILE"),
        ("scribble:nowhere.png", "nowhere.png: no such file"),
        ("scribble:white.png", "no black or red stroke"),
        ("auto:1", "2 to 8 regions"),
    ],
)
def test_words_that_cannot_be_meant_are_refused_in_one_line(word, words, capsys):
    Image.new("RGB", (20, 20), "white").save("white.png")
    assert main([*JOB, "-o", "out.png", "--mask", word]) == 2
    assert words in complaint(capsys)


def test_without_opencv_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    photo = read_picture(scene())
    with pytest.raises(InputError, match=r"pip install 'impasto\[masks\]'"):
        find_masks(photo, [], ["rect:10,5,60,50"], [])


def test_an_object_is_cut_out_of_its_rectangle():
    pytest.importorskip("cv2")
    photo = read_picture(scene())
    (mask,), _ = find_masks(photo, [], ["rect:15,5,50,52"], [])
    assert overlap(mask.values, disc()) > 0.9
    assert ((mask.values > 0.05) & (mask.values < 0.95)).any()


def test_an_object_is_cut_out_of_scribbles_of_any_size(work):
    pytest.importorskip("cv2")
    strokes = np.zeros((640, 960, 4), np.uint8)
    strokes[290:310, 350:450] = (255, 255, 255, 255)
    strokes[20:40, 100:900] = (255, 0, 0, 255)
    strokes[560:600, 100:900] = (0, 0, 0, 255)
    Image.fromarray(strokes).save("strokes.png")
    Image.fromarray(scene()).save("photo.png")
    photo = read_picture("photo.png")
    (mask,), _ = find_masks(photo, [], ["scribble:strokes.png"], [])
    assert overlap(mask.values, disc()) > 0.9
    assert main([*JOB, "-o", "out.png", "--mask", "scribble:strokes.png"]) == 0
    assert json.loads(read_record(Path("out.png")))["masks"][0]["name"] == "scribble:strokes.png"
    assert replayed("out.png")
    Path("far").mkdir()
    Path("strokes.png").rename("far/strokes.png")
    assert replayed("out.png", "--mask", "scribble:far/strokes.png")
    assert main([*JOB, "-o", "far/strokes.png", "--mask", "scribble:far/strokes.png"]) == 2


def test_words_work_from_python(work):
    options = {"masks": ["auto:2"], "size": 32, "iterations": 1, "recipe": "sketch"}
    result = impasto.stylize(two_grounds(False), synthetic_painting(), **options)
    assert [name for name, _ in result.provenance.masks] == ["auto:2#1", "auto:2#2"]


def test_what_is_found_can_be_written_and_given_as_a_file(work, capsys):
    Image.fromarray(two_grounds(False)).save("photo.png")
    Image.fromarray(two_grounds(True)).save("painting.png")
    find = ["mask", "photo.png", "auto:2#1", "-o", "m.png"]
    assert main(find) == 2
    assert "requires --style PAINTING" in complaint(capsys)
    assert main([*find, "--style", "painting.png"]) == 0
    assert "% of the photo" in complaint(capsys)
    written = read_picture("m.png").pixels[..., 0]
    photo, painting = read_picture("photo.png"), read_picture("painting.png")
    assert np.array_equal(written, find_masks(photo, [painting], ["auto:2#1"], [])[0][0].values)
    assert main([*find, "--style", "painting.png"]) == 2
    assert "m.png" in complaint(capsys)
    assert main(["mask", "photo.png", "sky", "-o", "n.png"]) == 2
    assert "unknown kind of mask" in complaint(capsys)
