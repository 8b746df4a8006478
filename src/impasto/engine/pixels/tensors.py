"""Convert pictures to tensors and back, and make the picture that a scale begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.engine.machine.storage import Storage
from impasto.engine.sizes import Scale
from impasto.image.files.decode import read_picture
from impasto.image.masks import Mask
from impasto.image.packed import LARGEST_IN_FLOATS
from impasto.image.picture import Floats, Picture, to_levels
from impasto.image.rows import resize_rows, split_rows
from impasto.recipe.tables import StartChoice

IMAGENET_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Mean color, RGB in [0, 1], that VGG's preprocessing subtracts."""


def picture_to_tensor(picture: Picture, width: int, height: int, storage: Storage) -> Tensor:
    """Resize a picture to [1, 3, height, width] RGB in [0, 1], float32."""
    image = storage.empty(1, 3, height, width)
    for rows in storage.split_rows(image):
        pixels = picture.resize_rows(width, height, rows)
        image[0, :, rows] = _move_channels_first(pixels)
    return image


def mask_to_tensor(mask: Mask, width: int, height: int, storage: Storage) -> Tensor:
    """Resize a mask to [height, width] in [0, 1], float32."""
    values = storage.empty(height, width)
    for rows in split_rows(height, width):
        values[rows] = torch.from_numpy(mask.resize_rows(width, height, rows))
        storage.settle()
    return values


def round_to_levels(image: Tensor, storage: Storage) -> Tensor:
    """Round a picture [1, 3, H, W] to 8 bits, as a written file holds it."""
    rounded = storage.like(image)
    for rows in storage.split_rows(image):
        levels = to_levels(image[0, :, rows].cpu().numpy(), 8)
        rounded[0, :, rows] = torch.from_numpy(levels.astype(np.float32) / 255)
    return rounded


@dataclass(frozen=True)
class TensorRows:
    """The rows of a tensor, as those of a picture; see :class:`impasto.image.packed.PixelRows`.

    Attributes:
        image: [1, 3, H, W]; values are clamped to [0, 1].
        settle: drops the pages of a tensor in a file from memory; see :meth:`Storage.settle`.
    """

    image: Tensor
    settle: Callable[[], None] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3)."""
        return (*self.image.shape[2:], 3)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return self.image.nbytes

    def read_rows(self, rows: slice) -> Floats:
        """Return some rows, [stop - start, W, 3] float32 in [0, 1]."""
        values = self.image[0, :, rows].detach().clamp(0, 1).permute(1, 2, 0)
        result: Floats = np.ascontiguousarray(values.cpu().numpy(), np.float32)
        if self.settle is not None:
            self.settle()
        return result


def tensor_to_picture(
    image: Tensor, photo: Picture, settle: Callable[[], None] | None = None
) -> Picture:
    """Make a picture of a tensor [1, 3, H, W], with the photo's alpha and metadata.

    The pixels of a large one stay in the tensor.

    Args:
        image: the tensor.
        photo: the photo, at any size.
        settle: drops the pages of a tensor in a file from memory. None: it is in no file.
    """
    _, _, height, width = image.shape
    rows = TensorRows(image, settle)
    alpha = None
    if photo.has_alpha:
        alpha = photo.resize_alpha_rows(width, height, slice(0, height))
    if height * width > LARGEST_IN_FLOATS:
        return Picture(rows, alpha, photo.metadata)
    return Picture(rows.read_rows(slice(0, height)), alpha, photo.metadata)


def make_start(
    start: StartChoice,
    content: Tensor,
    styles: Sequence[Tensor],
    seed: int,
    storage: Storage,
    read: Callable[[str], Picture] = read_picture,
) -> Tensor:
    """Make the picture that a run begins with.

    Args:
        start: the start that the recipe chooses.
        content: [1, 3, H, W], the photo at the first scale, or its draft.
        styles: the paintings, at any sizes. ``base = "style"`` uses the first one.
        seed: seed of the noise, which is drawn on the CPU so that all devices start alike.
        storage: holds the result.
        read: reads ``start.image``.

    Returns:
        [1, 3, H, W] in [0, 1].
    """
    _, _, height, width = content.shape
    match start.base:
        case "content" | "draft":
            base = content
        case "style":
            base = _crop_to_cover(styles[0], width, height, storage)
        case "image":
            base = picture_to_tensor(read(str(start.image)), width, height, storage)
    if not start.noise_ratio:
        return base
    generator = torch.Generator().manual_seed(seed)
    if start.noise == "uniform":
        noise = torch.rand(content.shape, generator=generator) * 2 - 1
    else:
        noise = torch.randn(content.shape, generator=generator)
    center = torch.tensor(
        IMAGENET_MEAN if start.noise_center == "mean" else [start.noise_center] * 3
    )
    noise = (center.view(1, 3, 1, 1) + start.noise_amplitude * noise).to(content)
    return torch.lerp(base, noise, start.noise_ratio).clamp(0, 1)


def enlarge(image: Tensor, width: int, height: int, storage: Storage) -> Tensor:
    """Resize an image tensor [1, 3, h, w] bicubically, clamped to [0, 1]."""
    image, result = image.cpu(), storage.empty(1, 3, height, width)
    for rows in storage.split_rows(result):
        result[..., rows, :] = resize_tensor_rows(image, width, height, rows).clamp_(0, 1)
    return result


def add_detail(
    image: Tensor, photo: Picture, coarser: Scale, share: float, storage: Storage
) -> Tensor:
    """Add to an enlarged picture the detail of the photo that the coarser scale did not have.

    Args:
        image: [1, 3, H, W] in [0, 1], enlarged from the coarser scale.
        photo: the photo, at any size.
        coarser: the scale before.
        share: share of the detail that is added.
        storage: holds the result.
    """
    _, _, height, width = image.shape
    coarse = picture_to_tensor(photo, coarser.width, coarser.height, storage).cpu()
    result = storage.like(image)
    for rows in storage.split_rows(image):
        fine = _move_channels_first(photo.resize_rows(width, height, rows))
        detail = fine - resize_tensor_rows(coarse, width, height, rows).clamp_(0, 1)
        result[0, :, rows] = (image[0, :, rows].cpu() + share * detail).clamp_(0, 1)
    return result


def _move_channels_first(pixels: Floats) -> Tensor:
    return torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))


def resize_tensor_rows(image: Tensor, width: int, height: int, rows: slice) -> Tensor:
    """Resize an image tensor [1, C, h, w] on the CPU bicubically, and return some of its rows.

    Returns:
        [C, stop - start, width], not clamped.
    """
    channels = image[0].numpy()
    bands = [resize_rows(each, width, height, rows, "bicubic") for each in channels]
    return torch.from_numpy(np.stack(bands))


def _crop_to_cover(image: Tensor, width: int, height: int, storage: Storage) -> Tensor:
    """Scale an image to cover width x height undistorted, and crop the overhang evenly."""
    ratio = max(width / image.shape[3], height / image.shape[2])
    wide = max(width, round(image.shape[3] * ratio))
    high = max(height, round(image.shape[2] * ratio))
    top, left = (high - height) // 2, (wide - width) // 2
    large = enlarge(image, wide, high, storage)
    return large[..., top : top + height, left : left + width].contiguous()
