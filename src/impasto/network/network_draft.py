"""The network's picture, for the optimizer to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from impasto.engine.device import autocast_dtype, resolve_device
from impasto.engine.regions import Regions
from impasto.image.picture import Picture
from impasto.network.artist import Artist, Sitting, artist_for
from impasto.recipe.recipe import Recipe
from impasto.recipe.tables import EngineChoice


class NetworkDraft:
    """What impasto's own network makes of a photo; an :class:`impasto.engine.draft.Draft`."""

    def __init__(
        self,
        recipe: Recipe,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        like: NetworkDraft | None = None,
    ) -> None:
        """Load the network.

        Args:
            recipe: of the optimizer.
            device, weights: as of :class:`impasto.network.one_pass.OnePass`.
            like: another one, whose network is used too if it is the same.

        Raises:
            InputError, WeightsError: as of :class:`impasto.network.one_pass.OnePass`.
        """
        self._recipe = recipe
        on = resolve_device(device)
        autocast = autocast_dtype(recipe.precision, on)
        self._loaded = on, None if weights is None else Path(weights), autocast
        known = like is not None and like._loaded == self._loaded
        self._artist: Artist = (
            like._artist
            if like is not None and known
            else artist_for(EngineChoice(kind="network"), *self._loaded)
        )

    def __call__(
        self, image: Tensor, photo: Picture, paintings: Sequence[Picture], regions: Regions
    ) -> Tensor:
        """See :class:`impasto.engine.draft.Draft`."""
        sitting = Sitting(photo, paintings, regions, self._recipe)
        return self._artist.paint(image.cpu(), [sitting]).to(image)
