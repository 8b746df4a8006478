"""Name the layers of VGG, and compute their cell sizes and receptive fields.

Canonical names are those of the style transfer literature: ``relu4_2`` is the activation after the
ReLU of the second convolution of block four. ``conv4_2`` and Keras's ``block4_conv2`` are accepted
as well and mean the same activation, because Keras's convolution layers include their ReLU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from impasto.errors import RecipeError

Network = Literal["vgg16", "vgg19"]

BLOCK_CHANNELS = (64, 128, 256, 512, 512)
BLOCK_DEPTHS: dict[Network, tuple[int, ...]] = {
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
_SPELLING = re.compile(r"(?:relu|conv)(\d)_(\d)|block(\d)_conv(\d)")


@dataclass(frozen=True)
class Convolution:
    """A 3 x 3 convolution with its ReLU.

    Attributes:
        block, index: position in the network, both from 1, as in ``relu{block}_{index}``.
        inputs, outputs: numbers of channels.
    """

    block: int
    index: int
    inputs: int
    outputs: int

    @property
    def name(self) -> str:
        return f"relu{self.block}_{self.index}"

    @property
    def cell(self) -> int:
        """Pixels per side that a feature stands for: 1 in block one, 16 in block five."""
        return int(2 ** (self.block - 1))


def list_convolutions(network: Network) -> tuple[Convolution, ...]:
    """List the convolutions of a network, from the input to the deepest."""
    layers = []
    inputs = 3
    for block, depth in enumerate(BLOCK_DEPTHS[network], start=1):
        for index in range(1, depth + 1):
            outputs = BLOCK_CHANNELS[block - 1]
            layers.append(Convolution(block, index, inputs, outputs))
            inputs = outputs
    return tuple(layers)


def canonicalize_vgg_layer(name: str) -> str | None:
    """Return the canonical name, ``relu4_2``, of ``relu4_2``, ``conv4_2`` or ``block4_conv2``.

    None: VGG-19 has no such layer.
    """
    match = _SPELLING.fullmatch(name)
    if match:
        block, index = (int(part) for part in match.groups() if part)
        if 1 <= block <= 5 and 1 <= index <= BLOCK_DEPTHS["vgg19"][block - 1]:
            return f"relu{block}_{index}"
    return None


def select_layers(network: Network, taps: Iterable[str]) -> tuple[Convolution, ...]:
    """Return the convolutions up to the deepest tap, from the input on.

    Args:
        network: ``vgg16`` or ``vgg19``.
        taps: layers whose features are needed, in any accepted spelling.

    Raises:
        RecipeError: the network has no such layer, or there are no taps.
    """
    names = {canonicalize_vgg_layer(tap) or tap for tap in taps}
    layers = list_convolutions(network)
    order = [layer.name for layer in layers]
    missing = names.difference(order)
    if missing:
        raise RecipeError(
            f"has no layer {min(missing)}", what=network, expected=f"one of {', '.join(order)}"
        )
    if not names:
        raise RecipeError("has no layer to tap", what="the encoder", expected="at least one")
    return layers[: 1 + max(order.index(name) for name in names)]


def compute_receptive_radius(network: Network, layer: str) -> int:
    """Compute how many pixels beyond its own cell can affect a feature, on each side.

    A feature of ``relu1_1`` depends on one pixel around its own. Each convolution of block b adds a
    cell of that block, 2**(b-1) pixels.
    """
    radius = 0
    for convolution in select_layers(network, [layer]):
        radius += convolution.cell
    return radius
