"""Group paintings by likeness, and place them on a map with like paintings side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy.optimize import linear_sum_assignment

Numbers = NDArray[Any]

LARGEST_MAP = 400
"""Paintings on a map at most; of more, evenly spaced ones are shown."""
_ROUNDS, _TRIES = 50, 8


def cluster_codes(codes: Numbers, count: int, seed: int = 0) -> Numbers:
    """Group codes [n, 64] of length 1 by k-means on the sphere.

    Args:
        codes: the codes.
        count: number of groups, at most n.
        seed: of the starts.

    Returns:
        The group of each code, [n]; the largest group is 0.
    """
    rng = np.random.default_rng(seed)
    best: tuple[float, Numbers] | None = None
    for _ in range(_TRIES):
        labels, fit = _cluster_once(codes, count, rng)
        if best is None or fit > best[0]:
            best = fit, labels
    assert best is not None
    sizes = np.bincount(best[1], minlength=count)
    rank = np.empty(count, np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    result: Numbers = rank[best[1]]
    return result


def _cluster_once(codes: Numbers, count: int, rng: np.random.Generator) -> tuple[Numbers, float]:
    """Return groups, and the sum of the cosines to their centers."""
    centers = codes[[int(rng.integers(len(codes)))]]
    while len(centers) < count:  # far from the centers so far
        away = np.clip(1 - (codes @ centers.T).max(1), 1e-9, None)
        place = rng.choice(len(codes), p=away / away.sum())
        centers = np.concatenate([centers, codes[[place]]])
    labels = np.full(len(codes), -1)
    for _ in range(_ROUNDS):
        likeness = codes @ centers.T
        closest = likeness.argmax(1)
        if (closest == labels).all():
            break
        labels = closest
        for group in range(count):
            members = codes[labels == group]
            center = members.sum(0) if len(members) else codes[likeness.max(1).argmin()]
            centers[group] = center / max(float(np.linalg.norm(center)), 1e-9)
    return labels, float((codes @ centers.T).max(1).sum())


def choose_count(codes: int) -> int:
    """Return a usual number of groups for a number of paintings."""
    return max(1, round(math.sqrt(codes / 2)))


def place_on_grid(codes: Numbers) -> list[tuple[int, int]]:
    """Return the (column, row) of each painting on a grid where like ones are near each other."""
    count = len(codes)
    columns = math.ceil(math.sqrt(count))
    centered = codes - codes.mean(0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
    flat = np.zeros((count, 2))
    flat[:, : len(axes)] = centered @ axes.T
    # Ranks fill the grid evenly, however the codes are spread.
    ranks = np.stack([np.argsort(np.argsort(axis, kind="stable")) for axis in flat.T], 1)
    spots = np.array([(place % columns, place // columns) for place in range(count)])
    rows = max(1, int(spots[:, 1].max()))
    scaled = spots / np.array([max(1, columns - 1), rows])
    cost = np.square((ranks / max(1, count - 1))[:, None] - scaled[None]).sum(-1)
    spot = linear_sum_assignment(cost)[1]
    return [(int(spots[place][0]), int(spots[place][1])) for place in spot]


def draw_map(images: list[Image.Image], places: list[tuple[int, int]], cell: int) -> Image.Image:
    """Draw paintings in the cells of a grid.

    Args:
        images: the paintings.
        places: (column, row) of each.
        cell: side of a cell in pixels.
    """
    columns = max(column for column, _ in places) + 1
    rows = max(row for _, row in places) + 1
    sheet = Image.new("RGB", (columns * cell, rows * cell), "white")
    for image, (column, row) in zip(images, places, strict=True):
        small = ImageOps.fit(image.convert("RGB"), (cell - 2, cell - 2))
        sheet.paste(small, (column * cell + 1, row * cell + 1))
    return sheet
