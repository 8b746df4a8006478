"""The palette: a picture's colors, to be near the painting's.

Colors are compared in OKLab, where equal distances look equally large, by the relaxed earth
mover's distance: moments match colors on average, this one match each to one that is there. They
are averages over boxes, since single pixels, pulled alone, come out as specks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.image.color.spaces import CONE_TO_OKLAB, LINEAR_TO_CONE

DARK = 1e-3
"""Added to the response of the eye's cones: its cube root would have an infinite slope at black."""
LEAST_SPREAD = 0.05
"""In OKLab: the standard deviation below which a painting counts as of one color."""


def oklab(colors: Tensor) -> Tensor:
    """OKLab (L about [0, 1], a and b about [-0.4, 0.4]) of sRGB colors [K, 3] in [0, 1].

    As :func:`impasto.image.color.spaces.srgb_to_oklab`, but differentiable, and at black as well.
    """
    low = colors / 12.92
    high = ((colors.clamp(min=0.04) + 0.055) / 1.055) ** 2.4
    linear = torch.where(colors <= 0.04045, low, high).clamp(min=0)
    cones = linear @ torch.from_numpy(LINEAR_TO_CONE.T).to(colors)
    root: Tensor = (cones + DARK) ** (1 / 3) - DARK ** (1 / 3)
    return root @ torch.from_numpy(CONE_TO_OKLAB.T).to(colors)
