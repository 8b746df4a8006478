"""A refinement changes its region, nothing else, and leaves no seam."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from conftest import complaint
from impasto.api import refine as _refine
from impasto.cli import main
from impasto.engine.pixels.boxes import Box, find_bounds, paste_box, soften_edge
from impasto.image.color import transfer as recolor
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.decode import read_picture
from impasto.image.files.metadata import read_record
from impasto.image.picture import Picture
from impasto.record.provenance import read_provenance

pytestmark = pytest.mark.usefixtures("narrow_encoder")

JOB = ["photo.png", "--style", "painting.png", "--iterations", "2", "--size", "64", "--quiet"]
REGION = (20, 12, 30, 24)


@pytest.fixture(scope="module")
def base(narrow_encoder: None, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A result, to be refined by all tests."""
    out = tmp_path_factory.mktemp("made") / "out.png"
    inputs = [str(pictures / "photo.png"), "--style", str(pictures / "painting.png")]
    assert main([*inputs, *JOB[3:], "-o", str(out)]) == 0
    return out.read_bytes()


@pytest.fixture(autouse=True)
def in_work(work, base, monkeypatch):
    """A folder with photo.png, painting.png and out.png."""
    monkeypatch.chdir(work)
    Path("out.png").write_bytes(base)


def refined(*arguments: str, iterations: str = "5") -> np.ndarray:
    flags = ["-o", "new.png", "--iterations", iterations, "--quiet", "--force"]
    assert main(["refine", "out.png", *flags, *arguments]) == 0
    return pixels("new.png")


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(name).convert("RGB")).astype(int)


def region_flag(box=REGION) -> list[str]:
    return ["--region", ",".join(map(str, box))]


def test_only_the_region_changes_and_no_border_shows():
    before, after = pixels("out.png"), refined(*region_flag(), "--style", "photo.png")
    change = np.abs(after - before)
    left, top, width, height = REGION
    inside = np.zeros(before.shape[:2], bool)
    inside[top : top + height, left : left + width] = True
    assert change[~inside].max() == 0
    assert change[inside].max() > 10
    assert change[inside].mean() > 1
    rim = inside.copy()
    rim[top + 1 : top + height - 1, left + 1 : left + width - 1] = False
    assert change[rim].max() <= 2  # where it meets the old, it is the old


def test_python_paints_the_same(capsys):
    steps = []
    recipe = read_provenance(Path("out.png")).recipe
    job = {"recipe": recipe, "iterations": 5, "device": "cpu", "on_step": steps.append}
    result = impasto.refine("out.png", "photo.png", "painting.png", region=REGION, **job)
    assert np.array_equal(np.asarray(result.image), refined(*region_flag()))
    assert (result.region, len(steps), len(result.paintings)) == (REGION, 5, 1)
    with pytest.raises(impasto.InputError, match="give either `region` or `mask`"):
        impasto.refine("out.png", "photo.png", "painting.png", **job)
    with pytest.raises(impasto.InputError, match="expected X,Y,WIDTH,HEIGHT"):
        impasto.refine("out.png", "photo.png", "painting.png", region=(1, 2, 3), **job)


def test_python_refines_what_has_found_regions():
    job = {"masks": ["auto:2"], "device": "cpu"}
    small = {"recipe": "sketch", "iterations": 2, "size": 64}
    result = impasto.stylize("photo.png", "painting.png", **small, **job)
    again = impasto.refine(
        result.picture,
        "photo.png",
        "painting.png",
        recipe=result.recipe,
        region=REGION,
        iterations=3,
        **job,
    )
    left, top, width, height = REGION
    change = np.abs(again.picture.pixels - result.picture.pixels)
    assert change[top : top + height, left : left + width].max() > 0.01
    assert change[:, :left].max() == 0


