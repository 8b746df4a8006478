"""Describe objectives before their targets are measured, as plain data in the passes of a run.

Whoever plans a run asks a description for its properties, never which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from impasto.encoders.encoder_registry import count_channels
from impasto.engine.plan import estimate_work
from impasto.engine.sizes import Scale
from impasto.errors import InputError
from impasto.objective.evaluation import FeatureExtractor
from impasto.objective.focused import Focus, FocusedObjective
from impasto.objective.losses.neighbor_matching import CELL
from impasto.objective.neighbors import NeighborObjective
from impasto.objective.terms import PassPictures
from impasto.objective.tiled import TiledObjective
from impasto.objective.views import Objective
from impasto.objective.whole import WholeObjective
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import StyleChoice


class ObjectiveSpec(ABC):
    """The description of an objective.

    Attributes:
        can_split: whether a picture can be worked on in tiles, or in some boxes only.
        depends_on_start: whether the targets depend on the picture that a pass starts from.
    """

    can_split: ClassVar[bool] = True
    depends_on_start: ClassVar[bool] = False

    @abstractmethod
    def build(
        self, extractor: FeatureExtractor, pictures: PassPictures, before: Objective | None = None
    ) -> Objective:
        """Measure the targets.

        Args:
            extractor: the encoder and the recipe.
            pictures: photo, paintings and masks, at the size of the pass.
            before: an objective with the same recipe, pictures and size. None: there is none.

        Raises:
            InputError: a style mask leaves too little of its painting.
        """

    def estimate_work(self, scale: Scale, halo: int) -> float:  # noqa: ARG002
        """Estimate the work of an iteration; see :func:`impasto.engine.plan.estimate_work`.

        Args:
            scale: the size of the picture.
            halo: width of a tile's halo in pixels.
        """
        return scale.width * scale.height

    def split(self, side: int) -> ObjectiveSpec:
        """Return the description of the same losses in tiles of a side in pixels."""
        return TiledSpec(side)

    def count_columns(self, style: StyleChoice) -> float:  # noqa: ARG002
        """Count the numbers per pixel in the hypercolumns that the objective keeps."""
        return 0.0


@dataclass(frozen=True)
class WholeSpec(ObjectiveSpec):
    """Describes a :class:`WholeObjective`."""

    def build(
        self, extractor: FeatureExtractor, pictures: PassPictures, before: Objective | None = None
    ) -> Objective:
        """See :meth:`ObjectiveSpec.build`."""
        if before is not None and before.whole is not None:
            return before.whole
        return WholeObjective(extractor, pictures)


@dataclass(frozen=True)
class TiledSpec(ObjectiveSpec):
    """Describes a :class:`TiledObjective`; ``side`` is the side of a tile in pixels."""

    side: int

    def build(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
        before: Objective | None = None,  # noqa: ARG002
    ) -> Objective:
        """See :meth:`ObjectiveSpec.build`."""
        return TiledObjective(extractor, pictures, side=self.side)

    def estimate_work(self, scale: Scale, halo: int) -> float:
        """See :meth:`ObjectiveSpec.estimate_work`."""
        return estimate_work(scale, self.side, halo)


@dataclass(frozen=True)
class FocusedSpec(ObjectiveSpec):
    """Describes a :class:`FocusedObjective`."""

    focus: Focus
    depends_on_start: ClassVar[bool] = True

    def build(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
        before: Objective | None = None,  # noqa: ARG002
    ) -> Objective:
        """See :meth:`ObjectiveSpec.build`."""
        start = pictures.photo if pictures.start is None else pictures.start
        return FocusedObjective(WholeObjective(extractor, pictures), start, self.focus)

    def estimate_work(self, scale: Scale, halo: int) -> float:
        """See :meth:`ObjectiveSpec.estimate_work`."""
        return self.focus.cost * super().estimate_work(scale, halo)


@dataclass(frozen=True)
class NeighborSpec(ObjectiveSpec):
    """Describes a :class:`NeighborObjective`; see there for ``per_layer``."""

    per_layer: bool = False
    can_split: ClassVar[bool] = False
    depends_on_start: ClassVar[bool] = True

    def build(
        self,
        extractor: FeatureExtractor,
        pictures: PassPictures,
        before: Objective | None = None,  # noqa: ARG002
    ) -> Objective:
        """See :meth:`ObjectiveSpec.build`."""
        return NeighborObjective(extractor, pictures, per_layer=self.per_layer)

    def split(self, side: int) -> ObjectiveSpec:  # noqa: ARG002
        """Return the same description: neighbors need the whole picture."""
        return self

    def count_columns(self, style: StyleChoice) -> float:
        """See :meth:`ObjectiveSpec.count_columns`."""
        return sum(count_channels(layer) for layer in style.layers) / CELL**2


def choose_objective(
    recipe: Recipe, focus: Focus | None = None, *, refines: bool = False
) -> ObjectiveSpec:
    """Choose the objective that a recipe asks for.

    Args:
        recipe: the recipe of the run.
        focus: the boxes that are worked on. None: the whole picture.
        refines: whether this is the second pass at the finest size.

    Raises:
        InputError: there is a focus, and the recipe needs the whole picture.
    """
    if recipe.style.distance == "neighbors":
        if focus is not None:
            raise InputError(
                '"neighbors" matches the whole frame; a focus is not possible',
                field="style.distance",
            )
        return NeighborSpec(per_layer=refines)
    return WholeSpec() if focus is None else FocusedSpec(focus)
