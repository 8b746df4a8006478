"""The recipe: every choice of a run in one frozen, validated object.

The command line's flags, the Python keyword arguments, the TOML files in ``recipes/`` and the
metadata inside a finished picture are all this one object. Units: sides in pixels, learning rates
in 8-bit levels a step (so that "Adam 5.0" reads as the tutorials print it), everything else on
pictures in [0, 1].
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from impasto.encoders.layers import canonical_layer
from impasto.errors import RecipeError

VERSION = 1
"""Of the recipe's schema; a picture made by a newer impasto is refused by name."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _canonical(layers: dict[str, float]) -> dict[str, float]:
    canonical: dict[str, float] = {}
    for spelling, weight in layers.items():
        name = canonical_layer(spelling)
        if name in canonical:
            raise ValueError(f"{name} has two weights, one of them as {spelling!r}")
        canonical[name] = weight
    return canonical


Layers = Annotated[
    dict[str, Annotated[float, Field(ge=0)]], AfterValidator(_canonical), Field(min_length=1)
]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class EncoderChoice(_Table):
    """Which network looks at the pictures, and how."""

    network: Literal["vgg19", "vgg16"] = "vgg19"
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zeros", "replicate"] = "zeros"
    """At the border of the first layer; replicate keeps frames from growing along the edges."""
    activation_scale: Positive = 1.0
    """Multiplies every activation. Tutorials written for torchvision's weights state their loss
    weights for inputs in standard deviations; 1/57.6 brings the Caffe weights' activations, made
    for inputs in 8-bit levels, to that unit."""


class ContentTerm(_Table):
    """Mean squared difference of features, kept near those of the photo."""

    weight: NonNegative = 1.0
    layers: Layers = Field(default={"relu4_2": 1.0}, validate_default=True)
    normalization: Literal["mean", "sum", "half_sum", "paper", "relative"] = "mean"


class StyleTerm(_Table):
    """Statistics of features, kept near those of the painting(s)."""

    weight: NonNegative = 1.0
    layers: Layers = Field(
        default={f"relu{block}_1": 0.2 for block in range(1, 6)}, validate_default=True
    )
    distance: Literal["gram", "bures"] = "gram"
    """Of Gram matrices, as in the tutorials, or of Gaussians (:mod:`impasto.objective.bures`),
    which is relative to the painting and knows no ``gram`` and ``normalization``."""
    gram: Literal["hw", "chw"] = "hw"
    normalization: Literal["mean", "sum", "paper", "relative"] = "mean"
    scale: Annotated[float, Field(ge=0.1, le=8)] = 1.0
    """Size of the painting relative to the result, as a ratio of the square roots of their
    areas: above 1 the strokes grow, below 1 they shrink."""
    weights: tuple[NonNegative, ...] = ()
    """One for each painting, normalised to sum to 1; empty means equal."""

    @model_validator(mode="after")
    def _some_weight(self) -> StyleTerm:
        if self.weights and sum(self.weights) == 0:
            raise ValueError("at least one painting needs a weight above 0")
        return self


class SmoothnessTerm(_Table):
    """Total variation of the picture in [0, 1]."""

    weight: NonNegative = 0.0
    kind: Literal["l1", "l2"] = "l2"


class Start(_Table):
    """The picture the optimiser begins with: ``(1 - noise_ratio) * base + noise_ratio * noise``."""

    base: Literal["content", "style", "image"] = "content"
    image: str | None = None
    """A path, for ``base = "image"``."""
    noise_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise: Literal["uniform", "normal"] = "uniform"
    noise_center: Annotated[float, Field(ge=0, le=1)] | Literal["mean"] = 0.5
    """Mid-grey by default; ``"mean"`` is the mean colour of ImageNet, VGG's own zero."""
    noise_amplitude: NonNegative = 0.5
    """Half the range of uniform noise, or the standard deviation of normal noise."""

    @model_validator(mode="after")
    def _image_has_a_path(self) -> Start:
        if (self.base == "image") != (self.image is not None):
            raise ValueError('start.base = "image" and start.image = PATH go together')
        return self


class Schedule(_Table):
    """Scales from coarse to fine, each begun from the last one's picture."""

    coarsest: Annotated[int, Field(ge=16)] | None = None
    """Longer side of the first scale in pixels; none: one scale only, the full size."""
    factor: Annotated[float, Field(gt=1, le=4)] = 2.0
    """Ratio of the sides of neighbouring scales."""
    iterations: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """At the finest scale."""
    growth: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Each coarser scale has this many times the iterations of the next finer one..."""
    most: Annotated[int, Field(ge=1)] = 1_000_000
    """...and never more than this."""
    detail: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much of the photo's detail that the coarser scale could not show is added when a scale
    begins."""
    total: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """If set, the scales' iterations are stretched or shrunk to sum to this."""


