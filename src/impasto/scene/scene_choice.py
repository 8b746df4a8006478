"""Define the choices of a run that paints a scene, beside its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from impasto.errors import InputError
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.scene.scene_files.splat_file import ViewDependence

COLOR_MODES = ("style", "content", "luminance", "match")
MOST_VIEWS = 256
SIZES = (32, 1024)
"""Smallest and largest view in pixels."""

SCHEDULES: dict[str, tuple[tuple[float, int], ...]] = {
    "draft": ((1.0, 16),),
    "standard": ((0.5, 48), (1.0, 96)),
    "best": ((0.5, 96), (1.0, 320)),
}
"""Passes by quality: the size of the views relative to the largest, and the iterations."""


@dataclass(frozen=True)
class SceneChoice:
    """How a scene is looked at and painted.

    Attributes:
        quality: ``draft``, ``standard`` or ``best``.
        views: number of cameras around the scene.
        view_size: sides of their pictures in pixels.
        views_per_step: number of views that an iteration looks at.
        view_dependent: what happens to colors that depend on the direction of view: they stay as
            they are, are scaled like the color that does not, or are dropped.
        colors: where the colors come from: ``style``, ``content``, ``luminance`` or ``match``, as
            for pictures.
        up: the direction that is up.
    """

    quality: str = "standard"
    views: int = 16
    view_size: int = 256
    views_per_step: int = 1
    view_dependent: ViewDependence = "scale"
    colors: str = "style"
    up: tuple[float, float, float] = (0.0, -1.0, 0.0)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            InputError: a value is out of its range.
        """
        if self.quality not in SCHEDULES:
            raise InputError(
                f"no `quality` {self.quality!r}", expected=", ".join(SCHEDULES), field="quality"
            )
        _check_range("views", self.views, 1, MOST_VIEWS)
        _check_range("view_size", self.view_size, *SIZES)
        _check_range("views_per_step", self.views_per_step, 1, MOST_VIEWS)
        if self.view_dependent not in get_args(ViewDependence):
            raise InputError(
                f"invalid `view_dependent` {self.view_dependent!r}",
                expected=", ".join(get_args(ViewDependence)),
                field="view_dependent",
            )
        if self.colors not in COLOR_MODES:
            raise InputError(
                f"invalid `colors` {self.colors!r}", expected=", ".join(COLOR_MODES), field="colors"
            )
        if len(self.up) != 3 or not any(self.up):
            raise InputError(
                f"invalid `up` {self.up}", expected="a direction of three numbers", field="up"
            )

    def to_json(self) -> str:
        """Return one line of JSON, which identifies the choice in a checkpoint."""
        return json.dumps(asdict(self))


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"invalid `{name}` {value}", expected=f"{low} to {high}", field=name)


def make_scene_recipe(
    *,
    strength: float | Sequence[float] | None = None,
    style_scale: float | None = None,
    style_weights: Sequence[float] | None = None,
    seed: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Recipe:
    """Make the recipe of the objective and the solver for scenes.

    The losses are those of ``standard``. The solver is Adam, since every iteration looks at other
    views.

    Raises:
        RecipeError: a value is out of its range.
    """
    is_list = isinstance(strength, Sequence)
    fields: dict[str, Any] = {
        "style.strengths" if is_list else "strength": strength,
        "style.scale": style_scale,
        "style.weights": style_weights,
        "seed": seed,
    }
    base = load_recipe("standard").with_changes(
        {
            "solver.kind": "adam",
            "solver.learning_rate": 4.0,
            "solver.beta2": 0.99,
            "schedule.detail": 0.0,
            "schedule.carry": True,
        }
    )
    chosen_fields = {
        name: list(value) if isinstance(value, Sequence) else value
        for name, value in fields.items()
        if value is not None
    }
    return base.with_changes(chosen_fields | dict(changes or {}))


def plan_sizes(choice: SceneChoice) -> Sequence[tuple[int, int]]:
    """Return the size of the views in pixels and the number of iterations of each pass."""
    return [
        (max(32, round(choice.view_size * share)), iterations)
        for share, iterations in SCHEDULES[choice.quality]
    ]
