"""Regions of a photo and those of paintings that correspond: all clustered together.

What the network sees at a place (relu3_1, relu4_1), its color and its position are put side by
side, each picture's own mean and spread taken out, so that a photo's sky and a painting's, however
different, are about as far from the rest of their pictures. K-means on all then finds regions that
all have. They have no names: this is no detector of skies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import load_wheel_parameters
from impasto.errors import InputError
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.masks import Mask
from impasto.image.picture import Picture, fit_within
from impasto.image.rows import resize_rows
from impasto.segment.soft_edges import resize_for_masks, soften_edges

SIDE = 256
"""Longer side in pixels of what the network sees."""
LAYERS = ("relu3_1", "relu4_1")
AXES = 12
"""Principal axes kept of each layer's features."""
COLOR, POSITION = 1.5, 0.8
"""Weights of color and of height in the picture, where the features of a layer have 1. What is
left and what is right tells nothing."""
BLUR = 5
"""Places over which features are averaged: regions, not textures, are wanted."""
ROUNDS, TRIES = 30, 6
LEAST = 0.01
"""Share of the photo below which a region is none."""


@dataclass(frozen=True)
class RegionPairs:
    """Regions, of each painting the largest in the photo first.

    Attributes:
        photo: its masks.
        painting: the masks of what corresponds to each in its painting; where nothing does, all of
            that painting.
    """

    photo: tuple[Mask, ...]
    painting: tuple[Mask, ...]


def find_region_pairs(
    photo: Picture, paintings: Sequence[Picture], count: int, name: str
) -> RegionPairs:
    """Cluster pictures together.

    Args:
        photo: at any size.
        paintings: likewise, no more than regions. They take turns: the i-th region belongs to
            ``paintings[i % len(paintings)]``. Which region is the i-th is chosen so that each
            painting has much of its own.
        count: of regions, 2 or more.
        name: of the masks, to which their numbers are added.

    Raises:
        InputError: the photo has fewer regions.
    """
    encoder = Encoder(load_wheel_parameters(), LAYERS)
    seen = [_descriptors(picture, encoder) for picture in (photo, *paintings)]
    points = _aligned([each.flatten(1).T for each in seen])
    ends = np.cumsum([each[0].numel() for each in seen])
    labels = np.split(_cluster(points, count), ends[:-1])
    grids = [part.reshape(each.shape[1:]) for part, each in zip(labels, seen, strict=True)]
    areas, *theirs = [np.bincount(grid.ravel(), minlength=count) / grid.size for grid in grids]
    found = int((areas >= LEAST).sum())
    if found < count:
        raise InputError(f"{name}: the photo has only {found} such regions; ask for fewer")
    order = _dealt(areas, theirs)
    owners = [place % len(paintings) for place in range(count)]
    names = [f"{name}#{place + 1}" for place in range(count)]
    parts = [
        (grids[1 + owner] == region, paintings[owner])
        for owner, region in zip(owners, order, strict=True)
    ]
    return RegionPairs(
        tuple(
            _mask(grids[0] == region, photo, each)
            for region, each in zip(order, names, strict=True)
        ),
        tuple(_mask(*part, each) for part, each in zip(parts, names, strict=True)),
    )


def _dealt(areas: NDArray[np.float64], theirs: Sequence[NDArray[np.float64]]) -> list[int]:
    """The regions in the order of their turns, by their shares of the photo and the paintings."""
    owners = np.arange(len(areas)) % len(theirs)
    _, regions = linear_sum_assignment(-np.stack(theirs)[owners])
    order = [0] * len(areas)
    for owner in range(len(theirs)):
        (turns,) = np.nonzero(owners == owner)
        own = sorted(regions[turns], key=lambda region: -areas[region])
        for turn, region in zip(turns, own, strict=True):
            order[turn] = int(region)
    return order


