"""Nearest-neighbor feature matching: every place made like some place of a painting.

Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, "Neural Neighbor Style Transfer"
(arXiv:2203.13215). A *hypercolumn* is what all layers say about one place: features divided
by their number of channels, brought to a quarter of the picture's size, and concatenated.
Distances are cosine distances of centered features. The moments that other style losses look at
forget which features occur together; a hypercolumn is a whole patch of paint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.layers import get_cell_size

CELL = 4
"""Pixels a side that a hypercolumn stands for."""
CHUNK = 2**24
"""Similarities worked out together: 64 MB."""
GRID = 64
"""Rows and columns, at most, of the places whose neighbors are sought anew in every iteration."""
SHORTEST = 1e-12
"""Length below which a feature has no direction, and no gradient."""


def hypercolumns(features: Mapping[str, Tensor], layers: Mapping[str, float]) -> Tensor:
    """[N, C], a row for each place of a picture's quarter-size grid, in reading order.

    Args:
        features: ``{layer: [1, C, h, w]}`` of one picture, any floating dtype; relu3_1 or another
            layer of a quarter of the picture's size decides how odd sizes are rounded.
        layers: those that count, and how much.

    Returns:
        float32 (float64 stays float64), differentiable in the features.
    """
    height, width = grid_of(features, layers)
    parts = []
    for layer, weight in layers.items():
        feature = _wide(features[layer]) * (weight / features[layer].shape[1])
        cell = get_cell_size(layer)
        if cell < CELL:
            feature = F.avg_pool2d(feature, CELL // cell)
        elif cell > CELL:
            feature = _enlarged(feature, cell // CELL)
        parts.append(feature[0, :, :height, :width].flatten(1).T)
    return torch.cat(parts, 1)


def grid_of(features: Mapping[str, Tensor], layers: Iterable[str]) -> tuple[int, int]:
    """Rows and columns of the places that :func:`hypercolumns` are of."""
    rows, columns = (
        min(features[layer].shape[side] * get_cell_size(layer) // CELL for layer in layers)
        for side in (2, 3)
    )
    return rows, columns


def directions(points: Tensor, center: Tensor) -> Tensor:
    """Unit vectors from a center [C] to points [N, C]; zero for a point that is the center."""
    return F.normalize(points - center, dim=1, eps=SHORTEST)


def nearest(queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """The key most similar to each query, in chunks whose memory is bounded.

    Args:
        queries: [N, C] unit vectors.
        keys: [M, C] unit vectors.

    Returns:
        [N] cosine similarities and [N] indices of keys; of equals, the first.
    """
    rows = max(1, CHUNK // keys.shape[0])
    chunks = [queries[top : top + rows] for top in range(0, queries.shape[0], rows)]
    found = [(chunk @ keys.T).max(1) for chunk in chunks]
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])


def matched(
    queries: Tensor, paintings: Iterable[Tensor], center: Tensor, shares: Tensor | None = None
) -> Tensor:
    """The paintings' hypercolumns nearest to those of a picture.

    Args:
        queries: [N, C] of the picture, centered here by their own mean.
        paintings: [M, C] each, looked through one by one.
        center: [C], the mean of the paintings'.
        shares: [N], how much each place counts in that mean; none: alike.

    Returns:
        [N, C], not centered.
    """
    own = queries.mean(0) if shares is None else shares @ queries / shares.sum()
    wanted = directions(queries, own)
    best, result = wanted.new_full(wanted.shape[:1], -2.0), torch.empty_like(queries)
    for keys in paintings:
        similarity, index = nearest(wanted, directions(keys, center))
        closer = similarity > best
        best = torch.where(closer, similarity, best)
        result[closer] = keys[index[closer]]
    return result


def cosine_loss(
    points: Tensor, targets: Tensor, center: Tensor, shares: Tensor | None = None
) -> Tensor:
    """Mean over places of the cosine distance to a fixed target, in [0, 2].

    Args:
        points: [N, C] of the picture.
        targets: [N, C] of the paintings.
        center: [C], subtracted from both.
        shares: [N] in [0, 1], by which each place's distance is multiplied; none: 1.
    """
    similar = (directions(points, center) * directions(targets, center)).sum(1)
    if shares is None:
        return 1 - similar.mean()
    return (shares * (1 - similar)).mean()


def nearest_loss(
    points: Tensor, keys: Tensor, center: Tensor, shares: Tensor | None = None
) -> Tensor:
    """Mean over places of the cosine distance to the nearest feature of the paintings, in [0, 2].

    Args:
        points: [N, C] of the picture, one layer.
        keys: [M, C] of the paintings.
        center: [C], the mean of the paintings'.
        shares: as of :func:`cosine_loss`.
    """
    with torch.no_grad():
        _, index = nearest(directions(points, center), directions(keys, center))
    return cosine_loss(points, keys[index], center, shares)


def grid_places(feature: Tensor, generator: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of at most ``GRID`` x ``GRID`` evenly spaced places of a feature map.

    Args:
        feature: [1, C, h, w].
        generator: draws where the grid begins.
    """
    sides = feature.shape[2:]
    strides = [-(-side // GRID) for side in sides]
    begins = [int(torch.randint(stride, (), generator=generator)) for stride in strides]
    down, across = (
        slice(min(begin, side - 1), None, stride)
        for begin, side, stride in zip(begins, sides, strides, strict=True)
    )
    return down, across


def on_grid(feature: Tensor, places: tuple[slice, slice]) -> Tensor:
    """[N, C], some places of a feature map [1, C, h, w], in float32 or, of float64, in float64."""
    return _wide(feature[(..., *places)])[0].flatten(1).T


def _enlarged(feature: Tensor, times: int) -> Tensor:
    """Bilinear, as a product of matrices, whose gradient is the same on every run of a GPU."""
    down, across = (
        F.interpolate(
            torch.eye(side, dtype=feature.dtype, device=feature.device)[None],
            scale_factor=times,
            mode="linear",
        )[0]
        for side in feature.shape[-2:]
    )
    return down.T @ feature @ across


def _wide(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
