"""The tables of a recipe: each a frozen, validated choice of one part of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from impasto.encoders.layers import canonical_layer


class RecipeTable(BaseModel):
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
Unit = Annotated[float, Field(ge=0, le=1)]


class EngineChoice(RecipeTable):
    """What makes the picture."""

    kind: Literal["optimizer", "network", "magenta"] = "optimizer"
    """The optimizer, or in one pass a network of ours (:mod:`impasto.network`), which heeds sizes,
    colors, strengths, weights, masks and ``style.scale``, all else being the optimizer's; or
    Magenta's (:mod:`impasto.network.magenta`), which knows neither weights nor ``style.scale``."""
    file: str | None = None
    """The network's, a path; none: the one that impasto comes with."""

    @model_validator(mode="after")
    def _file_is_a_networks(self) -> EngineChoice:
        if self.file is not None and self.kind != "network":
            raise ValueError('engine.file goes with engine.kind "network"')
        return self


class EncoderChoice(RecipeTable):
    """Which network looks at the pictures, and how."""

    network: Literal["vgg19", "vgg16"] = "vgg19"
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zeros", "replicate"] = "zeros"
    """At the border of the first layer; replicate keeps frames from growing along the edges."""
    activation_scale: Positive = 1.0
    """Multiplies every activation. Tutorials written for torchvision's weights state their loss
    weights for inputs in standard deviations; 1/57.6 brings the Caffe weights' activations, made
    for inputs in 8-bit levels, to that unit."""


class ContentChoice(RecipeTable):
    """Features, or which of their places look alike, kept near those of the photo."""

    kind: Literal["features", "self_similarity"] = "features"
    """Squared differences of features, or of the distances between them on a grid
    (:mod:`impasto.objective.losses.self_similarity`), which leaves the colors free, is relative
    to the
    photo and knows no ``normalization``."""
    structure: NonNegative = 0.0
    """Weight of the second beside the first, relative to its; ``features`` only."""
    weight: NonNegative = 1.0
    layers: Layers = Field(default={"relu4_2": 1.0}, validate_default=True)
    normalization: Literal["mean", "sum", "half_sum", "paper", "relative"] = "mean"


class StyleChoice(RecipeTable):
    """Statistics of features, kept near those of the painting(s)."""

    weight: NonNegative = 1.0
    layers: Layers = Field(
        default={f"relu{block}_1": 0.2 for block in range(1, 6)}, validate_default=True
    )
    distance: Literal[
        "gram", "bures", "wasserstein", "covariance", "mean_std", "remd", "neighbors"
    ] = "gram"
    """Of Gram matrices, as in the tutorials; of Gaussians, to second order
    (:mod:`impasto.objective.losses.bures`) or exactly
    (:mod:`impasto.objective.losses.wasserstein`); of means and
    covariances; of means and standard deviations; the relaxed earth mover's of sampled features
    with that of means and covariances (:mod:`impasto.objective.losses.earth_mover`); or of features
    themselves, place by place (:mod:`impasto.objective.losses.nearest`). All but the first are
    relative
    to the painting and know no ``gram`` and ``normalization``."""
    cost: Literal["cosine", "euclidean"] = "cosine"
    """Of moving a feature onto another, for ``remd``."""
    gram: Literal["hw", "chw"] = "hw"
    normalization: Literal["mean", "sum", "paper", "relative"] = "mean"
    scale: Annotated[float, Field(ge=0.1, le=8)] = 1.0
    """Size of the painting relative to the result, as a ratio of the square roots of their
    areas: above 1 the strokes grow, below 1 they shrink."""
    weights: tuple[NonNegative, ...] = ()
    """One for each painting, normalized to sum to 1; empty means equal."""
    strengths: tuple[Unit, ...] = ()
    """One for each painting, times the recipe's own; empty means 1."""

    @model_validator(mode="after")
    def _some_weight(self) -> StyleChoice:
        if self.weights and sum(self.weights) == 0:
            raise ValueError("at least one painting needs a weight above 0")
        return self


class PaletteChoice(RecipeTable):
    """Colors, kept near those of the painting(s): :mod:`impasto.objective.losses.palette`."""

    weight: NonNegative = 0.0