def test_its_own_recipe_is_kept_and_the_refinement_noted(capsys):
    refined(*region_flag(), "--set", "content.weight=0.5", "--set", "smoothness.kind=l1")
    old, new = (json.loads(read_record(Path(n))) for n in ("out.png", "new.png"))
    (note,) = new.pop("refined")
    assert new == old
    assert note["region"] == list(REGION)
    assert note["recipe"]["content"]["weight"] == 0.5
    assert note["recipe"]["smoothness"]["kind"] == "l1"
    assert str(Path.cwd()) not in read_record(Path("new.png"))
    again = ["refine", "new.png", *region_flag((0, 0, 20, 20)), "--iterations", "1", "--quiet"]
    assert main(again) == 0
    record = json.loads(read_record(Path("new-refined.png")))
    assert [each["region"] for each in record["refined"]] == [list(REGION), [0, 0, 20, 20]]
    assert main(["replay", "new-refined.png", "-o", "back.png", "--quiet"]) == 0
    assert "was refined later" in complaint(capsys)
    assert Path("back.png").read_bytes() == Path("out.png").read_bytes()


def test_each_choice_changes_what_is_painted():
    assert main([*JOB, "--recipe", "tf-vgg19", "-o", "out.png", "--force"]) == 0
    choices = [], ["--recipe", "sketch"], ["--style", "photo.png"], ["--set", "style.weight=100"]
    pictures = {refined(*region_flag(), *choice, iterations="3").tobytes() for choice in choices}
    assert len(pictures) == len(choices)


def test_the_region_passes_the_filter_of_its_recipe_as_wide_as_the_whole_did():
    job = [*JOB, "--recipe", "photoreal", "-o", "out.png", "--force"]
    assert main([*job, "--set", "photorealism.filter=0.1"]) == 0
    small = region_flag((2, 2, 16, 16)), ["--set", "photorealism.filter=0"]
    assert (refined(*small[0]) != refined(*small[0], *small[1])).any()
    refined(*small[0])
    (note,) = json.loads(read_record(Path("new.png")))["refined"]
    assert note["recipe"]["photorealism"]["filter"] == pytest.approx(
        0.1 * 64 / note["recipe"]["size"]
    )


# --- what the result was made with is kept ---------------------------------------------------


def note() -> dict:
    """Of the last refinement in new.png."""
    return json.loads(read_record(Path("new.png")))["refined"][-1]


def remade(*flags: str) -> None:
    """Another out.png, with these flags too."""
    assert main([*JOB, "-o", "out.png", "--force", *flags]) == 0


def half_mask(name: str = "half.png") -> str:
    values = np.zeros((48, 64), np.uint8)
    values[:, :32] = 255
    Image.fromarray(values).save(name)
    return name


def test_what_masks_keep_stays_the_photo(capsys):
    remade("--mask", half_mask(), "--strength", "0.9")
    before, after = pixels("out.png"), refined(*region_flag((20, 12, 24, 24)))
    assert (after == before)[:, 34:].all()
    assert (after != before)[:, :30].any()
    others = ["--style", "photo.png"] * 3
    assert main(["refine", "out.png", *region_flag(), *others, "--quiet"]) == 2
    assert "1 mask but 3 paintings" in complaint(capsys)
    Path("half.png").rename("moved.png")
    assert main(["refine", "out.png", *region_flag(), "--quiet"]) == 2
    assert "half.png is neither next to out.png" in (message := complaint(capsys))
    assert "--mask" not in message


def test_a_region_where_all_is_kept_is_refused(capsys, monkeypatch):
    monkeypatch.setattr(_refine, "MARGIN", 4)
    remade("--mask", half_mask())
    assert main(["refine", "out.png", *region_flag((44, 4, 16, 16)), "--quiet"]) == 2
    assert "the photo is kept in all of the region" in complaint(capsys)


@pytest.mark.parametrize(("left", "which"), [(4, 0), (44, 1)])
def test_a_region_has_the_paintings_that_its_masks_show_there(left, which, monkeypatch):
    monkeypatch.setattr(_refine, "MARGIN", 4)
    paintings = ["painting.png", "photo.png"]
    remade("--style", "photo.png", "--mask", half_mask(), "--strength", "0.9", "--strength", "0.5")
    refined(*region_flag((left, 4, 16, 16)))
    assert note()["recipe"]["style"]["strengths"] == [(0.9, 0.5)[which]]
    assert note()["paintings"] == [read_picture(Path(paintings[which])).compute_sha256()]


