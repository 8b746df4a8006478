"""Where large tensors live must not change what is computed."""

from __future__ import annotations

import errno
import os
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.encoders.vgg import VggEncoder
from impasto.encoders.vgg_entries import VGG_MEMORY
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.errors import ResourceError
from impasto.evaluate.metrics import blockiness, noise
from impasto.image import rows as picture_rows
from impasto.image.packed import PackedPixels
from impasto.image.picture import Picture
from impasto.optimize import checkpoint, passes
from impasto.optimize.budget import fitting
from impasto.optimize.budget.memory import (
    MATTING_BYTES,
    PAINTING_BYTES,
    Demand,
    Layout,
    Room,
    choose_layout,
    list_layouts,
)
from impasto.optimize.checkpoint import RunState, load_state, save_state
from impasto.optimize.solvers.bounded_lbfgs import BoundedLbfgs
from impasto.recipe.tables import CanvasChoice, SolverChoice
from solvers import make_picture_solver

pytestmark = pytest.mark.usefixtures("narrow_encoder")

CPU = torch.device("cpu")
PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
SMALL = impasto.load_recipe("sketch").with_changes({"schedule.total": 4, "size": 96})
ADAM = impasto.load_recipe("noise-blend").with_changes(
    {"schedule.iterations": 3, "size": 96, "solver.average": 0.5, "solver.clip_gradient": 1.0}
)


@pytest.fixture
def narrow_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five rows of the test's picture."""
    monkeypatch.setattr(picture_rows, "PIXELS_PER_BAND", 5 * 96)


def run(recipe: impasto.Recipe, monkeypatch: pytest.MonkeyPatch, layout: Layout) -> impasto.Step:
    monkeypatch.setattr(fitting, "choose_layout", lambda *_: layout)
    *_, last = impasto.Stylizer(recipe).run(PHOTO, PAINTING)
    return last


@pytest.mark.parametrize("recipe", [SMALL, ADAM], ids=["bounded", "adam"])
@pytest.mark.usefixtures("narrow_bands")
def test_a_state_on_disk_makes_the_same_picture(recipe, monkeypatch):
    in_memory = run(recipe, monkeypatch, Layout(32))
    filed = run(recipe, monkeypatch, Layout(32, "disk"))
    assert filed.losses == in_memory.losses
    assert np.array_equal(filed.picture().pixels, in_memory.picture().pixels)


