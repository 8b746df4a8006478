"""Define the tables of a recipe: each is a frozen, validated choice of one part of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

from impasto.encoders.encoder_registry import ENCODERS, canonicalize_layer
from impasto.recipe.engine_registry import find_engine, is_registered, list_engines


class RecipeTable(BaseModel):
    """Base of the recipe and its tables: frozen, without unknown fields, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _use_canonical_names(layers: dict[str, float]) -> dict[str, float]:
    canonical: dict[str, float] = {}
    for spelling, weight in layers.items():
        name = canonicalize_layer(spelling)
        if name in canonical:
            raise ValueError(f"{name} has two weights, one of them as {spelling!r}")
        canonical[name] = weight
    return canonical


Layers = Annotated[
    dict[str, Annotated[float, Field(ge=0)]],
    AfterValidator(_use_canonical_names),
    Field(min_length=1),
]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Unit = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class RegisteredName:
    """Validates and documents a name as a ``Literal`` does, with what is registered at that time.

    Attributes:
        is_registered: tells whether a name is registered.
        list_names: lists the registered names.
    """

    is_registered: Callable[[object], bool]
    list_names: Callable[[], Sequence[str]]

    def __get_pydantic_core_schema__(
        self, source: type[str], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(core_schema), "enum": [*self.list_names()]}

    def _check(self, name: object) -> object:
        if not self.is_registered(name):
            *first, last = map(repr, self.list_names())
            expected = f"{', '.join(first)} or {last}" if first else last
            raise PydanticKnownError("literal_error", {"expected": expected})
        return name


EngineName = Annotated[
    str, RegisteredName(is_registered, lambda: [entry.name for entry in list_engines()])
]
EncoderName = Annotated[str, RegisteredName(ENCODERS.__contains__, lambda: [*ENCODERS])]


class EngineChoice(RecipeTable):
    """The engine that makes the picture."""

    kind: EngineName = "optimizer"
    """Name of a registered engine, see :mod:`impasto.recipe.engine_registry`."""
    file: str | None = None
    """Path of the network's file. None: the network that comes with impasto."""

    @model_validator(mode="after")
    def _check_file(self) -> EngineChoice:
        if self.file is not None and find_engine(self.kind).locate_network is None:
            able = (entry.name for entry in list_engines() if entry.locate_network is not None)
            kinds = " or ".join(f'"{name}"' for name in able)
            raise ValueError(f"engine.file requires engine.kind {kinds}")
        return self


class EncoderChoice(RecipeTable):
    """The network whose features the losses compare."""

    network: EncoderName = "vgg19"
    """Name of a registered encoder, see :mod:`impasto.encoders.encoder_registry`."""
    pooling: Literal["max", "average"] = "max"
    """How the network halves its resolution."""
    padding: Literal["zeros", "replicate"] = "zeros"
    """Padding of the first layer. ``replicate`` prevents frames from growing along the edges."""
    activation_scale: Positive = 1.0
    """Factor on every activation. Tutorials written for torchvision's weights state their loss
    weights for inputs in standard deviations. A factor of 1/57.6 converts activations of the Caffe
    weights, which expect inputs in 8-bit levels, to that unit."""


class ContentChoice(RecipeTable):
    """The content loss, which keeps the result close to the photo."""

    kind: Literal["features", "self_similarity"] = "features"
    """``features`` compares features by their squared differences. ``self_similarity`` compares the
    distances between features on a grid (:mod:`impasto.objective.losses.self_similarity`): it
    leaves the colors free, is relative to the photo, and ignores ``normalization``."""
    structure: NonNegative = 0.0
    """Weight of an additional self-similarity loss, relative to the weight of the features. Only
    for ``kind = "features"``."""
    weight: NonNegative = 1.0
    """Weight of the content loss."""
    layers: Layers = Field(default={"relu4_2": 1.0}, validate_default=True)
    """Weight of each layer, by its name."""
    normalization: Literal["mean", "sum", "half_sum", "paper", "relative"] = "mean"
    """What the squared differences of a layer are divided by, see
    :func:`impasto.objective.losses.content.content_loss`."""


