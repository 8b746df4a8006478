"""Define the part of a picture that a pass does not change."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.engine.machine.storage import Storage
from impasto.engine.regions import blend_images


class KeptPart:
    """A picture that shows where a mask says so.

    Where all of it shows, the objective sees it, and the gradient is 0. A soft edge is applied only
    afterwards: if the objective saw it, the solver would compensate for the picture that shows
    through, and the edge would have a rim.
    """

    def __init__(self, picture: Tensor, mask: Tensor, storage: Storage) -> None:
        """Keep a part of a picture.

        Args:
            picture: [1, 3, H, W] RGB in [0, 1].
            mask: [H, W] in [0, 1], how much of the picture shows.
            storage: holds the images that are made.
        """
        self._picture = picture
        self._mask = mask
        self._storage = storage

    def cover(self, image: Tensor) -> Tensor:
        """Return an image [1, 3, H, W] with the picture where all of it shows."""
        result = self._storage.like(image)
        for rows in self._storage.split_rows(image):
            here, picture = image[..., rows, :], self._picture[..., rows, :]
            covered = self._mask[rows].to(here.device) == 1
            torch.where(covered, picture.to(here), here, out=result[..., rows, :])
        return result

    def stop(self, gradient: Tensor) -> None:
        """Set a gradient [1, 3, H, W] to 0, in place, where all of the picture shows."""
        for rows in self._storage.split_rows(gradient):
            gradient[..., rows, :] *= self._mask[rows].to(gradient) < 1

    def blend(self, image: Tensor) -> Tensor:
        """Return an image [1, 3, H, W] with the picture blended in, soft edges included."""
        return blend_images(image, self._picture, self._mask, self._storage)