class NeighborChoice(RecipeTable):
    """How ``style.distance = "neighbors"`` finds them: in all paintings together, or in each by
    itself where paintings have weights, strengths or regions of their own."""

    photo_share: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Of the photo in what neighbors are sought for; the rest is the picture so far."""
    rotations: bool = True
    """Whether the painting is also looked through turned by 90, 180 and 270 degrees."""


class SmoothnessChoice(RecipeTable):
    """Total variation of the picture in [0, 1]."""

    weight: NonNegative = 0.0
    kind: Literal["l1", "l2"] = "l2"


class PhotorealismChoice(RecipeTable):
    """The photo's matting Laplacian (:mod:`impasto.objective.losses.matting`): color and light may
    change, patch by patch, structure may not."""

    weight: NonNegative = 0.0
    """Of the energy of a pixel."""
    filter: Annotated[float, Field(ge=0, le=0.25)] = 0.0
    """Radius of the guided filter that the finished picture passes, guided by the photo, as a share
    of the longer side; 0: none. Losses are those before it."""
    epsilon: Positive = 1e-4
    """Of the guided filter: variance of the photo, in [0, 1], that counts as smooth."""


class TemporalChoice(RecipeTable):
    """Frames of a film, kept near those before (:mod:`impasto.objective.losses.temporal`)."""

    weight: NonNegative = 0.0


class StartChoice(RecipeTable):
    """The picture the optimizer begins with: ``(1 - noise_ratio) * base + noise_ratio * noise``."""

    base: Literal["content", "style", "image", "draft"] = "content"
    """The photo, the first painting, a picture, or what the one-pass network makes of the photo."""
    image: str | None = None
    """A path, for ``base = "image"``."""
    noise_ratio: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise: Literal["uniform", "normal"] = "uniform"
    noise_center: Annotated[float, Field(ge=0, le=1)] | Literal["mean"] = 0.5
    """Mid-gray by default; ``"mean"`` is the mean color of ImageNet, VGG's own zero."""
    noise_amplitude: NonNegative = 0.5
    """Half the range of uniform noise, or the standard deviation of normal noise."""

    @model_validator(mode="after")
    def _image_has_a_path(self) -> StartChoice:
        if (self.base == "image") != (self.image is not None):
            raise ValueError('start.base = "image" and start.image = PATH go together')
        return self


class CanvasChoice(RecipeTable):
    """What the solver moves."""

    kind: Literal["pixels", "laplacian"] = "pixels"
    """The pixels themselves, or the coefficients of a Laplacian pyramid of the picture
    (:mod:`impasto.canvas.pyramid`), which only Adam moves, in memory."""
    levels: Annotated[int, Field(ge=1, le=12)] = 5
    """How often the pyramid halves the picture."""


class Schedule(RecipeTable):
    """Scales from coarse to fine, each begun from the last one's picture."""

    coarsest: Annotated[int, Field(ge=16)] | None = None
    """Longer side of the first scale in pixels; none: one scale only, the full size."""
    factor: Annotated[float, Field(gt=1, le=4)] = 2.0
    """Ratio of the sides of neighboring scales."""
    iterations: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """At the scale whose longer side is ``at``."""
    at: Annotated[int, Field(ge=16)] | None = None
    """Pixels; none: at the finest scale, whatever its size. With a size of their own, the scales of
    a large picture are those of a small one and then some, and end up looking like it."""
    growth: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Each coarser scale has this many times the iterations of the next finer one..."""
    most: Annotated[int, Field(ge=1)] = 1_000_000
    """...and never more than this..."""
    fewest: Annotated[int, Field(ge=1)] = 1
    """...nor less than this."""
    detail: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much of the photo's detail that the coarser scale could not show is added when a scale
    begins."""
    refine: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Iterations of one more pass at the finest size. With ``style.distance = "neighbors"`` every
    layer then has neighbors of its own, sought anew in each iteration."""
    total: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """If set, the scales' iterations are stretched or shrunk to sum to this."""
    until: Literal["iterations", "converged"] = "iterations"
    """Converged: a scale ends early once ten iterations have lowered the loss by less than
    ``tolerance``."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """As a share of the loss."""
    carry: bool = False
    """Whether a scale begins with what the solver learned at the one before: Adam's moments, the
    curvature pairs of bounded L-BFGS, rescaled as gradients are."""


class SolverChoice(RecipeTable):
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
