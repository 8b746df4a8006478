"""Start the optimizer from a picture that a network paints."""

from __future__ import annotations

from torch import Tensor

from impasto.engine.cache import EngineCache
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware
from impasto.network.painter.code_painter import CodePainter
from impasto.network.painting_network import PaintingNetwork, PaintRequest
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe.recipe import Recipe


class NetworkDraft:
    """A :class:`impasto.optimize.run_setup.Draft` by impasto's own network."""

    def __init__(self, recipe: Recipe, network: PaintingNetwork) -> None:
        """Note what to paint with.

        Args:
            recipe: the recipe of the optimizer.
            network: the network that paints.
        """
        self._recipe = recipe
        self.network = network

    def __call__(self, image: Tensor, inputs: Inputs) -> Tensor:
        """Repaint the photo; see :class:`impasto.optimize.run_setup.Draft`."""
        request = PaintRequest(inputs, self._recipe)
        return self.network.paint(image.cpu(), [request]).to(image)


def make_optimizer_engine(
    recipe: Recipe, hardware: Hardware, cache: EngineCache
) -> OptimizerEngine:
    """Make the engine of a recipe with ``engine.kind = "optimizer"``, and its draft if it has one.

    Raises:
        InputError: the scratch folder does not exist, or the memory limit is too small for any
            picture.
        WeightsError: weights are missing or damaged.
    """
    draft = None
    if recipe.start.base == "draft":
        painter = CodePainter.load(None, recipe.precision, hardware, cache)
        draft = NetworkDraft(recipe, painter)
    return OptimizerEngine(recipe, hardware, cache, draft)
