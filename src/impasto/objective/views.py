"""Define the objective of several views, which are images of one canvas.

The style of a scene is the style of all its views. Moments are additive over views as they are over
tiles, so a first pass merges the moments of all views, and a second pass back-propagates the style
loss's slopes view by view. The gradient is exact, and only one view is in memory at a time. All
other losses are means over the views.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.objective.evaluation import Losses
from impasto.objective.statistics.gauge import (
    Statistics,
    add_by_name,
    compute_slopes,
    merge_statistics,
    project_on_slopes,
    require_gradients,
)
from impasto.objective.statistics.moments import Moments
from impasto.objective.terms import StyleTerm
from impasto.objective.whole import WholeObjective


class ViewsObjective:
    """A function of several images that a run minimizes, with one style loss for all of them."""

    def __init__(
        self, objectives: Sequence[WholeObjective], areas: Sequence[float] | None = None
    ) -> None:
        """Combine the objectives of single views.

        Args:
            objectives: one for each view, with the same recipe and paintings.
            areas: the number of pixels that count in each view, which is the sum of its weight map.
                Losses other than the style are means over the views, weighted by these areas. None:
                all views count alike.

        Raises:
            ValueError: there is no view, or the style is not a function of moments alone.
        """
        if not objectives:
            raise ValueError("an objective of views needs at least one view")
        self._objectives = objectives
        self.recipe = objectives[0].recipe
        areas = areas or [1.0] * len(objectives)
        self._shares = [area / sum(areas) for area in areas]

    def evaluate(self, images: Sequence[Tensor]) -> tuple[dict[str, float], list[Tensor]]:
        """Return the losses by name, including ``total``, and the gradient in each image.

        Args:
            images: [1, 3, H, W] RGB in [0, 1] each, one per view, in order.
        """
        with torch.no_grad():
            merged = self._measure_style(images)
        leaves = require_gradients(merged)
        style = self._compute_style_losses(merged)
        slopes = compute_slopes(Losses.weigh(self.recipe, style).total, merged, leaves)
        sums, gradients = dict[str, Tensor](), []
        for objective, share, image in zip(self._objectives, self._shares, images, strict=True):
            variable = image.detach().requires_grad_()
            local, statistics = self._compute_local_losses(objective, share, variable)
            pull = [Losses.weigh(self.recipe, local).total, *project_on_slopes(slopes, statistics)]
            (gradient,) = torch.autograd.grad(torch.stack(pull).sum(), variable)
            gradients.append(gradient.contiguous())
            sums = add_by_name(sums, {name: loss.detach() for name, loss in local.items()})
        return Losses.weigh(self.recipe, sums, style).as_numbers(), gradients

    def compute_losses(self, images: Sequence[Tensor]) -> dict[str, float]:
        """Return the losses by name, including ``total``; images as in :meth:`evaluate`."""
        sums, merged = dict[str, Tensor](), list[Statistics]()
        with torch.no_grad():
            for objective, share, image in zip(self._objectives, self._shares, images, strict=True):
                local, statistics = self._compute_local_losses(objective, share, image)
                sums, merged = add_by_name(sums, local), merge_statistics(merged, statistics)
            style = self._compute_style_losses(merged)
        return Losses.weigh(self.recipe, sums, style).as_numbers()

    def _measure_style(self, images: Sequence[Tensor]) -> list[Statistics]:
        merged: list[Statistics] = []
        for objective, image in zip(self._objectives, images, strict=True):
            features = objective.extract(image)
            here = [term.gauge.measure(features) for term in _list_style_terms(objective)]
            if not all(isinstance(s, Moments) or s is None for each in here for s in each):
                raise ValueError("views need a style that is a function of moments")
            merged = merge_statistics(merged, here)
        return merged

    def _compute_style_losses(self, statistics: Sequence[Statistics]) -> dict[str, Tensor]:
        pairs = zip(_list_style_terms(self._objectives[0]), statistics, strict=True)
        return add_by_name(*({term.name: term.compute_loss(each)} for term, each in pairs))

    def _compute_local_losses(
        self, objective: WholeObjective, share: float, image: Tensor
    ) -> tuple[dict[str, Tensor], list[Statistics]]:
        """Compute a view's share of the losses other than style, and its style statistics."""
        content, statistics = objective.measure(objective.extract(image))
        losses = add_by_name({"content": content}, objective.compute_pixel_losses(image))
        style = []
        for term, each in zip(objective.terms, statistics, strict=True):
            if isinstance(term, StyleTerm):
                style.append(each)
            else:
                losses = add_by_name(losses, {term.name: term.compute_loss(each)})
        return {name: share * loss for name, loss in losses.items()}, style


def _list_style_terms(objective: WholeObjective) -> list[StyleTerm]:
    return [term for term in objective.terms if isinstance(term, StyleTerm)]