class StyleChoice(RecipeTable):
    """The style loss, which brings statistics of the result close to those of the paintings."""

    weight: NonNegative = 1.0
    """Weight of the style loss."""
    layers: Layers = Field(
        default={f"relu{block}_1": 0.2 for block in range(1, 6)}, validate_default=True
    )
    """Weight of each layer, by its name."""
    distance: Literal[
        "gram", "bures", "wasserstein", "covariance", "mean_std", "remd", "neighbors"
    ] = "gram"
    """What is compared. ``gram``: Gram matrices, as in the tutorials. ``bures``: Gaussians, by the
    Wasserstein-2 distance to second order (:mod:`impasto.objective.losses.bures`).
    ``wasserstein``: Gaussians, by the exact distance
    (:mod:`impasto.objective.losses.wasserstein`). ``covariance``: means and covariances.
    ``mean_std``: means and standard deviations. ``remd``: sampled features, by the relaxed earth
    mover's distance, together with means and covariances
    (:mod:`impasto.objective.losses.earth_mover`). ``neighbors``: each feature with the most similar
    feature of the paintings (:mod:`impasto.objective.losses.neighbor_matching`). All but ``gram``
    are relative to the painting and ignore ``gram`` and ``normalization``."""
    cost: Literal["cosine", "euclidean"] = "cosine"
    """Distance between two features for ``distance = "remd"``."""
    gram: Literal["hw", "chw"] = "hw"
    """What a Gram matrix is divided by: the number of positions, or of all values of the layer."""
    normalization: Literal["mean", "sum", "paper", "relative"] = "mean"
    """What the squared differences of Gram matrices are divided by, see
    :func:`impasto.objective.losses.gram.gram_loss`."""
    scale: Annotated[float, Field(ge=0.1, le=8)] = 1.0
    """Size of the painting relative to the result, as a ratio of the square roots of their areas.
    Values above 1 make strokes larger, values below 1 make them finer."""
    weights: tuple[NonNegative, ...] = ()
    """Weight of each painting. They are scaled to sum to 1. Empty: all are equal."""
    strengths: tuple[Unit, ...] = ()
    """Strength of each painting, multiplied by the recipe's ``strength``. Empty: 1 for each."""

    @model_validator(mode="after")
    def _check_weights(self) -> StyleChoice:
        if self.weights and sum(self.weights) == 0:
            raise ValueError("at least one painting needs a weight above 0")
        return self


class PaletteChoice(RecipeTable):
    """The palette loss, which brings colors close to those of the paintings.

    See :mod:`impasto.objective.losses.palette`.
    """

    weight: NonNegative = 0.0
    """Weight of the palette loss."""


class NeighborChoice(RecipeTable):
    """How ``style.distance = "neighbors"`` finds neighbors.

    It searches all paintings together, or each by itself where paintings have weights, strengths or
    regions of their own.
    """

    photo_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the photo in the features that are looked up. The rest is the current picture."""
    rotations: bool = True
    """Whether paintings are also searched rotated by 90, 180 and 270 degrees."""


class SmoothnessChoice(RecipeTable):
    """The total variation loss, on the picture in [0, 1]."""

    weight: NonNegative = 0.0
    """Weight of the total variation."""
    kind: Literal["l1", "l2"] = "l2"
    """Whether differences of neighboring pixels count by their size or by their square."""


class PhotorealismChoice(RecipeTable):
    """The photorealism loss, which changes color and light patch by patch but not the structure.

    It is based on the photo's matting Laplacian (:mod:`impasto.objective.losses.matting`).
    """

    weight: NonNegative = 0.0
    """Weight of the energy of one pixel."""
    filter: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """Radius of a guided filter on the finished picture, with the photo as its guide, as a share of
    the longer side. 0: no filter. Losses are reported for the picture before the filter."""
    epsilon: Positive = 1e-4
    """Variance of the photo, in [0, 1], below which the guided filter treats it as smooth."""


class TemporalChoice(RecipeTable):
    """The temporal loss, which keeps a film's frame close to the frames before it.

    See :mod:`impasto.objective.losses.temporal`.
    """

    weight: NonNegative = 0.0
    """Weight of the temporal loss."""


class StartChoice(RecipeTable):
    """The picture that the optimizer starts from.

    It is ``(1 - noise_ratio) * base + noise_ratio * noise``.
    """

    base: Literal["content", "style", "image", "draft"] = "content"
    """``content``: the photo. ``style``: the first painting. ``image``: a picture of your own.
    ``draft``: what the one-pass network makes of the photo."""
    image: str | None = None
    """Path of the picture for ``base = "image"``."""
    noise_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of noise in the starting picture."""
    noise: Literal["uniform", "normal"] = "uniform"
    """Distribution of the noise."""
    noise_center: Annotated[float, Field(ge=0, le=1)] | Literal["mean"] = 0.5
    """Mean of the noise, mid-gray by default. ``mean``: the mean color of ImageNet, which VGG
    subtracts from its input."""
    noise_amplitude: NonNegative = 0.5
    """Half the range of uniform noise, or the standard deviation of normal noise."""

    @model_validator(mode="after")
    def _check_image(self) -> StartChoice:
        if (self.base == "image") != (self.image is not None):
            raise ValueError('start.base = "image" and start.image = PATH require each other')
        return self


