"""The layers of VGG by name: which there are, how they are spelled, and where they lie.

Canonical names are those of the style transfer literature, ``relu4_2``: the activation after the
ReLU of the second convolution of block four. ``conv4_2`` and Keras's ``block4_conv2`` are accepted
spellings of the same tap, since Keras's convolution layers end with their ReLU.
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
PIXELS = "pixels"
"""The picture itself, among its features."""
_SPELLING = re.compile(r"(?:relu|conv)(\d)_(\d)|block(\d)_conv(\d)")


@dataclass(frozen=True)
class Convolution:
    """One 3 x 3 convolution with its ReLU.

    Attributes:
        block, index: both from 1, as in ``relu{block}_{index}``.
        inputs, outputs: channels.
    """

    block: int
    index: int
    inputs: int
    outputs: int

    @property
    def name(self) -> str:
        return f"relu{self.block}_{self.index}"


def convolutions(network: Network) -> tuple[Convolution, ...]:
    """The convolutions of a network in the order the data takes."""
    layers = []
    inputs = 3
    for block, depth in enumerate(BLOCK_DEPTHS[network], start=1):
        for index in range(1, depth + 1):
            outputs = BLOCK_CHANNELS[block - 1]
            layers.append(Convolution(block, index, inputs, outputs))
            inputs = outputs
    return tuple(layers)


def canonical_layer(name: str) -> str:
    """``relu4_2`` for ``relu4_2``, ``conv4_2`` or ``block4_conv2``.

    Raises:
        RecipeError: VGG-19 has no such layer.
    """
    match = _SPELLING.fullmatch(name)
    if match:
        block, index = (int(part) for part in match.groups() if part)
        if 1 <= block <= 5 and 1 <= index <= BLOCK_DEPTHS["vgg19"][block - 1]:
            return f"relu{block}_{index}"
    raise RecipeError(
        f"VGG has no layer {name!r}: use relu1_1 to relu5_4 "
        "(or conv1_1, block1_conv1; blocks 1 and 2 have two layers, the others four)"
    )


def layers_up_to(network: Network, taps: Iterable[str]) -> tuple[Convolution, ...]:
    """The convolutions needed to reach every tap; nothing deeper.

    Raises:
        RecipeError: the network has no such layer, or no tap is given.
    """
    wanted = {canonical_layer(tap) for tap in taps}
    layers = convolutions(network)
    names = [layer.name for layer in layers]
    missing = wanted.difference(names)
    if missing:
        raise RecipeError(f"{network} has no layer {min(missing)}; its layers: {', '.join(names)}")
    if not wanted:
        raise RecipeError("an encoder needs at least one layer to tap")
    return layers[: 1 + max(names.index(name) for name in wanted)]


def cell_of(layer: str) -> int:
    """Pixels a side that one feature of a layer stands for: 1 in block one, 16 in block five."""
    if layer == PIXELS:
        return 1
    return int(2 ** (int(canonical_layer(layer)[4]) - 1))


def receptive_radius(network: Network, layer: str) -> int:
    """How many pixels beyond a feature's own cell can reach it, on either side.

    ``relu1_1`` sees one pixel around its own; a feature of block b has a cell of 2**(b-1) pixels.
    """
    radius = 0
    for convolution in layers_up_to(network, [layer]):
        radius += 2 ** (convolution.block - 1)
    return radius
