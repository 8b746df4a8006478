"""Define the objectives of single images, and their sum over the views of a canvas.

An objective consists of local losses, which are sums over positions, and of terms, which are losses
of statistics. Statistics are additive over the parts of a picture, and moments also over views: the
style of a scene is the style of all its views. Two sweeps therefore give the exact gradient with
one part in memory at a time. The first measures all statistics, and the losses are differentiated
in these small tensors. The second back-propagates, part by part, the local losses and the linear
function that has these slopes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from impasto.objective.evaluation import Losses
from impasto.objective.statistics.gauge import (
    Slopes,
    Statistics,
    add_by_name,
    compute_slopes,
    merge_statistics,
    project_on_slopes,
    require_gradients,
)
from impasto.objective.terms import Term
from impasto.recipe.recipe import Recipe


class Objective(ABC):
    """The function of images [1, 3, H, W] of one size that a run minimizes.

    Attributes:
        recipe: the recipe that weighs the losses.
        terms: the losses of statistics.
        whole: the objective of whole images whose targets this one uses, for another pass of the
            same size. None: there is none.
    """

    recipe: Recipe
    terms: Sequence[Term] = ()
    whole: Objective | None = None

    @abstractmethod
    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """Return the losses by name, including ``total``, and the gradient of the total.

        Args:
            image: [1, 3, H, W] RGB in [0, 1]. The gradient has its shape.
        """

    def compute_losses(self, image: Tensor) -> dict[str, float]:
        """Return the losses by name, including ``total``."""
        with torch.no_grad():
            losses, statistics = self.measure_losses(image)
            terms = self.compute_term_losses(statistics)
            return Losses.weigh(self.recipe, losses, terms).as_numbers()

    def compute_term_losses(self, statistics: Sequence[Statistics]) -> dict[str, Tensor]:
        """Compute the losses of the terms by name, unweighted, from what their gauges measured."""
        pairs = zip(self.terms, statistics, strict=True)
        return add_by_name(*({term.name: term.compute_loss(each)} for term, each in pairs))

    @abstractmethod
    def measure(self, image: Tensor) -> list[Statistics]:
        """Measure the statistics of all terms."""

    @abstractmethod
    def measure_losses(self, image: Tensor) -> tuple[dict[str, Tensor], list[Statistics]]:
        """Compute the local losses without their weights, and the statistics of all terms."""

    @abstractmethod
    def back_propagate(
        self, image: Tensor, slopes: Slopes, share: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Differentiate the local losses and the linear function with some slopes.

        Args:
            image: [1, 3, H, W] RGB in [0, 1].
            slopes: the slopes of the total loss in the statistics of each term.
            share: multiplies the local losses.

        Returns:
            The local losses, multiplied but not weighted, and the gradient.
        """


