"""Match nearest neighbors: every place comes to resemble some place of a painting.

Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, "Neural Neighbor Style Transfer"
(arXiv:2203.13215). A *hypercolumn* holds the features of all layers at one place, divided by their
number of channels, resampled to a quarter of the picture's size, and concatenated. Distances are
cosine distances of centered features. Moments forget which features occur together; a hypercolumn
is a whole patch of paint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.encoder_registry import get_cell_size
from impasto.objective.statistics.moments import to_summing_dtype

CELL = 4
"""Side in pixels of what a hypercolumn stands for."""
CHUNK = 2**24
"""Similarities computed together: 64 MB."""
GRID = 64
"""Most rows and columns of the places that are matched anew in every iteration."""
SHORTEST = 1e-12
"""Length below which a feature has no direction, and no gradient."""


def build_hypercolumns(features: Mapping[str, Tensor], layers: Mapping[str, float]) -> Tensor:
    """Build hypercolumns [N, C], a row for each place of the quarter-size grid, row by row.

    Args:
        features: ``{layer: [1, C, h, w]}`` of one picture, any floating dtype; relu3_1 or another
            layer at a quarter of the picture's size decides how odd sizes are rounded.
        layers: weight of each layer.

    Returns:
        Float32 (float64 stays float64), differentiable in the features.
    """
    height, width = get_grid(features, layers)
    parts = []
    for layer, weight in layers.items():
        feature = to_summing_dtype(features[layer]) * (weight / features[layer].shape[1])
        cell = get_cell_size(layer)
        if cell < CELL:
            feature = F.avg_pool2d(feature, CELL // cell)
        elif cell > CELL:
            feature = _enlarge(feature, cell // CELL)
        parts.append(feature[0, :, :height, :width].flatten(1).T)
    return torch.cat(parts, 1)


def get_grid(features: Mapping[str, Tensor], layers: Iterable[str]) -> tuple[int, int]:
    """Return the rows and columns of the grid that hypercolumns belong to."""
    rows, columns = (
        min(features[layer].shape[side] * get_cell_size(layer) // CELL for layer in layers)
        for side in (2, 3)
    )
    return rows, columns


def compute_directions(points: Tensor, center: Tensor) -> Tensor:
    """Return unit vectors from a center [C] to points [N, C]; zero for the center itself."""
    return F.normalize(points - center, dim=1, eps=SHORTEST)


def find_nearest(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Find the key most similar to each query, in chunks of bounded memory.

    Args:
        queries: [N, C] unit vectors.
        keys: [M, C] unit vectors.

    Returns:
        The cosine similarities [N] and the indices [N] of the keys; of equal ones, the first.
    """
    rows = max(1, CHUNK // keys.shape[0])
    chunks = [queries[top : top + rows] for top in range(0, queries.shape[0], rows)]
    best = [(chunk @ keys.T).max(1) for chunk in chunks]
    return torch.cat([each.values for each in best]), torch.cat([each.indices for each in best])


def match_hypercolumns(
    queries: Tensor, paintings: Iterable[Tensor], center: Tensor, shares: Tensor | None = None
) -> Tensor:
    """Find the paintings' hypercolumns nearest to those of a picture.

    Args:
        queries: [N, C] hypercolumns of the picture; their own mean is subtracted here.
        paintings: [M, C] hypercolumns of each painting, searched one after another.
        center: [C], the mean of the paintings' hypercolumns.
        shares: [N], weight of each place in the mean. None: all count alike.

    Returns:
        [N, C], not centered.
    """
    own = queries.mean(0) if shares is None else shares @ queries / shares.sum()
    directions = compute_directions(queries, own)
    best, result = directions.new_full(directions.shape[:1], -2.0), torch.empty_like(queries)
    for keys in paintings:
        similarity, index = find_nearest(directions, compute_directions(keys, center))
        closer = similarity > best
        best = torch.where(closer, similarity, best)
        result[closer] = keys[index[closer]]
    return result


def cosine_loss(
    points: Tensor, targets: Tensor, center: Tensor, shares: Tensor | None = None
) -> Tensor:
    """Compute the mean over places of the cosine distance to a fixed target, in [0, 2].

    Args:
        points: [N, C] features of the picture.
        targets: [N, C] features of the paintings.
        center: [C], subtracted from both.
        shares: [N] in [0, 1], factor of each place's distance. None: 1.
    """
    similar = (compute_directions(points, center) * compute_directions(targets, center)).sum(1)
    if shares is None:
        return 1 - similar.mean()
    return (shares * (1 - similar)).mean()


def match_features(points: Tensor, keys: Tensor, center: Tensor) -> Tensor:
    """Return the features of the paintings that are nearest to those of a picture.

    Args:
        points: [N, C] features of the picture in one layer.
        keys: [M, C] features of the paintings in that layer.
        center: [C], the mean of the paintings' features.

    Returns:
        [N, C], without a gradient in the picture.
    """
    with torch.no_grad():
        _, index = find_nearest(
            compute_directions(points, center), compute_directions(keys, center)
        )
    return keys[index]


def draw_places(feature: Tensor, generator: torch.Generator) -> tuple[slice, slice]:
    """Draw rows and columns of at most ``GRID`` x ``GRID`` evenly spaced places of a layer.

    Args:
        feature: [1, C, h, w].
        generator: draws where the grid starts.
    """
    sides = feature.shape[2:]
    strides = [-(-side // GRID) for side in sides]
    begins = [int(torch.randint(stride, (), generator=generator)) for stride in strides]
    down, across = (
        slice(min(begin, side - 1), None, stride)
        for begin, side, stride in zip(begins, sides, strides, strict=True)
    )
    return down, across


def sample_grid(feature: Tensor, places: tuple[slice, slice]) -> Tensor:
    """Return the features [N, C] of [1, C, h, w] at some places, in float32 or float64."""
    return to_summing_dtype(feature[(..., *places)])[0].flatten(1).T


def _enlarge(feature: Tensor, times: int) -> Tensor:
    """Interpolate bilinearly, by matrix products: their gradient is deterministic on a GPU."""
    down, across = (
        F.interpolate(
            torch.eye(side, dtype=feature.dtype, device=feature.device)[None],
            scale_factor=times,
            mode="linear",
        )[0]
        for side in feature.shape[-2:]
    )
    return down.T @ feature @ across
