"""Define the objective of pictures in which a part of the photo is preserved."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.engine.machine.storage import Storage
from impasto.engine.regions import blend_images
from impasto.objective.evaluation import Objective


class PreservingObjective:
    """Evaluates pictures as they will look with the photo put back where it is preserved.

    Where all of the photo is preserved, the objective sees the photo, and the gradient is 0. A soft
    edge is applied only afterwards. If the objective saw it, the solver would compensate for the
    photo that shows through, and the edge would have a rim.
    """

    def __init__(
        self,
        objective: Objective,
        storage: Storage,
        photo: Tensor | None = None,
        preserved: Tensor | None = None,
    ) -> None:
        """Wrap an objective.

        Args:
            objective: an objective of pictures of the photo's size.
            storage: holds the pictures.
            photo: [1, 3, H, W] RGB in [0, 1].
            preserved: [H, W] in [0, 1], how much of the photo is preserved. None: none of it.
        """
        self._objective = objective
        self._storage = storage
        self._photo = photo
        self._preserved = preserved

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """See :meth:`impasto.objective.evaluation.Objective.evaluate`."""
        losses, gradient = self._objective.evaluate(self._hide(image))
        if self._preserved is not None:
            for rows in self._storage.split_rows(gradient):
                gradient[..., rows, :] *= self._preserved[rows].to(gradient) < 1
        return losses, gradient

    def compute_losses(self, image: Tensor) -> dict[str, float]:
        """Compute the losses of a picture into which the photo has been put back."""
        return self._objective.compute_losses(image)

    def restore(self, image: Tensor) -> Tensor:
        """Return a picture [1, 3, H, W] with the photo put back."""
        if self._photo is None or self._preserved is None:
            return image
        return blend_images(image, self._photo, self._preserved, self._storage)

    def _hide(self, image: Tensor) -> Tensor:
        """Put the photo back where all of it is preserved."""
        if self._photo is None or self._preserved is None:
            return image
        result = self._storage.like(image)
        for rows in self._storage.split_rows(image):
            here, photo = image[..., rows, :], self._photo[..., rows, :]
            hidden = self._preserved[rows].to(here.device) == 1
            torch.where(hidden, photo.to(here), here, out=result[..., rows, :])
        return result
