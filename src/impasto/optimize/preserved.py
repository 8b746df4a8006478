"""An objective of pictures in which the photo is kept in part."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.engine.regions import blend_images
from impasto.engine.storage import Storage
from impasto.optimize.recovery import ObjectiveLike


class Kept:
    """An objective of pictures in which the photo is kept in part.

    What is judged has the photo where all of it is kept, so that what the solver does to those
    pixels changes nothing, and the solver's own pixels elsewhere. A soft edge is laid over them
    afterwards: were it judged too, the solver would answer the photo that shines through with its
    complement, and the edge would have a rim.
    """

    def __init__(
        self,
        objective: ObjectiveLike,
        storage: Storage,
        photo: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> None:
        """Nothing is computed yet.

        Args:
            objective: of pictures like the photo.
            storage: of pictures.
            photo: [1, 3, H, W] RGB in [0, 1].
            kept: [H, W] in [0, 1], how much of it stays; none: nothing.
        """
        self._objective = objective
        self._storage = storage
        self._photo = photo
        self._kept = kept

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """As :class:`ObjectiveLike`."""
        losses, gradient = self._objective.evaluate(self._judged(image))
        if self._kept is not None:
            for rows in self._storage.split_rows(gradient):
                gradient[..., rows, :] *= self._kept[rows].to(gradient) < 1
        return losses, gradient

    def losses(self, image: Tensor) -> dict[str, float]:
        """Of a picture that has the photo in it already."""
        return self._objective.losses(image)

    def shown(self, image: Tensor) -> Tensor:
        """The picture [1, 3, H, W] with the photo in it."""
        if self._photo is None or self._kept is None:
            return image
        return blend_images(image, self._photo, self._kept, self._storage)

    def _judged(self, image: Tensor) -> Tensor:
        if self._photo is None or self._kept is None:
            return image
        result = self._storage.like(image)
        for rows in self._storage.split_rows(image):
            here, photo = image[..., rows, :], self._photo[..., rows, :]
            hidden = self._kept[rows].to(here.device) == 1
            torch.where(hidden, photo.to(here), here, out=result[..., rows, :])
        return result
