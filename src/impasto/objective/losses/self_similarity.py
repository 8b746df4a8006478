"""Content as self-similarity: which places of a picture look alike, whatever they look like.

The matrix of cosine distances between features, its columns normalized to sum to 1, is what is kept
(Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and
Self-Similarity", arXiv:1904.12785, after Shechtman and Irani 2007). It leaves the colors free,
where squared differences of features hold on to the photo's.

The paper's absolute differences have no slope at the photo itself, where our runs begin, and a full
one next to it. Their squares, relative to the photo's, are as smooth as L-BFGS needs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.objective.losses.layer_losses import TINY


def distances(points: Tensor) -> Tensor:
    """Cosine distances [K, K] between features [K, C], the columns summing to 1."""
    unit = F.normalize(points, dim=1)
    distance = 1 - unit @ unit.T
    return distance / distance.sum(0).clamp(min=TINY)


def self_similarity_loss(points: Tensor, target: Tensor) -> Tensor:
    """Squared difference of the distances, over their own sum of squares.

    Args:
        points: [K, C] features of the result.
        target: [K, K], the photo's distances between the same places.

    Returns:
        A scalar >= 0.
    """
    return (distances(points) - target).square().sum() / target.square().sum().clamp(min=TINY)