@pytest.mark.parametrize("kind", ["bounded", "adam"])
def test_bands_take_the_same_steps(kind, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    start, center, stiffness = torch.rand(3, 1, 3, 72, 96, generator=generator)

    def bowl(image: torch.Tensor) -> tuple[dict[str, float], torch.Tensor]:
        away = image - 1.4 * center + 0.2  # partly outside the box
        return {"total": float((stiffness * away.square()).sum())}, 2 * stiffness * away

    def steps() -> tuple[list[float], torch.Tensor]:
        settings = SolverChoice(kind=kind, octaves=3, average=0.5, clip_gradient=30.0)
        solver = make_picture_solver(settings, start, bowl, Storage(CPU))
        return [solver.step()["total"] for _ in range(8)], solver.picture

    losses, picture = steps()
    monkeypatch.setattr(picture_rows, "PIXELS_PER_BAND", 5 * 96)
    banded_losses, banded_picture = steps()
    assert banded_losses == pytest.approx(losses, rel=1e-5)
    assert (banded_picture - picture).abs().max() < 1e-5


@pytest.mark.usefixtures("narrow_bands")
def test_a_state_on_disk_resumes(monkeypatch, tmp_path):
    monkeypatch.setattr(fitting, "choose_layout", lambda *_: Layout(32, "disk"))
    steps = impasto.Stylizer(SMALL).run(PHOTO, PAINTING, checkpoint=tmp_path / "state")
    for _ in range(3):
        next(steps)
    steps.close()
    *_, last = impasto.Stylizer(SMALL).run(PHOTO, PAINTING, resume=tmp_path / "state")
    *_, through = impasto.Stylizer(SMALL).run(PHOTO, PAINTING)
    assert last.losses == through.losses


def test_files_have_no_name_and_end_with_their_tensors(tmp_path):
    storage = Storage(CPU, tmp_path)
    tensor = storage.hold(torch.rand(1, 3, 7, 5))
    assert not list(tmp_path.iterdir())
    assert len(storage._maps) == 1
    del tensor
    assert len(storage._maps) == 0


def test_what_was_settled_is_still_there(tmp_path):
    storage, image = Storage(CPU, tmp_path), torch.rand(1, 3, 300, 200)
    tensor = storage.hold(image)
    storage.settle()
    assert torch.equal(tensor, image)
    assert torch.equal(storage.zeros(image), torch.zeros_like(image))


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(impasto.ResourceError, match=r"no room for 0\.0 GiB .*No space left"):
        Storage(CPU, tmp_path).empty(1, 3, 8, 8)
    with pytest.raises(impasto.ResourceError, match="nowhere"):
        Storage(CPU, tmp_path / "nowhere").empty(1, 3, 8, 8)


@pytest.mark.usefixtures("narrow_bands")
@pytest.mark.parametrize("size", [(50, 211), (300, 20), (97, 96)])
@pytest.mark.parametrize("alpha", [False, True])
def test_rows_of_a_resized_picture_are_its_rows(size, alpha):
    generator = np.random.default_rng(5)
    opacity = generator.random((90, 120), np.float32).round() if alpha else None
    picture = Picture(generator.random((90, 120, 3), np.float32), opacity)
    whole = picture.resize(*size).pixels
    rows = [picture.resize_rows(*size, part) for part in picture_rows.split_rows(size[1], size[0])]
    assert len(rows) > 1
    # Colors are divided by alpha, down to 1/512.
    assert np.abs(np.concatenate(rows) - whole).max() < 2e-5


@pytest.mark.parametrize(
    "failure",
    [MemoryError(), torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory")],
)
def test_a_solver_that_runs_out_of_memory_steps_again_beside_smaller_tiles(failure, monkeypatch):
    step, failures = BoundedLbfgs.step, [failure]

    def failing(self: BoundedLbfgs) -> dict[str, float]:
        if failures:
            raise failures.pop()
        return step(self)

    monkeypatch.setattr(BoundedLbfgs, "step", failing)
    monkeypatch.setattr(passes, "TILES", (32, 16))
    recipe = SMALL.with_changes({"schedule.coarsest": None, "schedule.total": 1})
    (only,) = impasto.Stylizer(recipe).run(PHOTO, PAINTING)
    assert only.fell_back
    assert only.iteration == 1


def test_other_errors_are_not_mistaken_for_it(monkeypatch):
    def failing(*_: object) -> object:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(BoundedLbfgs, "step", failing)
    with pytest.raises(RuntimeError, match="size mismatch"):
        next(impasto.Stylizer(SMALL).run(PHOTO, PAINTING))


def test_a_run_falls_back_once_at_the_scale_that_needs_it(monkeypatch):
    from impasto.objective.whole import WholeObjective

    whole = WholeObjective.evaluate

    def failing(self: WholeObjective, image: torch.Tensor) -> object:
        if image.shape[-1] >= 48:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(self, image)

    monkeypatch.setattr(WholeObjective, "evaluate", failing)
    monkeypatch.setattr(passes, "TILES", (64, 32, 16))
    shallow = {"relu1_1": 0.5, "relu2_1": 0.5}  # small halos: quick in small tiles
    recipe = SMALL.with_changes(
        {
            "schedule.coarsest": 24,
            "schedule.total": 12,
            "style.layers": shallow,
            "content.layers": shallow,
        }
    )
    steps = list(impasto.Stylizer(recipe).run(PHOTO, PAINTING))
    assert {step.fell_back for step in steps if step.width == 24} == {False}
    assert {step.fell_back for step in steps if step.width > 24} == {True}
    assert {step.tile for step in steps if step.width > 24} == {16}
    assert steps[-1].last
    assert steps[-1].losses["total"] < steps[-2].losses["total"] * 1.05


def test_a_scale_lets_go_of_the_one_before(monkeypatch):
    solvers: list[weakref.ref[object]] = []
    init = BoundedLbfgs.__init__

    def note(self: BoundedLbfgs, *arguments: object) -> None:
        solvers.append(weakref.ref(self))
        init(self, *arguments)

    monkeypatch.setattr(BoundedLbfgs, "__init__", note)
    recipe = SMALL.with_changes({"schedule.coarsest": 24, "schedule.total": 9})
    for step in impasto.Stylizer(recipe).run(PHOTO, PAINTING):
        assert sum(each() is not None for each in solvers) == 1, step.scale
    assert len(solvers) == 3


def test_a_run_goes_on_in_the_tiles_it_began_in(monkeypatch, tmp_path):
    tiled = SMALL.with_changes({"tile": 32})
    steps = impasto.Stylizer(tiled).run(PHOTO, PAINTING, checkpoint=tmp_path / "state")
    next(steps)
    steps.close()
    state = load_state(tmp_path / "state")
    assert state.tile == 32
    torch.save({"format": checkpoint.FORMAT, **vars(state), "tile": 48}, tmp_path / "fell back")
    *_, last = impasto.Stylizer(tiled).run(PHOTO, PAINTING, resume=tmp_path / "fell back")
    assert last.tile == 48


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_the_limit_on_memory_counts_pictures_that_no_tile_divides(scale):
    painting = (round(256 * scale), round(256 * scale))
    demand = Demand((256, 256), (painting,), 48, "float32", 27, 40.0, VGG_MEMORY)
    assert demand.compute_needs(Layout(4096)) == demand.compute_needs(Layout(0))
    sides = {
        layout.tile
        for layout in list_layouts(
            0, demand.longest, SolverChoice(), CanvasChoice(), has_own_memory=True
        )
    }
    assert max(sides) < demand.longest


@pytest.mark.parametrize("layout", [Layout(0), Layout(128), Layout(128, "disk")])
def test_what_a_run_looks_at_is_counted_wherever_its_state_is(layout):
    plain = Demand((320, 240), ((200, 150), (100, 80)), 48, "float32", 27, 40.0, VGG_MEMORY)
    paintings = 200 * 150 + 100 * 80
    changes = {
        "match": ({"colors": "match"}, 12 * paintings),
        "luminance": ({"colors": "luminance"}, 12 * (paintings + 320 * 240)),
        "content": ({"colors": "content"}, 0),
        "masks": ({"mask_pixels": 5000}, 4 * 5000),
    }
    for change, size in changes.values():
        more = replace(plain, **change)
        assert more.compute_needs(layout).device - plain.compute_needs(layout).device == size
        beside, alone = (
            replace(each, has_own_memory=True).compute_needs(layout) for each in (more, plain)
        )
        assert beside.host - alone.host == size
        assert (beside.device, beside.disk) == (alone.device, alone.disk)


def test_photorealism_is_counted_by_the_pixels_that_are_back_propagated():
    plain = Demand((320, 240), ((200, 150),), 48, "float32", 27, 40.0, VGG_MEMORY)
    matting = replace(plain, matting=True)
    for layout, pixels in ((Layout(0), 320 * 240), (Layout(64), (64 + 96) ** 2)):
        more = matting.compute_needs(layout).device - plain.compute_needs(layout).device
        assert more == MATTING_BYTES * pixels


def test_all_paintings_are_counted_not_only_the_largest():
    few = Demand((32, 32), ((300, 200),), 48, "float32", 27, 40.0, VGG_MEMORY)
    many = replace(few, paintings=((300, 200), (100, 80), (90, 70)))
    more = PAINTING_BYTES * (100 * 80 + 90 * 70)
    for layout in (Layout(0), Layout(256, "host")):
        before, after = few.compute_needs(layout), many.compute_needs(layout)
        assert (after.device + after.host) - (before.device + before.host) == more


def test_memory_that_runs_out_twice_ends_the_run(monkeypatch):
    from impasto.objective.whole import WholeObjective

    def failing(*_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(WholeObjective, "evaluate", failing)
    with pytest.raises(impasto.ResourceError, match="smaller tiles do not help"):
        list(impasto.Stylizer(SMALL).run(PHOTO, PAINTING))


def seam(picture: Picture, tile: int) -> float:
    """How much neighboring pixels differ across the borders of tiles, against the other borders of
    the deepest layer's cells, which max pooling marks everywhere."""
    across = np.abs(np.diff(picture.pixels, axis=1)).mean((0, 2))
    places = np.arange(7, len(across), 8)
    borders = (places + 1) % tile == 0
    return float(across[places[borders]].mean() / across[places[~borders]].mean())


def in_tiles(monkeypatch, side: int) -> Picture:
    """What a short run of ``sketch`` makes; side 0: as a whole."""
    recipe = impasto.load_recipe("sketch").with_changes({"schedule.total": 8, "size": 192})
    monkeypatch.setattr(fitting, "choose_layout", lambda *_: Layout(side))
    *_, last = impasto.Stylizer(recipe).run(synthetic_photo(192, 144), PAINTING)
    assert last.tile == side
    return last.picture()


def traces(whole: Picture, tiled: Picture) -> dict[str, float]:
    """What tiles did to a picture: seams, and the artifacts of ``impasto compare``."""
    images = [picture_to_tensor(each, 192, 144, Storage(CPU)) for each in (whole, tiled)]
    return {
        "seam": abs(seam(tiled, 48) / seam(whole, 48) - 1),
        "blockiness": abs(blockiness(images[1]) - blockiness(images[0])),
        "noise": noise(images[0], images[1]),
    }


VISIBLE = {"seam": 0.05, "blockiness": 0.015, "noise": 2e-4}
"""Of :func:`traces`: what rounding alone, which L-BFGS amplifies, stays well below."""


@pytest.mark.slow
def test_tiles_leave_no_seam_unless_they_see_too_little(monkeypatch):
    whole = in_tiles(monkeypatch, 0)
    seams = traces(whole, in_tiles(monkeypatch, 48))
    assert all(value < VISIBLE[name] for name, value in seams.items()), seams
    monkeypatch.setattr(VggEncoder, "halo", 8)
    seams = traces(whole, in_tiles(monkeypatch, 48))
    assert all(value > VISIBLE[name] for name, value in seams.items()), seams


TILED = {
    "bounded": "sketch",
    "average": "noise-blend",
    "adam": "tf-vgg19",
    "lbfgs": "torch-lbfgs",
    "lbfgsb": "keras-lbfgs",
}


@pytest.mark.parametrize(
    ("name", "layout"),
    [("sketch", Layout(32)), *((name, Layout(48, "host")) for name in TILED.values())],
    ids=["bounded-device", *TILED],
)
def test_every_solver_makes_the_same_picture_in_tiles(name, layout, monkeypatch):
    changes = {"size": 80, "schedule.coarsest": None, "schedule.total": 3, "precision": "float32"}
    if name == "noise-blend":
        changes["solver.average"] = 0.5
    recipe = impasto.load_recipe(name).with_changes(changes)
    whole, tiled = (run(recipe, monkeypatch, each) for each in (Layout(0), layout))
    assert tiled.losses == pytest.approx(whole.losses, rel=1e-3)
    assert np.abs(whole.picture().pixels - tiled.picture().pixels).mean() < 1e-3


def test_memory_that_runs_out_in_the_smallest_tiles_ends_the_run(monkeypatch):
    from impasto.objective.tiled import TiledObjective

    def failing(*_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(TiledObjective, "evaluate", failing)
    for tile in (32, 64):
        monkeypatch.setattr(passes, "TILES", (64,))
        recipe = SMALL.with_changes({"tile": tile, "schedule.coarsest": None})
        with pytest.raises(impasto.ResourceError, match="smaller tiles do not help"):
            list(impasto.Stylizer(recipe).run(PHOTO, PAINTING))


def test_a_checkpoint_lets_go_of_each_tensor_when_it_is_written(tmp_path):
    written: list[int] = []
    tensors = [torch.full((1, 3, 90, 100), float(n)) for n in range(5)]
    state = RunState("", [], 0, 0, [], 0, 0.0, {"pairs": tensors})
    save_state(state, tmp_path / "state", lambda: written.append(1))
    assert len(written) >= len(tensors)
    again = load_state(tmp_path / "state")
    assert all(torch.equal(a, b) for a, b in zip(again.solver["pairs"], tensors, strict=True))


def test_where_a_run_does_not_fit_its_largest_picture_is_named():
    def make(megapixels: int) -> Picture:
        levels = np.broadcast_to(np.zeros(3, np.uint8), (1000 * megapixels, 1000, 3))
        return Picture(PackedPixels(levels))

    assert fitting.describe_largest(make(10), [make(20)]) == ""
    photo = " (the photo of 100 megapixels takes 0.28 of them)"
    assert fitting.describe_largest(make(100), [make(20)]) == photo
    painting = " (the painting of 72 megapixels takes 0.20 of them)"
    assert fitting.describe_largest(make(10), [make(72)]) == painting
    assert "painting 2 of" in fitting.describe_largest(make(10), [make(20), make(72)])
    demand = Demand((64, 64), ((64, 64),), 8, "float32", 20, 1.0, VGG_MEMORY)
    small, layouts = Room(2**20, 0, 0), [Layout(0)]
    with pytest.raises(ResourceError) as caught:
        choose_layout(demand, small, layouts, 10**9, lambda _: demand, painting)
    needed = 10**9 + demand.compute_needs(Layout(0)).device
    assert f"of memory{painting}, and 0.93 GiB may be used: too little for any" in str(caught.value)
    enough = float(re.search(r"([\d.]+) GiB are enough", str(caught.value))[1])
    assert 0 <= enough * 2**30 - needed < 0.1 * 2**30
