"""Store the picture-sized tensors of a run, and walk through their rows.

A picture of 100 megapixels takes 1.2 GB, and L-BFGS keeps two dozen of them. They can be in the
memory of the device, in the memory of the host next to a GPU, or in files that are mapped into
memory. Mapped files are read and written like any tensor, and only the rows in use are resident.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from impasto.errors import ResourceError
from impasto.image.rows import PIXELS_PER_BAND, split_rows


class Storage:
    """Makes the tensors that a run keeps between its evaluations."""

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        """Choose where tensors are stored.

        Args:
            device: device of the tensors, unless there is a folder.
            folder: folder of unnamed files, which disappear with their tensors. None: no files.
        """
        self.device = torch.device("cpu") if folder else device
        self._folder = folder
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Make a tensor with undefined contents.

        Raises:
            ResourceError: the disk is full or the folder cannot be written.
        """
        if self._folder is None:
            return torch.empty(shape, dtype=dtype, device=self.device)
        mapped = _map_unnamed_file(self._folder, math.prod(shape) * dtype.itemsize)
        self._maps.add(mapped)
        return torch.frombuffer(mapped, dtype=dtype).view(shape)

    def like(self, image: Tensor) -> Tensor:
        """Make a tensor of the same shape and dtype, with undefined contents."""
        return self.empty(*image.shape, dtype=image.dtype)

    def zeros(self, image: Tensor) -> Tensor:
        """Make a tensor of the same shape and dtype, of zeros."""
        if self._folder is not None:
            return self.like(image)  # a new file is all zeros
        return torch.zeros_like(image, device=self.device)

    def hold(self, image: Tensor) -> Tensor:
        """Copy an image [N, C, H, W] into this storage."""
        copy = self.like(image)
        for rows in self.split_rows(image):
            copy[..., rows, :] = image[..., rows, :]
        return copy

    def split_rows(self, image: Tensor) -> Iterator[slice]:
        """Yield the rows of an image [N, C, H, W] in bands, or all at once if it is small."""
        for rows in split_rows(*image.shape[-2:]):
            yield rows
            self.settle()

    def settle(self) -> None:
        """Drop the pages of files from memory; their contents stay in the files."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for each in self._maps:
                each.madvise(mmap.MADV_DONTNEED)


def _map_unnamed_file(folder: Path, size: int) -> mmap.mmap:
    """Map a new file of zeros.

    Its disk space is reserved, because writing to a mapped file kills the process if the disk is
    full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for _ in range(0, size, PIXELS_PER_BAND):
                    file.write(bytes(PIXELS_PER_BAND))
                file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise ResourceError(
            f"no room for {size / 2**30:.1f} GiB of the run's state: {error.strerror}", where=folder
        ) from None
