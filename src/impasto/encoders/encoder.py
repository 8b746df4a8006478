"""Define what an encoder is, and its entry in the registry. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from impasto.encoders.weight_sources import WeightSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIXELS = "pixels"
"""Name of the picture itself among its features."""


class Encoder(Protocol):
    """A frozen network with named layers. Gradients flow only to the picture.

    Every encoder takes RGB in [0, 1] and applies the input convention of its weights itself.
    """

    @property
    def device(self) -> torch.device:
        """Where it computes; pictures must be on it."""

    @property
    def cell(self) -> int:
        """Pixels per side that one feature of its deepest layer stands for."""

    @property
    def halo(self) -> int:
        """Pixels around its own cell that can affect a feature of the deepest layer."""

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Compute features.

        Args:
            image: [N, 3, H, W] RGB in [0, 1].

        Returns:
            ``{layer: [N, C, h, w]}`` for every layer that was asked for.

        Raises:
            LimitError: the image is too small for a layer.
        """


@dataclass(frozen=True)
class EncoderRequest:
    """What an encoder is loaded for.

    Attributes:
        taps: layers whose features are needed, by their canonical names.
        pooling: how it halves its resolution: ``max`` or ``average``.
        padding: padding of the first layer: ``zeros`` or ``replicate``.
        weights: weights file. None: the first source that is present.
        device: device that it runs on.
    """

    taps: tuple[str, ...]
    pooling: str = "max"
    padding: str = "zeros"
    weights: Path | None = None
    device: str | torch.device = "cpu"


@dataclass(frozen=True)
class LayerShape:
    """What the features of a layer look like.

    Attributes:
        cell: pixels per side that one feature stands for: a power of two.
        channels: numbers per feature.
    """

    cell: int
    channels: int


@dataclass(frozen=True)
class EncoderMemory:
    """What an encoder needs at work, in bytes; measured with all layers of a usual recipe.

    Attributes:
        activations: what is kept for the gradient, per pixel, by precision.
        forward: a pass without a gradient, per pixel.
        weighted: in addition with masks, per pixel: the widest features at full size, weighted.
        fixed: what does not depend on the size.
    """

    activations: Mapping[str, int]
    forward: int
    weighted: int
    fixed: int


@dataclass(frozen=True)
class EncoderEntry:
    """One encoder that a recipe can name.

    Attributes:
        name: its name in ``encoder.network``.
        layers: its layers by their canonical names, from the input to the deepest. A name that two
            encoders share means the same cell and the same number of channels.
        naming: the names of its layers in words, for error messages.
        load: loads it.
        locate_weights: returns the weights file that a run loads, given the one that was asked for
            or None; the record of a picture has its hash. None: it reads no file.
        memory: what it needs at work.
        shortest: shortest side of a picture in pixels.
        canonicalize: returns the canonical name of a layer in another spelling. None: it is no
            layer of this encoder.
        sources: official weight files; each names its network.
    """

    name: str
    layers: Mapping[str, LayerShape]
    naming: str
    load: Callable[[EncoderRequest], Encoder]
    locate_weights: Callable[[Path | None], Path | None]
    memory: EncoderMemory
    shortest: int = 16
    canonicalize: Callable[[str], str | None] = lambda name: None  # noqa: ARG005
    sources: tuple[WeightSource, ...] = ()