class Solver(_Table):
    """How the canvas follows its gradient."""

    kind: Literal["adam", "lbfgs", "lbfgsb", "bounded"] = "adam"
    learning_rate: Positive = 5.0
    """Adam: 8-bit levels a step. L-BFGS: the step length tried first. L-BFGS-B finds its own."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    decay_every: Annotated[int, Field(ge=1)] = 1
    """The learning rate is multiplied by ``decay`` once every so many iterations of a scale,
    smoothly in between."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Positive = 1e-8
    """Adam's, for gradients per 8-bit level, as the tutorials' pictures in 0..255 have them."""
    clip_gradient: Positive | None = None
    """Largest 2-norm of the gradient; none: unclipped."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the running average of Adam's iterates that becomes the picture; 0: the last."""
    history: Annotated[int, Field(ge=1, le=200)] = 10
    octaves: Annotated[int, Field(ge=0, le=6)] = 0
    """Bounded L-BFGS first trusts structure this many octaves coarser than a pixel."""
    restart_every: Annotated[int, Field(ge=2)] = 20
    """L-BFGS-B forgets its curvature after so many evaluations, or a few more: SciPy finishes the
    line search it is in."""


def _readable(version: object) -> object:
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"this recipe has version {version}, made by a newer impasto; "
            f"this one reads version {VERSION}"
        )
    return version


class Recipe(_Table):
    """One run of impasto, complete but for the pictures."""

    version: Annotated[Literal[1], BeforeValidator(_readable)] = 1
    name: str = "custom"
    description: str = ""
    size: Annotated[int, Field(ge=16, le=65_535)] | None = None
    """Longer side of the result in pixels; none: the photo's own, bounded by the device."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the convolutions; losses are always float32."""
    snapshot_every: Annotated[int, Field(ge=1)] | None = None
    """Iterations between snapshots, where snapshots are asked for."""
    encoder: EncoderChoice = EncoderChoice()
    content: ContentTerm = ContentTerm()
    style: StyleTerm = StyleTerm()
    smoothness: SmoothnessTerm = SmoothnessTerm()
    start: Start = Start()
    schedule: Schedule = Schedule()
    solver: Solver = Solver()

    def with_changes(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with fields replaced; dotted keys reach into tables (``"style.scale"``).

        Raises:
            RecipeError: an unknown field, or a value out of its range.
        """
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            *tables, field = key.split(".")
            target: Any = data
            for table in tables:
                target = target.get(table)
                if not isinstance(target, dict):
                    raise RecipeError(f"recipe {self.name!r} has no field {key!r}")
            target[field] = value
        return _validated(data, self.name)

    def to_json(self) -> str:
        """One line of JSON that :func:`parse_recipe` reads back to an equal recipe."""
        return self.model_dump_json()


def parse_recipe(text: str) -> Recipe:
    """A recipe from its JSON form, as found inside a picture.

    Raises:
        RecipeError: not JSON, an unknown field, a value out of range, or a newer version.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise RecipeError(_first_complaint(error, "the recipe")) from None


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes, sorted by name."""
    folder = resources.files("impasto") / "recipes"
    return tuple(
        sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))
    )


def recipe_text(name: str) -> str:
    """The TOML of a shipped recipe, comments included.

    Raises:
        RecipeError: no shipped recipe has this name.
    """
    if name not in recipe_names():
        raise RecipeError(
            f"no recipe {name!r}; there are {', '.join(recipe_names())}, "
            "or give the path of a .toml file"
        )
    return (resources.files("impasto") / "recipes" / f"{name}.toml").read_text("utf-8")


def load_recipe(source: str | Path) -> Recipe:
    """A recipe by its shipped name, or from a TOML file of the user's.

    A file may begin with ``base = "standard"`` (any shipped name) and then hold changes only.

    Raises:
        RecipeError: no such recipe or file, not TOML, an unknown field, or a bad value.
    """
    path = Path(source)
    if path.suffix != ".toml":
        return _from_toml(recipe_text(str(source)), str(source))
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise RecipeError(f"cannot read recipe {path}: {reason}") from None
    return _from_toml(text, path.stem)


def _from_toml(text: str, name: str) -> Recipe:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of 4300 digits
        raise RecipeError(f"recipe {name!r} is not valid TOML: {error}") from None
    base = data.pop("base", None)
    if base is not None:
        if base not in recipe_names():
            raise RecipeError(
                f"recipe {name!r}: base must be a shipped recipe, one of "
                f"{', '.join(recipe_names())} (got {_shown(base)})"
            )
        data = _overlaid(load_recipe(base).model_dump(mode="json"), data)
    return _validated({**data, "name": name}, name)


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merge = isinstance(value, dict) and isinstance(inner, dict) and key != "layers"
        merged[key] = _overlaid(inner, value) if merge and isinstance(inner, dict) else value
    return merged


def _validated(data: dict[str, Any], name: str) -> Recipe:
    try:
        return Recipe.model_validate_json(_to_json(data))
    except ValidationError as error:
        raise RecipeError(_first_complaint(error, f"recipe {name!r}")) from None


def _to_json(data: dict[str, Any]) -> str:
    import json

    try:
        return json.dumps(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecipeError(f"a recipe holds numbers, text and tables only: {error}") from None


def _first_complaint(error: ValidationError, what: str) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "no such field"
    return f"{what}: {where + ': ' if where else ''}{message} (got {_shown(first['input'])})"


def _shown(value: object) -> str:
    try:
        return repr(str(value)[:60])
    except (ValueError, RecursionError):  # a number of thousands of digits, a list as deep
        return f"a {type(value).__name__} too large to show"