class DirectObjective(Objective):
    """An objective whose :meth:`measure_losses` is differentiable and fits into memory."""

    def __call__(self, image: Tensor) -> Losses:
        """Compute the losses of an image [1, 3, H, W] in [0, 1], differentiable in it."""
        losses, statistics = self.measure_losses(image)
        return Losses.weigh(self.recipe, losses, self.compute_term_losses(statistics))

    def evaluate(self, image: Tensor) -> tuple[dict[str, float], Tensor]:
        """See :meth:`Objective.evaluate`; through the encoder once, forward and back."""
        variable = image.detach().requires_grad_()
        losses = self(variable)
        (gradient,) = torch.autograd.grad(losses.total, variable)
        return losses.as_numbers(), gradient.contiguous()

    def measure(self, image: Tensor) -> list[Statistics]:
        """See :meth:`Objective.measure`."""
        return self.measure_losses(image)[1]

    def back_propagate(
        self, image: Tensor, slopes: Slopes, share: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`Objective.back_propagate`."""
        variable = image.detach().requires_grad_()
        losses, statistics = self.measure_losses(variable)
        losses = scale_losses(losses, share)
        pull = [Losses.weigh(self.recipe, losses).total, *project_on_slopes(slopes, statistics)]
        (gradient,) = torch.autograd.grad(torch.stack(pull).sum(), variable)
        return {name: loss.detach() for name, loss in losses.items()}, gradient.contiguous()


class ViewsObjective:
    """A weighted sum of losses of all views of a canvas, with one style loss for all of them.

    Terms of moments are losses of the moments of all views together; all other losses are means
    over the views, weighted by their areas.
    """

    def __init__(self, objectives: Sequence[Objective], areas: Sequence[float]) -> None:
        """Combine the objectives of single views.

        Args:
            objectives: one for each view, with the same recipe and paintings.
            areas: the number of pixels that count in each view, which is the sum of its weight map.

        Raises:
            ValueError: there is no view, or no pixel counts.
        """
        if not objectives or not sum(areas):
            raise ValueError("an objective needs at least one view with pixels that count")
        self.objectives = objectives
        self._areas = areas
        self._shares = [area / sum(areas) for area in areas]

    def select(self, views: Sequence[int]) -> ViewsObjective:
        """Return the objective of some of the views, by their indices."""
        return ViewsObjective(
            [self.objectives[view] for view in views], [self._areas[view] for view in views]
        )

    def evaluate(self, images: Sequence[Tensor]) -> tuple[dict[str, float], list[Tensor]]:
        """Return the losses by name, including ``total``, and the gradient in each image.

        Args:
            images: [1, 3, H, W] RGB in [0, 1] each, one per view, in order.
        """
        if len(images) == 1:  # it may need one sweep only
            losses, gradient = self.objectives[0].evaluate(images[0])
            return losses, [gradient]
        return evaluate_together(self.objectives, self._shares, images)

    def compute_losses(self, images: Sequence[Tensor]) -> dict[str, float]:
        """Return the losses by name, including ``total``; images as in :meth:`evaluate`."""
        sums, statistics = dict[str, Tensor](), list[list[Statistics]]()
        with torch.no_grad():
            for objective, share, image in zip(self.objectives, self._shares, images, strict=True):
                losses, own = objective.measure_losses(image)
                sums = add_by_name(sums, scale_losses(losses, share))
                statistics.append(own)
            terms = _join_term_losses(self.objectives, self._shares, statistics)
        return Losses.weigh(self.objectives[0].recipe, sums, terms).as_numbers()


def evaluate_together(
    objectives: Sequence[Objective], shares: Sequence[float], images: Sequence[Tensor]
) -> tuple[dict[str, float], list[Tensor]]:
    """Evaluate the objectives of several views in two sweeps; see the module.

    Args:
        objectives: one for each view.
        shares: the share of each view in the local losses and terms; they sum to 1.
        images: [1, 3, H, W] RGB in [0, 1] each.

    Returns:
        The losses by name, including ``total``, and the gradient in each image.
    """
    recipe = objectives[0].recipe
    with torch.no_grad():
        views = [each.measure(image) for each, image in zip(objectives, images, strict=True)]
    statistics = [each for view in views for each in view]
    leaves = require_gradients(statistics)
    terms = _join_term_losses(objectives, shares, views)
    total = Losses.weigh(recipe, terms).total if terms else torch.zeros(())
    slopes = iter(compute_slopes(total, statistics, leaves))
    sums, gradients = dict[str, Tensor](), list[Tensor]()
    for objective, share, image in zip(objectives, shares, images, strict=True):
        own = [next(slopes) for _ in objective.terms]
        losses, gradient = objective.back_propagate(image, own, share)
        sums = add_by_name(sums, losses)
        gradients.append(gradient)
    return Losses.weigh(recipe, sums, terms).as_numbers(), gradients


def scale_losses(losses: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Multiply losses by a share."""
    return {name: share * loss for name, loss in losses.items()}


def _join_term_losses(
    objectives: Sequence[Objective], shares: Sequence[float], views: Sequence[list[Statistics]]
) -> dict[str, Tensor]:
    """Compute the losses of all terms, without their weights, from each view's statistics.

    The targets of a joint term may differ between views, in the areas of regions and in the photo's
    own statistics; its loss is then the mean over the targets.
    """
    joint = [each.gauge.joins_views for each in objectives[0].terms]

    def pick_joint(own: list[Statistics]) -> list[Statistics]:
        return [each for each, is_joint in zip(own, joint, strict=True) if is_joint]

    merged = reduce(merge_statistics, map(pick_joint, views))
    losses = []
    for objective, share, own in zip(objectives, shares, views, strict=True):
        together = iter(merged)
        statistics = [
            next(together) if is_joint else each for each, is_joint in zip(own, joint, strict=True)
        ]
        losses.append(scale_losses(objective.compute_term_losses(statistics), share))
    return add_by_name(*losses)