class CanvasChoice(RecipeTable):
    """The parameters of the picture that the solver changes."""

    kind: Literal["pixels", "laplacian"] = "pixels"
    """``pixels``: the pixels themselves. ``laplacian``: the coefficients of a Laplacian pyramid
    (:mod:`impasto.canvas.pyramid`), which requires Adam and keeps its state in memory."""
    levels: Annotated[int, Field(ge=1, le=12)] = 5
    """How many times the pyramid halves the picture."""


class Schedule(RecipeTable):
    """The scales of a run, from coarse to fine. Each starts from the result of the last."""

    coarsest: Annotated[int, Field(ge=16)] | None = None
    """Longer side of the first scale in pixels. None: a single scale at full size."""
    factor: Annotated[float, Field(gt=1, le=4)] = 2.0
    """Ratio of the sides of neighboring scales."""
    iterations: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Iterations of the scale whose longer side is ``at``."""
    at: Annotated[int, Field(ge=16)] | None = None
    """Longer side in pixels of the scale that ``iterations`` refers to. None: the finest scale.
    With a fixed number, a large picture repeats the scales of a small one and adds finer ones, so
    both look alike."""
    growth: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Ratio of a scale's iterations to those of the next finer scale."""
    most: Annotated[int, Field(ge=1)] = 1_000_000
    """Largest number of iterations of a scale."""
    fewest: Annotated[int, Field(ge=1)] = 1
    """Smallest number of iterations of a scale."""
    detail: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the photo's finer detail that is added when a scale starts."""
    refine: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Iterations of a second pass at full size. With ``style.distance = "neighbors"``, every layer
    then has its own neighbors, which are searched anew in each iteration."""
    total: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Sum to which the iterations of all scales are scaled. None: they stay as they are."""
    until: Literal["iterations", "converged"] = "iterations"
    """``converged`` ends a scale early when ten iterations lower the loss by less than
    ``tolerance``."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Share of the loss for ``until = "converged"``."""
    carry: bool = False
    """Whether a scale starts with what the solver learned at the previous one: Adam's moments, or
    the curvature pairs of bounded L-BFGS, rescaled like gradients."""


class SolverChoice(RecipeTable):
    """The algorithm that changes the canvas along its gradient."""

    kind: Literal["adam", "lbfgs", "lbfgsb", "bounded"] = "adam"
    """``adam``: Adam. ``lbfgs``: PyTorch's L-BFGS. ``lbfgsb``: SciPy's L-BFGS-B. ``bounded``:
    impasto's L-BFGS within the canvas's bounds."""
    learning_rate: Positive = 5.0
    """Adam: 8-bit levels per step. L-BFGS: the first step length to try. L-BFGS-B: unused."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the learning rate for every ``decay_every`` iterations of a scale."""
    decay_every: Annotated[int, Field(ge=1)] = 1
    """Iterations in which the learning rate falls by ``decay``, smoothly."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's decay of the first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Adam's decay of the second moment."""
    epsilon: Positive = 1e-8
    """Adam's epsilon for gradients per 8-bit level, as in tutorials whose pictures are in
    [0, 255]."""
    clip_gradient: Positive | None = None
    """Largest 2-norm of the gradient. None: gradients are not clipped."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a running average of Adam's iterates, which becomes the result. 0: the last
    iterate."""
    history: Annotated[int, Field(ge=1, le=200)] = 10
    """Curvature pairs that L-BFGS keeps."""
    octaves: Annotated[int, Field(ge=0, le=6)] = 0
    """How many octaves coarser than one pixel the structure may be that bounded L-BFGS prefers in
    its first guess of the curvature."""
    restart_every: Annotated[int, Field(ge=2)] = 20
    """Evaluations after which L-BFGS-B forgets its curvature. SciPy may add a few to finish a line
    search."""
