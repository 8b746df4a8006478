"""Compute with parameters that may be on disk, a band of rows at a time.

L-BFGS works with two dozen vectors of the parameters' size. Each operation here reads and writes
one band of each vector at a time, so that no more than that needs to be in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from impasto.canvas.view import Parameters
from impasto.engine.machine.storage import Storage

Vector = Sequence[Tensor]


class Banded:
    """Operations on vectors: lists of tensors of equal shapes."""

    def __init__(self, storage: Storage) -> None:
        """Prepare operations whose new vectors are in a storage."""
        self._storage = storage

    def map(self, function: Callable[..., Tensor], *vectors: Vector) -> Parameters:
        """Return the vector whose bands are ``function(*bands)``."""
        result = self.make_like(vectors[0])
        self.assign(result, function, *vectors)
        return result

    def assign(self, result: Parameters, function: Callable[..., Tensor], *vectors: Vector) -> None:
        """Set the bands of a vector, which may be one of the others, to ``function(*bands)``."""
        for i, rows in self._walk(result):
            result[i][..., rows, :] = function(*(each[i][..., rows, :] for each in vectors))

    def axpy(self, result: Parameters, scale: Tensor, vector: Vector, mask: Vector) -> None:
        """Add ``scale * vector * mask`` to a vector, in place."""
        self.assign(result, lambda r, x, m: r + scale * x * m, result, vector, mask)

    def dot(self, one: Vector, other: Vector) -> Tensor:
        """Return the scalar product of two vectors."""
        (product,) = self.sum(lambda a, b: ((a * b).sum(),), one, other)
        return product

    def sum(
        self, function: Callable[..., tuple[Tensor, ...]], *vectors: Vector
    ) -> tuple[Tensor, ...]:
        """Add up the scalars ``function(*bands)`` over all bands; they stay on the device."""
        sums: tuple[Tensor, ...] = ()
        for i, rows in self._walk(vectors[0]):
            terms = function(*(each[i][..., rows, :] for each in vectors))
            zero = vectors[0][0].new_zeros(())
            sums = tuple(a + b for a, b in zip(sums or (zero,) * len(terms), terms, strict=True))
        return sums

    def filter(
        self, vector: Vector, function: Callable[[Tensor], Tensor], reach: int
    ) -> Parameters:
        """Return a vector filtered along its rows and columns.

        Args:
            vector: tensors [..., H, W].
            function: filters some rows of a tensor.
            reach: how many rows above and below a row it depends on.
        """
        result = self.make_like(vector)
        for i, rows in self._walk(vector):
            height = vector[i].shape[-2]
            first, last = max(0, rows.start - reach), min(height, rows.stop + reach)
            strip = function(vector[i][..., first:last, :])
            result[i][..., rows, :] = strip[..., rows.start - first : rows.stop - first, :]
        return result

    def make_like(self, vector: Vector) -> Parameters:
        """Return a vector of the same shapes, with undefined contents."""
        return [self._storage.like(each) for each in vector]

    def hold(self, vector: Vector) -> Parameters:
        """Return a copy of a vector in the storage."""
        return hold(vector, self._storage)

    def _walk(self, vector: Vector) -> Iterator[tuple[int, slice]]:
        for i, tensor in enumerate(vector):
            for rows in self._storage.split_rows(tensor):
                yield i, rows


def hold(tensors: Sequence[Tensor], storage: Storage) -> Parameters:
    """Copy tensors into a storage."""
    return [storage.hold(tensor) for tensor in tensors]


def count_numbers(vector: Vector) -> int:
    """Return how many numbers a vector has."""
    return sum(torch.numel(each) for each in vector)
