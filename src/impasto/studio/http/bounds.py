"""How large a result may be."""

from __future__ import annotations

from impasto.studio.problems import Problem
from impasto.studio.settings import Settings


def check_size(size: tuple[int, int], settings: Settings) -> None:
    """See that a result of a (width, height) is within the limit.

    Raises:
        Problem: it is not.
    """
    if size[0] * size[1] > settings.max_result:
        raise Problem(
            "over_limit",
            f"the result would be {size[0]}x{size[1]} px; "
            f"{settings.max_result / 1e6:g} megapixels are the limit here",
        )


def check_film(size: tuple[int, int], count: int, settings: Settings) -> None:
    """Likewise of so many frames of a film, all together.

    Raises:
        Problem: they are not.
    """
    if count * size[0] * size[1] > settings.max_film:
        raise Problem(
            "over_limit",
            f"the film would be {count} frames of {size[0]}x{size[1]} px; "
            f"{settings.max_film / 1e6:g} megapixels in all are the limit here",
        )