def _descriptors(picture: Picture, encoder: Encoder) -> Tensor:
    """[D, h, w] on the grid of relu3_1; the last four are OKLab and height."""
    small = picture.resize(*fit_within(picture.width, picture.height, SIDE))
    image = torch.from_numpy(np.array(small.pixels.transpose(2, 0, 1)[None], order="C"))
    with torch.no_grad():
        features = encoder(image)
    height, width = features[LAYERS[0]].shape[2:]
    lab = torch.from_numpy(srgb_to_oklab(small.pixels).transpose(2, 0, 1)[None].copy())
    down = torch.linspace(-1, 1, height)[None, None, :, None].expand(1, 1, height, width)
    layers = [
        F.interpolate(
            F.normalize(features[layer]), (height, width), mode="bilinear", align_corners=False
        )
        for layer in LAYERS
    ]
    seen = torch.cat([*layers, F.adaptive_avg_pool2d(lab, (height, width))], 1)
    seen = F.avg_pool2d(seen, BLUR, 1, BLUR // 2, count_include_pad=False)
    return torch.cat([seen, down], 1)[0]


def _aligned(pictures: list[Tensor]) -> NDArray[np.float64]:
    """[N, D] of all pictures' places, from [n, D] each: layers in few dimensions, every picture's
    mean and spread taken out, weighted.
    """
    centered = [each.double() - each.double().mean(0) for each in pictures]
    columns = zip(*(torch.split(each, [256, 512, 3, 1], 1) for each in centered), strict=True)
    weighted = []
    for weight, parts in zip((1.0, 1.0, COLOR, POSITION), columns, strict=True):
        joint = sum(part.T @ part / len(part) for part in parts)
        _, axes = torch.linalg.eigh(joint)
        kept = [part @ axes[:, -AXES:] for part in parts]
        spread = [each.square().sum(1).mean().sqrt().clamp(min=1e-12) for each in kept]
        weighted.append(torch.cat([weight * e / s for e, s in zip(kept, spread, strict=True)]))
    points: NDArray[np.float64] = torch.cat(weighted, 1).numpy()
    return points


def _cluster(points: NDArray[np.float64], count: int) -> NDArray[np.int_]:
    """K-means, begun as k-means++ does, the best of some tries. The same every time."""
    random = np.random.default_rng(0)
    best, labels = np.inf, np.zeros(len(points), np.int_)
    for _ in range(TRIES):
        centers = _spread_out(points, count, random)
        for _ in range(ROUNDS):
            distance = _distances(points, centers)
            near = distance.argmin(1)
            members = [points[near == place] for place in range(count)]
            centers = np.stack(
                [m.mean(0) if len(m) else c for m, c in zip(members, centers, strict=True)]
            )
        distance = _distances(points, centers)
        if distance.min(1).sum() < best:
            best, labels = distance.min(1).sum(), distance.argmin(1)
    return labels


def _spread_out(
    points: NDArray[np.float64], count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """First centers, each likelier the farther it is from those before (Arthur, Vassilvitskii)."""
    centers: NDArray[np.float64] = points[random.integers(len(points))][None]
    while len(centers) < count:
        distance = _distances(points, centers).min(1).clip(min=1e-12)
        chosen = random.choice(len(points), p=distance / distance.sum())
        centers = np.vstack([centers, points[chosen]])
    return centers


def _distances(points: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, K], squared."""
    squares = (points**2).sum(1)[:, None] + (centers**2).sum(1)
    distances: NDArray[np.float64] = (squares - 2 * points @ centers.T).clip(min=0)
    return distances


def _mask(region: NDArray[np.bool_], picture: Picture, name: str) -> Mask:
    """Of a region, with edges where the picture has them; those of all regions are together 1."""
    large = resize_for_masks(picture)
    values = region.astype(np.float32)
    if values.mean() < LEAST:  # no counterpart
        values[...] = 1
    rows = slice(0, large.height)
    values = resize_rows(values, large.width, large.height, rows, "bicubic").clip(0, 1)
    return soften_edges(values, large, name)