def test_strengths_and_colors_are_kept_and_can_be_changed():
    remade("--style", "photo.png", "--strength", "1", "--strength", "0.4", "--colors", "content")
    refined(*region_flag(), "--recipe", "sketch")
    assert note()["recipe"]["style"]["strengths"] == [1, 0.4]
    assert note()["recipe"]["colors"] == "content"
    refined(*region_flag(), "--style", "painting.png")
    assert note()["recipe"]["style"]["strengths"] == []
    refined(*region_flag(), "--strength", "0.7")
    assert (note()["recipe"]["strength"], note()["recipe"]["style"]["strengths"]) == (0.7, [])
    refined(*region_flag(), "--strength", "0.7", "--strength", "0")
    assert note()["recipe"]["style"]["strengths"] == [0.7, 0]
    remade("--strength", "0.3")
    refined(*region_flag(), "--recipe", "sketch")
    assert note()["recipe"]["strength"] == 0.3


def test_strength_0_brings_the_photo_back():
    after = refined("--region", "0,0,64,48", "--strength", "0", "--recipe", "sketch")
    assert np.array_equal(after, pixels("photo.png"))


@pytest.mark.parametrize("colors", ["match", "luminance"])
def test_colors_are_measured_on_the_whole_photo(colors, monkeypatch):
    remade("--colors", colors)
    photos = []
    real = recolor.ColorStatistics.measure
    monkeypatch.setattr(
        recolor.ColorStatistics,
        "measure",
        staticmethod(lambda each: photos.append(each.pixels.shape) or real(each)),
    )
    monkeypatch.setattr(_refine, "MARGIN", 4)
    refined(*region_flag())
    assert len(photos) == 2  # of the photo, of the painting
    assert photos[0] == (48, 64, 3)


@pytest.mark.parametrize("colors", ["content", "luminance"])
def test_the_region_has_the_photos_chroma_where_the_result_has(colors):
    remade("--colors", colors)
    after = srgb_to_oklab((refined("--region", "0,0,64,48") / 255).astype(np.float32))
    photo = srgb_to_oklab((pixels("photo.png") / 255).astype(np.float32))
    assert np.abs(after - photo)[..., 1:].mean() < 0.01
    assert np.abs(after - photo)[..., 0].mean() > 0.01


def test_iterations_count_and_the_same_ones_give_the_same_picture():
    few, more = (refined(*region_flag(), iterations=n) for n in ("2", "5"))
    assert (few != more).any()
    assert np.array_equal(refined(*region_flag(), iterations="5"), more)


def test_a_mask_of_any_size_paints_where_it_is_white():
    y, x = np.mgrid[0:96, 0:128]
    disc = ((x - 64) ** 2 + (y - 48) ** 2 < 30**2).astype(np.uint8) * 255
    Image.fromarray(disc).save("disc.png")
    change = np.abs(refined("--mask", "disc.png", "--style", "photo.png") - pixels("out.png"))
    there = np.asarray(Image.fromarray(disc).resize((64, 48), Image.Resampling.LANCZOS)) > 0
    assert change[~there].max() == 0
    assert change[there].max() > 10
    assert change[21:27, 29:35].mean() > change[there].mean()


def test_a_mask_that_is_found_is_painted_like_the_one_that_is_written():
    job = ["mask", "photo.png", "auto:2#1", "--style", "painting.png", "-o", "found.png"]
    assert main(job) == 0
    change = refined("--mask", "auto:2#1")
    assert np.abs(change - refined("--mask", "found.png")).max() <= 1
    assert (change != pixels("out.png")).any()


