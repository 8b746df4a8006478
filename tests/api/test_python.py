"""The Python interface: facade, loop, checkpoints, starts, precision."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.engine.inputs import Inputs
from impasto.engine.machine import capacity as room
from impasto.engine.machine.hardware import choose_autocast, resolve_device
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.blur import blur
from impasto.engine.pixels.tensors import add_detail, make_start, picture_to_tensor
from impasto.engine.sizes import Scale
from impasto.image.picture import Picture
from impasto.optimize import checkpoint
from impasto.optimize.budget import fitting
from impasto.optimize.budget.memory import Layout
from impasto.optimize.budget.probe import make_objective
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.optimize.solvers.precondition import emphasize_coarse
from impasto.recipe.recipe import list_recipes
from impasto.recipe.tables import StartChoice

pytestmark = pytest.mark.usefixtures("narrow_encoder")

MEMORY = Storage(torch.device("cpu"))

PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
TINY = impasto.load_recipe("sketch").with_changes({"schedule.total": 3, "size": 48})


def test_five_lines(tmp_path):
    steps = []
    result = impasto.stylize(PHOTO, PAINTING, size=48, iterations=4, on_step=steps.append)
    assert isinstance(result.image, Image.Image)
    assert result.image.size == (48, 36)
    assert [step.iteration for step in steps] == [1, 2, 3, 4]
    assert result.losses == steps[-1].losses
    result.save(tmp_path / "out.webp")
    assert impasto.read_picture(tmp_path / "out.webp").width == 48


KINDS = {
    "path": lambda path, unit: path,
    "name": lambda path, unit: str(path),
    "PIL": lambda path, unit: Image.open(path),
    "bytes": lambda path, unit: (unit * 255).round().astype(np.uint8),
    "floats": lambda path, unit: unit,
    "CHW": lambda path, unit: torch.from_numpy(unit.transpose(2, 0, 1).copy()),
    "NCHW": lambda path, unit: torch.from_numpy(unit.transpose(2, 0, 1).copy())[None],
    "Picture": lambda path, unit: impasto.read_picture(path),
}


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """What :data:`TINY` makes of the two pictures."""
    *_, last = impasto.Stylizer(TINY).run(*pictures())
    return np.asarray(last.preview())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_goes_in_everywhere(kind, expected, tmp_path):
    images = []
    for name, array in (("photo", PHOTO), ("painting", PAINTING)):
        path = tmp_path / f"{name}.png"
        Image.fromarray(array).save(path)
        images.append(KINDS[kind](path, array.astype(np.float32) / 255))
    photo, painting = images
    engine = impasto.Stylizer(TINY)
    assert engine.choose_size(photo) == (48, 36)
    for styles in (painting, [painting], (painting,)):
        *_, last = engine.run(photo, styles)
        assert np.array_equal(np.asarray(last.preview()), expected)
    assert np.array_equal(np.asarray(impasto.stylize(photo, painting, recipe=TINY).image), expected)


def test_saving_replaces_nothing_unless_told_and_originals_never(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, array in (("photo.png", PHOTO), ("painting.png", PAINTING)):
        Image.fromarray(array).save(name)
    (tmp_path / "start.png").write_bytes((tmp_path / "photo.png").read_bytes())
    (tmp_path / "link.png").symlink_to("photo.png")
    start = {"start": {"base": "image", "image": "start.png"}}
    result = impasto.stylize("photo.png", "painting.png", recipe=TINY.with_changes(start))
    monkeypatch.chdir(tmp_path.parent)  # the originals are remembered by where they are
    for name in ("photo.png", "painting.png", "start.png", "link.png"):
        before = (tmp_path / name).read_bytes()
        for overwrite in (False, True):
            with pytest.raises(impasto.InputError, match="inputs are never replaced"):
                result.save(tmp_path / name, overwrite=overwrite)
        assert (tmp_path / name).read_bytes() == before
    (tmp_path / "out.png").write_bytes(b"precious")
    with pytest.raises(impasto.InputError, match="`overwrite` replaces it"):
        result.save(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    result.save(tmp_path / "out.png", overwrite=True)
    assert impasto.read_picture(tmp_path / "out.png").width == 48


@pytest.mark.parametrize("name", sorted({*list_recipes()} - {"magenta-fast"}))
def test_flat_pictures_stay_finite(name):
    recipe = impasto.load_recipe(name).with_changes({"size": 32})
    if recipe.capabilities.iterates:
        recipe = recipe.with_changes({"schedule.total": 4})
    engine = impasto.Stylizer(recipe)
    black, white, red = (np.full((30, 32, 3), color, np.uint8) for color in (0, 255, [200, 30, 30]))
    for photo, painting in (
        (black, PAINTING),
        (white, PAINTING),
        (PHOTO, black),
        (PHOTO, white),
        (black, black),
        (red, red),
    ):
        for step in engine.run(photo, painting):
            assert all(np.isfinite(loss) for loss in step.losses.values())
        assert np.isfinite(step.picture().pixels).all()


@pytest.mark.parametrize("kind", ["adam", "lbfgs", "lbfgsb", "bounded"])
def test_a_step_that_is_kept_shows_its_own_picture(kind):
    recipe = TINY.with_changes({"schedule.total": 6, "solver.kind": kind, "start.noise_ratio": 1})
    engine = impasto.Stylizer(recipe)
    at_once = [step.picture().pixels for step in engine.run(*pictures())]
    later = [step.picture().pixels for step in list(engine.run(*pictures()))]
    assert all(np.array_equal(a, b) for a, b in zip(at_once, later, strict=True))
    assert not np.array_equal(later[0], later[-1])


def test_steps_tell_where_the_run_is():
    recipe = impasto.load_recipe("sketch").with_changes(
        {
            "schedule.coarsest": 24,
            "schedule.iterations": 2,
            "schedule.growth": 1,
            "schedule.fewest": 1,
        }
    )
    steps = list(impasto.Stylizer(recipe).run(*pictures()))
    assert [s.scale for s in steps] == [0, 0, 1, 1]
    assert [s.width for s in steps] == [32, 32, 64, 64] or steps[0].width < steps[-1].width == 64
    assert {s.total for s in steps} == {4}
    assert [s.elapsed_s for s in steps] == sorted(s.elapsed_s for s in steps)
    assert steps[-1].eta_s == 0
    assert steps[-1].preview().size == (64, 48)
    assert all(s.picture().pixels.min() >= 0 for s in steps)


def pictures() -> tuple[Picture, list[Picture]]:
    return impasto.read_picture(PHOTO), [impasto.read_picture(PAINTING)]


def test_the_last_losses_are_those_of_the_saved_picture(tmp_path):
    engine = impasto.Stylizer(TINY)
    photo, paintings = pictures()
    *_, last = engine.run(photo, paintings)
    last.preview().save(tmp_path / "saved.png")
    saved = impasto.read_picture(tmp_path / "saved.png")
    styles = [impasto.read_picture(each) for each in paintings]
    inputs = Inputs(impasto.read_picture(photo), tuple(styles))
    scale = Scale(saved.width, saved.height, 1)
    objective, _ = make_objective(OptimizerEngine(TINY).extractor, inputs, scale)
    image = picture_to_tensor(saved, saved.width, saved.height, Storage(engine.device))
    again = objective.compute_losses(image)
    assert again == pytest.approx(last.losses, rel=1e-5)


def test_one_engine_serves_many_runs_alike():
    engine = impasto.Stylizer(TINY)
    first, second = ([s.losses for s in engine.run(*pictures())] for _ in range(2))
    assert first == second


def test_a_run_must_fit_into_memory_before_it_starts(monkeypatch):
    monkeypatch.setattr(fitting, "measure_free_memory", lambda _: 2**30)
    large = impasto.Stylizer(TINY.with_changes({"size": 8192}))
    with pytest.raises(impasto.ResourceError, match="a result of 8192x6144 px needs") as caught:
        large.run(PHOTO, PAINTING)
    fits = int(re.search(r"`size` of (\d+) would fit", str(caught.value))[1])
    impasto.Stylizer(TINY.with_changes({"size": fits})).run(PHOTO, PAINTING)
    with pytest.raises(impasto.ResourceError):
        impasto.Stylizer(TINY.with_changes({"size": fits + 8})).run(PHOTO, PAINTING)
    needed, allowed = map(float, re.findall(r"([\d.]+) GiB", str(caught.value))[::2])
    assert needed > allowed
    for plan in (large.plan, large.run):
        with pytest.raises(impasto.InputError, match="no painting; expected at least one"):
            plan(PHOTO, [])


@pytest.mark.slow
def test_little_memory_means_tiles_and_the_same_picture(tmp_path):
    layers = {"relu1_1": 0.5, "relu3_1": 0.5}  # a halo of 10 px: quick in tiles
    recipe = TINY.with_changes({"size": 640, "style.layers": layers, "content.layers": layers})
    recipe = recipe.with_changes({"precision": "float32"})  # bfloat16 needs less
    photo = np.random.default_rng(1).random((480, 640, 3)).astype(np.float32)
    whole = list(impasto.Stylizer(recipe).run(photo, PAINTING))[-1]
    allowed = room.measure_taken_memory(torch.device("cpu")) + 900 * 2**20
    tiled = list(impasto.Stylizer(recipe, max_memory=allowed).run(photo, PAINTING))[-1]
    assert (whole.tile, tiled.tile) == (0, 256)
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-3)
    assert np.abs(tiled.picture().pixels - whole.picture().pixels).mean() < 1e-3


def test_a_limit_counts_pictures_that_are_read_after_the_engine_was_made(monkeypatch):
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 2**20)
    engine = impasto.Stylizer(TINY)
    before = engine.plan(PHOTO, PAINTING).bytes_needed
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 2**20 + 5000)
    assert engine.plan(PHOTO, PAINTING).bytes_needed - before == 5000
    # More is not theirs: an earlier run left it to the allocator.
    monkeypatch.setattr(fitting, "measure_taken_memory", lambda _: 2**40)
    pictures = sum(impasto.read_picture(each).pixels.nbytes for each in (PHOTO, PAINTING))
    assert engine.plan(PHOTO, PAINTING).bytes_needed - before == pictures


def test_the_size_that_would_fit_does_whatever_the_painting(monkeypatch):
    """Its size beside the result is no share of what it would be beside a larger one."""
    monkeypatch.setattr(fitting, "measure_free_memory", lambda _: 9 * 2**26)
    painting = synthetic_painting(1200, 1200)
    with pytest.raises(impasto.ResourceError) as caught:
        impasto.Stylizer(TINY.with_changes({"size": 4096})).plan(PHOTO, painting)
    fits = int(re.search(r"`size` of (\d+) would fit", str(caught.value))[1])
    impasto.Stylizer(TINY.with_changes({"size": fits})).run(PHOTO, painting)


def test_a_limit_below_what_the_process_holds_is_told_as_it_was_given():
    engine = impasto.Stylizer(TINY, max_memory=100 * 2**20)
    with pytest.raises(impasto.ResourceError, match=r"0\.10 GiB may be used: too little for any"):
        engine.run(PHOTO, PAINTING)
    with pytest.raises(impasto.InputError, match="`max_memory` 2 is less than 1 MiB"):
        impasto.Stylizer(TINY, max_memory=2)


def test_what_is_freed_is_kept_only_where_there_is_room(monkeypatch):
    for free, roomy in ((2**40, True), (None, True), (900 * 2**20, False)):
        monkeypatch.setattr(fitting, "measure_free_memory", lambda _, free=free: free)
        assert (
            impasto.Stylizer(TINY.with_changes({"size": 640})).plan(PHOTO, PAINTING).is_roomy
            is roomy
        )


def test_what_the_tiles_came_to_is_recorded(monkeypatch):
    monkeypatch.setattr(fitting, "choose_layout", lambda *_: Layout(256))
    result = impasto.stylize(PHOTO, PAINTING, recipe=TINY)
    assert result.recipe.tile == 256


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "anon"),
        ("memory/memory.limit_in_bytes", "total_rss"),
    ],
)
def test_a_container_has_the_memory_of_its_limit(limit, used, tmp_path, monkeypatch):
    free = room.measure_free_memory()
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    assert room.measure_free_memory() == pytest.approx(free, rel=0.2)
    file = tmp_path / limit
    file.parent.mkdir(exist_ok=True)
    file.write_text("max\n")
    file.with_name("memory.stat").write_text(f"cache 900\n{used} 1000\n")
    assert room.measure_free_memory() == pytest.approx(free, rel=0.2)
    file.write_text("5000\n")
    assert room.measure_free_memory() == 4000


def test_closing_the_stream_writes_the_checkpoint(tmp_path):
    steps = impasto.Stylizer(TINY).run(*pictures(), checkpoint=tmp_path / "state")
    first = next(steps)
    steps.close()
    rest = list(impasto.Stylizer(TINY).run(*pictures(), resume=tmp_path / "state"))
    assert [first.iteration, *(s.iteration for s in rest)] == [1, 2, 3]
    whole = list(impasto.Stylizer(TINY).run(*pictures()))
    assert np.array_equal(whole[-1].picture().pixels, rest[-1].picture().pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_checkpoints_are_written_before_thirty_seconds_pass(tmp_path, monkeypatch):
    clock, writes = [0.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checkpoint, "save_state", lambda *_, **__: writes.append(clock[0]))
    keeper = checkpoint.Keeper(tmp_path / "state")
    for _ in range(40):
        clock[0] += 7.0
        keeper.offer(None)
    gaps = np.diff([0.0, *writes])
    assert writes
    assert gaps.max() <= 30


def test_a_checkpoint_without_a_folder_stops_the_run_before_it_begins(tmp_path):
    steps = impasto.Stylizer(TINY).run(*pictures(), checkpoint=tmp_path / "no" / "state")
    with pytest.raises(impasto.ResourceError, match="cannot be written"):
        next(steps)


@pytest.mark.parametrize("failure", ["full disk", "taken name"])
def test_a_checkpoint_that_fails_later_is_reported_and_the_picture_is_finished(
    failure, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    path = tmp_path / "state"

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    steps = impasto.Stylizer(TINY).run(*pictures(), checkpoint=path)
    assert next(steps).checkpoint_failure is None
    if failure == "full disk":
        monkeypatch.setattr(checkpoint.torch, "save", fail)
    else:
        path.unlink()
        path.write_bytes(b"somebody's")
    *_, last = steps
    assert last.last
    assert last.checkpoint_failure.where == str(path)
    if failure == "taken name":
        assert path.read_bytes() == b"somebody's"


def test_what_is_missing_is_said():
    photo, paintings = pictures()
    engine = impasto.Stylizer(TINY)
    with pytest.raises(impasto.InputError, match="no painting; expected at least one"):
        engine.run(photo, [])
    weighted = impasto.Stylizer(TINY.with_changes({"style.weights": [1, 2]}))
    with pytest.raises(impasto.InputError, match="1 painting"):
        weighted.run(photo, paintings)
    with pytest.raises(impasto.InputError, match="no device"):
        impasto.Stylizer(TINY, device="abacus")


def test_bfloat16_is_close_to_float32():
    losses = []
    for precision in ("float32", "bfloat16"):
        recipe = TINY.with_changes({"precision": precision, "schedule.total": 6})
        *_, last = impasto.Stylizer(recipe).run(*pictures())
        losses.append(last.losses["total"])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1] != losses[0]
    assert choose_autocast("float32", resolve_device("cpu")) is None


STARTS = {
    "content": StartChoice(),
    "style": StartChoice(base="style"),
    "noise": StartChoice(noise_ratio=1.0),
    "blend": StartChoice(noise_ratio=0.5, noise_center=0.0, noise_amplitude=0.2),
    "mean": StartChoice(noise_ratio=1.0, noise_center="mean", noise_amplitude=0.0),
}


@pytest.mark.parametrize("name", STARTS)
def test_starts_are_what_they_say(name):
    content = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    style = torch.rand(1, 3, 50, 40, generator=torch.Generator().manual_seed(2))
    image = make_start(STARTS[name], content, [style], 3, MEMORY)
    assert image.shape == content.shape
    assert 0 <= image.min() <= image.max() <= 1
    again = make_start(STARTS[name], content, [style], 3, MEMORY)
    assert torch.equal(image, again)
    match name:
        case "content":
            assert torch.equal(image, content)
        case "style":
            assert float((image - style[..., 11:38, :].mean()).abs().mean()) < 0.3
            assert not torch.equal(image, content)
        case "noise":
            assert float(image.mean()) == pytest.approx(0.5, abs=0.03)
            assert float(image.std()) == pytest.approx(12**-0.5, abs=0.02)
            other = make_start(STARTS[name], content, [style], 4, MEMORY)
            assert not torch.equal(image, other)
        case "blend":
            # (photo + U(-0.2, 0.2)) / 2, cut at black
            assert float((image - content / 2).abs().max()) <= 0.1 + 1e-6
            assert float((image - content / 2).abs().mean()) > 0.03
        case "mean":
            expected = [123.68 / 255, 116.779 / 255, 103.939 / 255]
            assert image[0, :, 5, 5].tolist() == pytest.approx(expected)


def test_detail_brings_back_what_the_coarser_scale_lost():
    photo = impasto.read_picture(PHOTO)
    fine = picture_to_tensor(photo, 64, 48, MEMORY)
    coarse = Scale(32, 24, 1)
    from impasto.engine.pixels.tensors import enlarge

    enlarged = enlarge(picture_to_tensor(photo, 32, 24, MEMORY), 64, 48, MEMORY)
    assert torch.allclose(add_detail(enlarged, photo, coarse, 1.0, MEMORY), fine, atol=1e-5)
    assert torch.equal(add_detail(enlarged, photo, coarse, 0.0, MEMORY), enlarged)


def test_emphasis_is_linear_symmetric_and_stronger_for_coarse_structure():
    a, b = torch.rand(2, 1, 3, 40, 40, dtype=torch.float64)
    inner = torch.zeros(1, 3, 40, 40, dtype=torch.float64)
    inner[..., 14:26, 14:26] = 1
    a, b = a * inner, b * inner
    left = (emphasize_coarse(a, 3) * b).sum()
    assert float(left) == pytest.approx(float((a * emphasize_coarse(b, 3)).sum()))
    assert torch.allclose(
        emphasize_coarse(a + 2 * b, 2), emphasize_coarse(a, 2) + 2 * emphasize_coarse(b, 2)
    )
    flat, checks = torch.ones(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    checks[..., ::2] = -1
    assert float(emphasize_coarse(flat, 3).mean()) == pytest.approx(15)
    assert float((emphasize_coarse(checks, 3) * checks).mean()) < 3
    assert torch.equal(emphasize_coarse(a, 0), a)
    assert blur(torch.rand(1, 3, 1, 5), 2.0).shape == (1, 3, 1, 5)


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({"photo": "none.png"}, "photo", "none.png: no such file (`photo`)"),
        ({"painting": "none.png"}, "painting", "none.png: no such file (`painting`)"),
        ({"photo": np.zeros((8, 8, 5), np.uint8)}, "photo", "(`photo`)"),
        ({"quality": "high"}, "quality", "no recipe 'high'"),
        ({"recipe": 5}, "recipe", "the recipe is a int; expected a Recipe, the name of one"),
        ({"size": "big"}, "size", "recipe 'standard': size is 'big'; expected a whole number"),
        ({"strength": 2}, "strength", "strength is 2; expected 1 or less"),
        ({"print_size": "60x"}, "print_size", "invalid print size '60x'"),
        ({"masks": "person"}, "masks", "masks is one str; expected a list"),
        ({"masks": ["persn"]}, "masks", "persn: no such file; did you mean person?"),
    ],
)
def test_an_error_names_the_argument_concerned(arguments, field, says):
    photo, (painting, *_) = pictures()
    with pytest.raises(impasto.ImpastoError) as caught:
        impasto.stylize(**{"photo": photo, "painting": painting, **arguments})
    assert caught.value.field == field
    assert says in str(caught.value)


def test_a_depth_that_is_none_is_refused(tmp_path):
    from impasto.image.files.encode import choose_format

    with pytest.raises(impasto.InputError, match="depth is 12; expected 8 or 16"):
        choose_format(tmp_path / "a.png", 12)
