"""Between pictures and what the solver moves: tensors at a size, the start, and the next scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.media.decode import read_picture
from impasto.media.picture import Picture
from impasto.optimize.schedule import Scale
from impasto.recipe_tables import Start

IMAGENET_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Mean colour, RGB in [0, 1], that VGG's preprocessing subtracts."""


def to_tensor(picture: Picture, width: int, height: int, device: torch.device) -> Tensor:
    """[1, 3, height, width] RGB in [0, 1], float32, of a picture resized to fit exactly."""
    pixels = np.ascontiguousarray(picture.resized(width, height).pixels.transpose(2, 0, 1))
    return torch.from_numpy(pixels).unsqueeze(0).to(device)


def to_picture(image: Tensor, photo: Picture) -> Picture:
    """The picture of a tensor [1, 3, H, W] in [0, 1], with the photo's alpha and metadata."""
    pixels = image.detach()[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    _, _, height, width = image.shape
    alpha = None if photo.alpha is None else photo.resized(width, height).alpha
    return Picture(np.ascontiguousarray(pixels, dtype=np.float32), alpha, photo.metadata)


def starting_image(
    start: Start,
    content: Tensor,
    styles: Sequence[Tensor],
    seed: int,
    read: Callable[[str], Picture] = read_picture,
) -> Tensor:
    """The first scale's first picture.

    Args:
        start: the recipe's.
        content: [1, 3, H, W] the photo at this scale.
        styles: the paintings, any sizes; ``base = "style"`` takes the first, others none.
        seed: of the noise, which is drawn on the CPU so that every device starts alike.
        read: how ``start.image`` is read.

    Returns:
        [1, 3, H, W] in [0, 1].
    """
    _, _, height, width = content.shape
    match start.base:
        case "content":
            base = content
        case "style":
            base = _covering(styles[0], width, height)
        case "image":
            base = to_tensor(read(str(start.image)), width, height, content.device)
    if not start.noise_ratio:
        return base.clone()
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


def enlarged(image: Tensor, width: int, height: int) -> Tensor:
    """An image tensor at the next scale's size, bicubic, in [0, 1]."""
    resized = F.interpolate(image, size=(height, width), mode="bicubic", antialias=True)
    return resized.clamp(0, 1).contiguous()


def with_detail(image: Tensor, photo: Picture, coarser: Scale, share: float) -> Tensor:
    """An enlarged picture with some of what the photo shows at this size and not at the last.

    Args:
        image: [1, 3, H, W] in [0, 1], enlarged from the coarser scale.
        photo: at any size.
        coarser: the scale before.
        share: of the detail that is added.
    """
    _, _, height, width = image.shape
    fine = to_tensor(photo, width, height, image.device)
    known = enlarged(to_tensor(photo, coarser.width, coarser.height, image.device), width, height)
    return (image + share * (fine - known)).clamp(0, 1)


def _covering(image: Tensor, width: int, height: int) -> Tensor:
    """Scaled to cover width x height, the overhang cropped evenly: shapes are not distorted."""
    ratio = max(width / image.shape[3], height / image.shape[2])
    wide = max(width, round(image.shape[3] * ratio))
    high = max(height, round(image.shape[2] * ratio))
    top, left = (high - height) // 2, (wide - width) // 2
    return enlarged(image, wide, high)[..., top : top + height, left : left + width].contiguous()
