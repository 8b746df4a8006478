"""Which engine a recipe wants for the frames of a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from impasto.engine.step import Step
from impasto.errors import InputError
from impasto.image.picture import Picture
from impasto.network.one_pass import OnePass
from impasto.optimize.stylizer import Stylizer
from impasto.recipe.recipe import Recipe
from impasto.video.engines.network_frames import Network
from impasto.video.engines.optimizer_frames import Optimizer
from impasto.video.stabilize.stabilizer import FrameEngine


def film_engine(
    recipe: Recipe,
    paintings: Sequence[Picture],
    size: tuple[int, int],
    *,
    stability: float,
    iterations: int | None = None,
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
    like: Stylizer | OnePass | None = None,
    frozen: bool = False,
) -> FrameEngine:
    """The optimizer, or the network that the recipe is of.

    Args:
        recipe: of a first frame.
        paintings: the styles.
        size: (width, height) of the frames.
        stability, iterations, on_step: of the optimizer, see :class:`Optimizer`.
        like: another engine, whose networks are used too if they are the ones this recipe needs.
        device, weights, max_memory, scratch: as of :class:`Stylizer`.
        frozen: of the network, see :class:`Network`.

    Raises:
        InputError: statistics that are frozen, of the optimizer.
        ImpastoError: as :class:`Stylizer`.
    """
    if recipe.engine.kind != "optimizer":
        return Network(
            recipe,
            paintings,
            device=device,
            weights=weights,
            max_memory=max_memory,
            like=like if isinstance(like, OnePass) else None,
            frozen=frozen,
        )
    if frozen:
        raise InputError(
            "`statistics` shot needs a network, such as the recipe draft", field="statistics"
        )
    return Optimizer(
        recipe,
        paintings,
        size,
        stability=stability,
        iterations=iterations,
        device=device,
        weights=weights,
        max_memory=max_memory,
        scratch=scratch,
        on_step=on_step,
        like=like if isinstance(like, Stylizer) else None,
    )
