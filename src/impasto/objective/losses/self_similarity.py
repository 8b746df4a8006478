"""Content as self-similarity: which places of a picture resemble each other.

The matrix of cosine distances between features, with columns normalized to sum to 1, is held near
the photo's (Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity", arXiv:1904.12785, after Shechtman and Irani 2007). It leaves the colors free;
squared differences of features do not.

The paper's absolute differences have a kink at the photo, where runs start. Their squares, relative
to the photo's, are as smooth as L-BFGS needs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.objective.losses.content import TINY


def measure_distances(points: Tensor) -> Tensor:
    """Compute the cosine distances [K, K] between features [K, C]; each column sums to 1."""
    unit = F.normalize(points, dim=1)
    distance = 1 - unit @ unit.T
    return distance / distance.sum(0).clamp(min=TINY)


def self_similarity_loss(points: Tensor, target: Tensor) -> Tensor:
    """Compute the squared difference of the distances, over the target's sum of squares.

    Args:
        points: [K, C] features of the result.
        target: [K, K], the photo's distances between the same places.

    Returns:
        A scalar >= 0.
    """
    return (measure_distances(points) - target).square().sum() / target.square().sum().clamp(
        min=TINY
    )
