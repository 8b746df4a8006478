"""Repaint a photo in the style of any painting.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=512).save("out.png")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto._version import __version__
from impasto.engine.machine.waiting import limit_spinning

if TYPE_CHECKING:
    from impasto.api.refine import Refined, refine
    from impasto.api.stylize import Result, stylize
    from impasto.api.stylize_scene import SceneResult, stylize_scene
    from impasto.api.stylizer import Stylizer
    from impasto.engine.step import Step
    from impasto.errors import (
        ImageError,
        ImpastoError,
        InputError,
        LimitError,
        RecipeError,
        ResourceError,
        WeightsError,
    )
    from impasto.image.files.decode import read_picture
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe, load_recipe

limit_spinning()

_HOMES = {
    "ImageError": "impasto.errors",
    "ImpastoError": "impasto.errors",
    "InputError": "impasto.errors",
    "LimitError": "impasto.errors",
    "Picture": "impasto.image.picture",
    "Recipe": "impasto.recipe.recipe",
    "RecipeError": "impasto.errors",
    "Refined": "impasto.api.refine",
    "ResourceError": "impasto.errors",
    "Result": "impasto.api.stylize",
    "SceneResult": "impasto.api.stylize_scene",
    "Step": "impasto.engine.step",
    "Stylizer": "impasto.api.stylizer",
    "WeightsError": "impasto.errors",
    "load_recipe": "impasto.recipe.recipe",
    "read_picture": "impasto.image.files.decode",
    "refine": "impasto.api.refine",
    "stylize": "impasto.api.stylize",
    "stylize_scene": "impasto.api.stylize_scene",
}

__all__ = [
    "ImageError",
    "ImpastoError",
    "InputError",
    "LimitError",
    "Picture",
    "Recipe",
    "RecipeError",
    "Refined",
    "ResourceError",
    "Result",
    "SceneResult",
    "Step",
    "Stylizer",
    "WeightsError",
    "__version__",
    "load_recipe",
    "read_picture",
    "refine",
    "stylize",
    "stylize_scene",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing impasto costs nothing."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
