"""Which engine a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from impasto.network.network_draft import NetworkDraft
from impasto.network.one_pass import OnePass
from impasto.optimize.stylizer import Stylizer
from impasto.recipe.recipe import Recipe


def engine_for(
    recipe: Recipe,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    like: Stylizer | OnePass | None = None,
) -> Stylizer | OnePass:
    """The engine that a recipe asks for; arguments and errors as of :class:`Stylizer`."""
    if recipe.engine.kind == "optimizer":
        same = like if isinstance(like, Stylizer) else None
        return stylizer_for(
            recipe,
            device=device,
            weights=weights,
            max_memory=max_memory,
            scratch=scratch,
            like=same,
        )
    one = like if isinstance(like, OnePass) else None
    return OnePass(recipe, device=device, weights=weights, max_memory=max_memory, like=one)


def stylizer_for(
    recipe: Recipe,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    max_memory: int | None = None,
    scratch: str | Path | None = None,
    like: Stylizer | None = None,
) -> Stylizer:
    """The optimizer, with the network's draft if that is what the recipe begins with; arguments
    and errors as of :class:`Stylizer`."""
    draft = None
    if recipe.start.base == "draft":
        known = like.draft if like is not None else None
        same = known if isinstance(known, NetworkDraft) else None
        draft = NetworkDraft(recipe, device=device, weights=weights, like=same)
    return Stylizer(
        recipe,
        device=device,
        weights=weights,
        max_memory=max_memory,
        scratch=scratch,
        like=like,
        draft=draft,
    )
