"""Hold a picture's colors near those of the painting.

Colors are compared in OKLab, where equal distances look equally large, by the relaxed earth
mover's distance. Moments match colors on average; this distance matches each color to one that the
painting has. Colors are averaged over boxes, since gradients of single pixels produce specks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.image.color.spaces import CONE_TO_OKLAB, LINEAR_TO_CONE

DARK = 1e-3
"""Added to the cone response: its cube root has an infinite slope at black."""
LEAST_SPREAD = 0.05
"""In OKLab: the standard deviation below which a painting counts as of one color."""


def convert_to_oklab(colors: Tensor) -> Tensor:
    """Convert sRGB colors [K, 3] in [0, 1] to OKLab (L about [0, 1], a and b about [-0.4, 0.4]).

    As :func:`impasto.image.color.spaces.srgb_to_oklab`, but differentiable, also at black.
    """
    low = colors / 12.92
    high = ((colors.clamp(min=0.04) + 0.055) / 1.055) ** 2.4
    linear = torch.where(colors <= 0.04045, low, high).clamp(min=0)
    cones = linear @ torch.from_numpy(LINEAR_TO_CONE.T).to(colors)
    root: Tensor = (cones + DARK) ** (1 / 3) - DARK ** (1 / 3)
    return root @ torch.from_numpy(CONE_TO_OKLAB.T).to(colors)
