"""Precondition gradients: coarse structure counts more than single pixels.

Natural pictures, and what style losses ask of them, vary mostly at low frequencies, while the
gradient of a network shows its own pooling grid. Optimizing the coefficients of a pyramid, as
STROTSS does, multiplies gradients by the pyramid times its transpose: a sum of blurs with growing
gain. Used as the initial matrix of L-BFGS, this sum needs no pyramid and no other canvas.
"""

from __future__ import annotations

from torch import Tensor

from impasto.engine.pixels.blur import blur


def emphasize_coarse(gradient: Tensor, octaves: int) -> Tensor:
    """Compute ``g + sum over k of 2**k * blur(g, sigma = 2**(k-1))`` for k = 1 to ``octaves``.

    Linear; symmetric and positive definite away from the border.

    Args:
        gradient: [N, C, H, W].
        octaves: number of blurs. 0: the result is the gradient.
    """
    result = gradient
    for octave in range(1, octaves + 1):
        result = result + 2.0**octave * blur(gradient, 2.0 ** (octave - 1))
    return result


def get_reach(octaves: int) -> int:
    """Return how many pixels :func:`emphasize_coarse` depends on in each direction."""
    return round(3 * 2.0 ** (octaves - 1)) if octaves else 0