def test_a_thin_stroke_of_a_mask_is_painted():
    stroke = np.zeros((48, 64), np.uint8)
    stroke[22:28, 4:60] = stroke[4:44, 30:36] = 255
    Image.fromarray(stroke).save("stroke.png")
    change = np.abs(refined("--mask", "stroke.png", "--style", "photo.png") - pixels("out.png"))
    assert change[stroke == 0].max() == 0
    assert change[24:26, 8:56].mean() > 1


def test_what_is_transparent_in_a_mask_is_outside():
    mask = np.full((48, 64, 4), 255, np.uint8)
    mask[:, 32:, 3] = 0
    Image.fromarray(mask).save("half.png")
    change = np.abs(refined("--mask", "half.png", "--style", "photo.png") - pixels("out.png"))
    assert change[:, 32:].max() == 0
    assert change[:, :32].mean() > 1


def test_a_region_at_the_border_is_painted_up_to_it():
    job = [*region_flag((0, 0, 40, 48)), "--style", "photo.png"]
    change = np.abs(refined(*job, iterations="20") - pixels("out.png"))
    assert change[:, 0].mean() > 1
    assert change[0, :20].mean() > 1
    assert change[:, 40:].max() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--region", "50,0,20,20"], "is not inside the result of 64x48 px"),
        (["--region", "0,0,0,20"], "invalid --region 0,0,0,20; expected X,Y,WIDTH,HEIGHT"),
        (["--mask", "auto:3"], "such as auto:3#1"),
        (["--region", "-1,0,9,20"], "expected one argument"),
        (["--region", "1,2,3"], "is not four whole numbers"),
        (["--mask", "black.png"], "is black; white"),
        (["--region", "0,0,20,20", "--set", "style.nothing=1"], "no such field"),
        (["--region", "0,0,20,20", "--set", "style.scale"], "expected KEY=VALUE"),
        (["--region", "0,0,20,20", "-o", "photo.png", "--force"], "inputs are never replaced"),
        (["--region", "0,0,20,20", "-o", "out.png", "--force"], "inputs are never replaced"),
    ],
)
def test_bad_input_is_one_line(arguments, says, capsys):
    Image.new("L", (9, 9)).save("black.png")
    try:
        code = main(["refine", "out.png", "--quiet", *arguments])
    except SystemExit as exited:
        code = exited.code
    assert code == 2
    assert says in complaint(capsys)


def test_a_picture_without_a_recipe_is_refused(capsys):
    assert main(["refine", "photo.png", *region_flag(), "--quiet"]) == 2
    assert "contains no impasto recipe" in complaint(capsys)


def test_a_soft_edge_is_zero_outside_and_one_deep_inside():
    mask = Box(10, 20, 40, 60).make_mask(100, 90)
    assert find_bounds(mask) == Box(10, 20, 40, 60)
    soft = soften_edge(mask, 8)
    assert soft[mask == 0].max() == 0
    assert soft[45:55, 25:35].min() > 0.999
    assert np.abs(np.diff(soft, axis=0)).max() < 0.3
    assert soft[20, 10:50].max() < 0.1
    whole = np.ones((30, 40), np.float32)
    assert np.allclose(soften_edge(whole, 8), 1)
    assert find_bounds(np.zeros((3, 3), np.float32)) is None


def test_laying_over_keeps_alpha_and_what_weighs_nothing():
    rng = np.random.default_rng(0)
    picture = Picture(rng.random((20, 30, 3), np.float32), rng.random((20, 30), np.float32))
    box = Box(5, 4, 10, 8)
    weights = np.zeros((8, 10), np.float32)
    weights[2, 2], weights[3, 2] = 1, 0.25
    new = Picture(np.ones((8, 10, 3), np.float32))
    result = paste_box(picture, new, box, weights)
    assert np.array_equal(result.alpha, picture.alpha)
    assert np.allclose(result.pixels[6, 7], 1)
    assert np.allclose(result.pixels[7, 7], 0.75 * picture.pixels[7, 7] + 0.25)
    untouched = np.ones((20, 30), bool)
    untouched[6:8, 7] = False
    assert np.array_equal(result.pixels[untouched], picture.pixels[untouched])
