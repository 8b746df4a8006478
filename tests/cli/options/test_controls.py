"""Every control together with every other one, whole and in tiles."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.recipe.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("narrow_encoder")


PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
LAYERS = {"relu1_1": 0.5, "relu2_1": 0.5}
QUICK = load_recipe("sketch").with_changes(
    {
        **{"schedule.total": 3, "size": 64, "style.layers": LAYERS, "content.layers": LAYERS},
        "precision": "float32",  # tiles round otherwise than the whole in bfloat16
    }
)


def corner(height: int, width: int) -> np.ndarray:
    """White at the upper left, with a soft edge."""
    down, across = np.mgrid[0:height, 0:width]
    return np.clip(1.2 - (down / height + across / width), 0, 1).astype(np.float32)


CONTROLS: dict[str, dict[str, Any]] = {
    "strength": {"strength": 0.6},
    "two paintings": {"painting": [PAINTING, PAINTING[::-1, :, ::-1]]},
    "mask": {"masks": [corner(48, 64)]},
    "style mask": {"style_masks": [corner(64, 56) > 0.6]},
    "colors content": {"colors": "content"},
    "colors luminance": {"colors": "luminance"},
    "colors match": {"colors": "match"},
    "style scale": {"style_scale": 0.6},
    "layer weight": {"changes": {"style.layers.relu1_1": 3.0}},
    "self-similarity": {"changes": {"content.kind": "self_similarity", "content.weight": 20.0}},
    "Laplacian canvas": {"changes": {"canvas.kind": "laplacian", "solver.kind": "adam"}},
    "earth mover": {"changes": {"style.distance": "remd"}},
    "palette": {"changes": {"palette.weight": 1.0}},
    "photorealism": {"changes": {"photorealism.weight": 100.0, "photorealism.filter": 0.05}},
}
EXCLUSIVE = {"colors content", "colors luminance", "colors match"}


@cache
def paint(*names: str, tile: int = 0) -> np.ndarray:
    """[H, W, 3] in 8-bit levels, with some controls."""
    options: dict[str, Any] = {"painting": PAINTING, "changes": {}}
    for name in names:
        changes = options["changes"] | CONTROLS[name].get("changes", {})
        options |= CONTROLS[name] | {"changes": changes}
    several = isinstance(options["painting"], list)
    if several and "masks" not in options:
        options["style_weights"] = [3, 1]
    if several and "style_masks" in options:
        options["style_masks"] = [*options["style_masks"], None]
    options["changes"]["tile"] = tile
    result = impasto.stylize(PHOTO, options.pop("painting"), recipe=QUICK, device="cpu", **options)
    return result.picture.pixels * 255


@pytest.mark.parametrize("name", CONTROLS)
def test_each_does_something(name):
    assert np.abs(paint(name) - paint()).mean() > 0.1


@pytest.mark.parametrize("pair", [*combinations(CONTROLS, 2)], ids=" and ".join)
def test_two_together_are_neither_alone_and_in_tiles_the_same(pair):
    if EXCLUSIVE.issuperset(pair):
        pytest.skip("one choice of --colors excludes another")
    both = paint(*pair)
    for one in pair:
        assert np.abs(both - paint(one)).mean() > 0.1, f"{pair} is {one} alone"
    # Adam moves a coefficient whose gradient is nearly 0 by its sign, so that rounding shows.
    most, average = (8, 0.2) if "Laplacian canvas" in pair else (1, 0.1)
    difference = np.abs(both - paint(*pair, tile=32))
    assert difference.max() < most
    assert difference.mean() < average
