"""impasto: repaint a photo in the style of any painting.

>>> import impasto
>>> impasto.stylize("photo.jpg", "painting.jpg", size=512).save("out.png")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from impasto._version import __version__

if TYPE_CHECKING:
    from impasto._refine import Refined, refine
    from impasto._stylize import Result, stylize
    from impasto.errors import (
        ImageError,
        ImpastoError,
        InputError,
        LimitError,
        RecipeError,
        ResourceError,
        WeightsError,
    )
    from impasto.media.decode import read_picture
    from impasto.media.picture import Picture
    from impasto.optimize.loop import Stylizer
    from impasto.optimize.step import Step
    from impasto.recipe import Recipe, load_recipe

_HOMES = {
    "ImageError": "impasto.errors",
    "ImpastoError": "impasto.errors",
    "InputError": "impasto.errors",
    "LimitError": "impasto.errors",
    "Picture": "impasto.media.picture",
    "Recipe": "impasto.recipe",
    "RecipeError": "impasto.errors",
    "Refined": "impasto._refine",
    "ResourceError": "impasto.errors",
    "Result": "impasto._stylize",
    "Step": "impasto.optimize.step",
    "Stylizer": "impasto.optimize.loop",
    "WeightsError": "impasto.errors",
    "load_recipe": "impasto.recipe",
    "read_picture": "impasto.media.decode",
    "refine": "impasto._refine",
    "stylize": "impasto._stylize",
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
    "Step",
    "Stylizer",
    "WeightsError",
    "__version__",
    "load_recipe",
    "read_picture",
    "refine",
    "stylize",
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
