"""Find regions of a photo and of paintings that correspond, by clustering all pictures together.

Each place is described by features of VGG (relu3_1, relu4_1), its color and its height in the
picture. Each picture's own mean and spread are removed, so that a sky differs from the rest of its
picture in the same way in a photo and in a painting. K-means on the places of all pictures then
finds regions that they have in common. The regions have no names.
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

from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weights import load_wheel_parameters
from impasto.errors import InputError
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.masks import Mask
from impasto.image.picture import Picture, fit_within
from impasto.image.rows import resize_rows
from impasto.segment.soft_edges import resize_for_masks, soften_edges

SIDE = 256
"""Longer side in pixels of the pictures that the network gets."""
LAYERS = ("relu3_1", "relu4_1")
AXES = 12
"""Principal components of each layer's features."""
COLOR, POSITION = 1.5, 0.8
"""Weights of the color and of the height in the picture, relative to a layer's features. The
horizontal position says nothing about a region."""
BLUR = 5
"""Side in places of the window over which features are averaged, to ignore textures."""
ROUNDS, TRIES = 30, 6
SMALLEST_REGION = 0.01
"""Smallest share of the photo that counts as a region."""


@dataclass(frozen=True)
class RegionPairs:
    """Regions of a photo with their counterparts, for each painting the largest first.

    Attributes:
        photo: masks of the photo.
        painting: for each of them, the mask of its counterpart in its painting. Where there is no
            counterpart, the mask covers the whole painting.
    """

    photo: tuple[Mask, ...]
    painting: tuple[Mask, ...]


def find_region_pairs(
    photo: Picture, paintings: Sequence[Picture], count: int, name: str
) -> RegionPairs:
    """Find corresponding regions of a photo and of paintings.

    Args:
        photo: the photo, at any size.
        paintings: the paintings, at any sizes, no more than there are regions. They take turns:
            region i belongs to ``paintings[i % len(paintings)]``. The regions are ordered so that
            each painting has as much as possible of its own regions.
        count: number of regions, at least 2.
        name: name of the masks, to which their numbers are appended.

    Raises:
        InputError: the photo has fewer regions.
    """
    encoder = VggEncoder(load_wheel_parameters(), LAYERS)
    descriptors = [_describe(picture, encoder) for picture in (photo, *paintings)]
    points = _align([each.flatten(1).T for each in descriptors])
    ends = np.cumsum([each[0].numel() for each in descriptors])
    labels = np.split(_cluster(points, count), ends[:-1])
    grids = [part.reshape(each.shape[1:]) for part, each in zip(labels, descriptors, strict=True)]
    areas, *theirs = [np.bincount(grid.ravel(), minlength=count) / grid.size for grid in grids]
    regions = int((areas >= SMALLEST_REGION).sum())
    if regions < count:
        raise InputError(f"the photo has only {regions} such regions; ask for fewer", where=name)
    order = _order_regions(areas, theirs)
    owners = [place % len(paintings) for place in range(count)]
    names = [f"{name}#{place + 1}" for place in range(count)]
    parts = [
        (grids[1 + owner] == region, paintings[owner])
        for owner, region in zip(owners, order, strict=True)
    ]
    return RegionPairs(
        tuple(
            _make_mask(grids[0] == region, photo, each)
            for region, each in zip(order, names, strict=True)
        ),
        tuple(_make_mask(*part, each) for part, each in zip(parts, names, strict=True)),
    )


def _order_regions(areas: NDArray[np.float64], theirs: Sequence[NDArray[np.float64]]) -> list[int]:
    """Order the regions by the turns of their paintings.

    Args:
        areas: [K] share of the photo that each region covers.
        theirs: the same for each painting.
    """
    owners = np.arange(len(areas)) % len(theirs)
    _, regions = linear_sum_assignment(-np.stack(theirs)[owners])
    order = [0] * len(areas)
    for owner in range(len(theirs)):
        (turns,) = np.nonzero(owners == owner)
        own = sorted(regions[turns], key=lambda region: -areas[region])
        for turn, region in zip(turns, own, strict=True):
            order[turn] = int(region)
    return order


def _describe(picture: Picture, encoder: VggEncoder) -> Tensor:
    """Describe each place of relu3_1's grid: [D, h, w], the last four being OKLab and height."""
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
    places = torch.cat([*layers, F.adaptive_avg_pool2d(lab, (height, width))], 1)
    places = F.avg_pool2d(places, BLUR, 1, BLUR // 2, count_include_pad=False)
    return torch.cat([places, down], 1)[0]


def _align(pictures: list[Tensor]) -> NDArray[np.float64]:
    """Reduce, standardize and weight the descriptors [n, D] of each picture; join them to [N, d].

    Each layer is reduced to its principal components. Each picture's own mean and spread are
    removed.
    """
    centered = [each.double() - each.double().mean(0) for each in pictures]
    columns = zip(*(torch.split(each, [256, 512, 3, 1], 1) for each in centered), strict=True)
    weighted = []
    for weight, parts in zip((1.0, 1.0, COLOR, POSITION), columns, strict=True):
        joint = sum(part.T @ part / len(part) for part in parts)
        _, axes = torch.linalg.eigh(joint)
        reduced = [part @ axes[:, -AXES:] for part in parts]
        spread = [each.square().sum(1).mean().sqrt().clamp(min=1e-12) for each in reduced]
        weighted.append(torch.cat([weight * e / s for e, s in zip(reduced, spread, strict=True)]))
    points: NDArray[np.float64] = torch.cat(weighted, 1).numpy()
    return points


def _cluster(points: NDArray[np.float64], count: int) -> NDArray[np.int_]:
    """Run k-means with k-means++ starts, and return the labels of the best try; deterministic."""
    random = np.random.default_rng(0)
    best, labels = np.inf, np.zeros(len(points), np.int_)
    for _ in range(TRIES):
        centers = _choose_centers(points, count, random)
        for _ in range(ROUNDS):
            distance = _compute_distances(points, centers)
            near = distance.argmin(1)
            members = [points[near == place] for place in range(count)]
            centers = np.stack(
                [m.mean(0) if len(m) else c for m, c in zip(members, centers, strict=True)]
            )
        distance = _compute_distances(points, centers)
        if distance.min(1).sum() < best:
            best, labels = distance.min(1).sum(), distance.argmin(1)
    return labels


def _choose_centers(
    points: NDArray[np.float64], count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Choose initial centers as k-means++ does (Arthur and Vassilvitskii 2007)."""
    centers: NDArray[np.float64] = points[random.integers(len(points))][None]
    while len(centers) < count:
        distance = _compute_distances(points, centers).min(1).clip(min=1e-12)
        choice = random.choice(len(points), p=distance / distance.sum())
        centers = np.vstack([centers, points[choice]])
    return centers


def _compute_distances(
    points: NDArray[np.float64], centers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute squared distances [N, K] of points [N, d] to centers [K, d]."""
    squares = (points**2).sum(1)[:, None] + (centers**2).sum(1)
    distances: NDArray[np.float64] = (squares - 2 * points @ centers.T).clip(min=0)
    return distances


def _make_mask(region: NDArray[np.bool_], picture: Picture, name: str) -> Mask:
    """Make the mask of a region with soft edges; the masks of all regions sum to 1."""
    large = resize_for_masks(picture)
    values = region.astype(np.float32)
    if values.mean() < SMALLEST_REGION:  # no counterpart
        values[...] = 1
    rows = slice(0, large.height)
    values = resize_rows(values, large.width, large.height, rows, "bicubic").clip(0, 1)
    return soften_edges(values, large, name)
