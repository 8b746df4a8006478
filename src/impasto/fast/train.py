"""Training of the arbitrary-style network: batches, losses, one step after the other.

A batch is a function of the seed and the step alone, so that a run that was stopped goes on as if
it had not been. Of eight batches seven ask for the style of a painting, for a fifth of the photos
blended with their own; the eighth asks for each photo's own style, which is to change nothing.

It begins with one painting, and they become twice as many again and again: of a few, strokes are
learnt in some hundred steps, and then which are whose; of all at once, their mean, which is none.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from impasto.encoders.vgg import Encoder
from impasto.fast import grain, losses
from impasto.fast.network import Painter
from impasto.fast.paintings import VARIANTS, Paintings
from impasto.fast.photos import Photos
from impasto.fast.style_code import PictureMoments

CONTENT_LAYERS = {"relu4_1": 1.0, "relu3_1": 0.3}
COVARIANCE_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
"""Of the layers; a crop has few positions for the covariance of the deepest."""
IDENTITY_EVERY = 8
BLENDED = 0.2
"""Share of the photos whose style is mixed with their own."""
SHUFFLE = 10_007
"""A prime: paintings are introduced in an order that has nothing to do with their names."""
AHEAD = 8
"""Batches that are drawn before a GPU asks for them."""
WARM_UP = 100
LAST_RATE = 0.02
"""Of the learning rate, at the horizon."""


@dataclass(frozen=True)
class Plan:
    """Settings of a training run.

    Attributes:
        steps: horizon of the learning rate's cosine; more of them on going on lengthen it.
        batch: pairs a step and process.
        side: of the crops, in pixels.
        rate: largest learning rate of AdamW.
        seed: of batches and first weights.
        variants: how many of each painting are imitated, see :mod:`impasto.fast.paintings`.
        doubling: steps after which there are twice as many paintings, one at first, until all are
            imitated; 0: all from the first.
        fitted: ``all`` weights, or only what the gains and offsets of normalisation are given
            besides what the code asks for: enough to come closer to one painting.
        deviation, covariance, content, structure, roughness, bounds, grid, identity: loss
            weights.
    """

    steps: int = 20_000
    batch: int = 8
    side: int = 128
    rate: float = 1e-3
    seed: int = 0
    variants: int = VARIANTS
    doubling: int = 60
    fitted: Literal["all", "normalization"] = "all"
    deviation: float = 10.0
    covariance: float = 10.0
    content: float = 0.5
    structure: float = 0.15
    roughness: float = 0.1
    bounds: float = 10.0
    grid: float = 20.0
    identity: float = 10.0


@dataclass(frozen=True)
class Batch:
    """Crops [N, 3, S, S]; which (painting, variant) each is to imitate, and how far [N]; or none of
    them, for a batch of identities; and the grain [N, 1, S, S] they are painted with."""

    photos: Tensor
    styles: list[tuple[int, int]]
    strengths: Tensor
    grain: Tensor


def draw_batch(plan: Plan, photos: Photos, paintings: int, step: int, rank: int = 0) -> Batch:
    """The batch of a step, the same whenever it is drawn."""
    generator = torch.Generator().manual_seed(plan.seed + 1_000_003 * step + 7919 * rank)

    def indices(limit: int) -> list[int]:
        return torch.randint(limit, (plan.batch,), generator=generator).tolist()

    crops = [photos.crop(i, plan.side, generator) for i in indices(len(photos))]
    known = introduced(plan, paintings, step)
    chosen = [k * SHUFFLE % paintings for k in indices(known)]
    styles = list(zip(chosen, indices(plan.variants), strict=True))
    draws = torch.rand(2, plan.batch, generator=generator)
    strengths = torch.where(draws[0] < BLENDED, 0.1 + 0.9 * draws[1], torch.ones(plan.batch))
    if step % IDENTITY_EVERY == IDENTITY_EVERY - 1:
        return Batch(torch.cat(crops), [], strengths, torch.zeros(()))
    places = zip(indices(grain.SIDE), indices(grain.SIDE), strict=True)
    grains = torch.cat([grain.grain(plan.side, plan.side, *place) for place in places])
    deviations = 2 * grain.DEVIATION * torch.rand(plan.batch, 1, 1, 1, generator=generator)
    return Batch(torch.cat(crops), styles, strengths, deviations * grains)


def introduced(plan: Plan, paintings: int, step: int) -> int:
    """How many of the paintings are imitated at a step."""
    doublings = step // plan.doubling if plan.doubling else paintings.bit_length()
    return min(paintings, 1 << min(doublings, paintings.bit_length()))


def drawn_ahead(
    draw: Callable[[int], Batch], steps: range, ahead: int
) -> Generator[Batch, None, None]:
    """The batches of steps, in order; so many of them are drawn, by threads, before they are asked
    for."""
    if not ahead:
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(ahead) as pool:
        waiting: deque[Future[Batch]] = deque()
        for step in steps:
            waiting.append(pool.submit(draw, step))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def learning_rate(plan: Plan, step: int) -> float:
    """Rising over the first steps, then a cosine down to a fiftieth at the horizon."""
    rise = min(1.0, (step + 1) / WARM_UP)
    share = min(1.0, step / plan.steps)
    return plan.rate * rise * (LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * share)) / 2)


class Trainer:
    """A network being trained, its running average, and where in the run it is."""

    def __init__(
        self,
        plan: Plan,
        painter: Painter,
        encoder: Encoder,
        photos: Photos,
        paintings: Paintings,
        *,
        rank: int = 0,
        average: float = 0.998,
    ) -> None:
        """Begin at step 0.

        Args:
            plan: the settings.
            painter: to be trained, with a fitted code book, on the device to train on.
            encoder: VGG-19 with the taps of code and content, on the same device.
            photos: to repaint.
            paintings: to imitate.
            rank: of this process, where several train together by torch.distributed.
            average: decay of the running average of the weights.
        """
        self.plan, self.painter, self.encoder = plan, painter, encoder
        self.photos, self.paintings = photos, paintings
        self.rank, self.average, self.step = rank, average, 0
        self.device = next(painter.parameters()).device
        painter.half_precision = self.device.type == "cuda"
        self.averaged = {k: v.detach().clone() for k, v in painter.state_dict().items()}
        painter.requires_grad_(plan.fitted == "all")
        painter.normalization.requires_grad_(True)
        self._fitted = [p for p in painter.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self._fitted, plan.rate, weight_decay=1e-4)
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        forward = _Forward(painter)
        # Buffers are the code book, the same everywhere; the first process also paints alone.
        self._forward: nn.Module = (
            DistributedDataParallel(forward, broadcast_buffers=False) if together else forward
        )

    def run(self, until: int) -> Iterator[dict[str, float]]:
        """Train up to a step; yields each step's losses, among them ``step`` and ``rate``."""

        def draw(step: int) -> Batch:
            return draw_batch(self.plan, self.photos, len(self.paintings), step, self.rank)

        ahead = AHEAD if self.device.type == "cuda" else 0  # it would have to wait for them
        for batch in drawn_ahead(draw, range(self.step, until), ahead):
            rate = learning_rate(self.plan, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            parts = self.losses(batch)
            parts["total"].backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self._fitted, 1.0)
            if bool(norm.isfinite()):  # the same on every process, for gradients are averaged
                self.optimizer.step()
                self._follow()
            self.step += 1
            found = {name: float(value.detach()) for name, value in parts.items()}
            yield {"step": self.step, "rate": rate, "gradient": float(norm), **found}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Every loss of a batch by name, unweighted, and ``total``."""
        photos = batch.photos.to(self.device)
        with torch.no_grad():
            features = self._features(photos)
            own = self.painter.book.moments(photos, features)
        wanted = own if not batch.styles else self._wanted(own, batch)
        grained = photos + batch.grain.to(self.device)
        painted = self._forward(grained, self.painter.book.code(wanted))
        if not batch.styles:
            identity = (painted - photos).abs().mean()
            return {"identity": identity, "total": self.plan.identity * identity}
        return self._weighed(photos, painted, features, self._features(painted), wanted)

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        """Of VGG, whose convolutions are in bfloat16 where that is fast; what comes of them, and
        everything that is summed, is in float32."""
        with torch.autocast("cuda", torch.bfloat16, enabled=self.painter.half_precision):
            found = self.encoder(images)
        return {layer: values.float() for layer, values in found.items()}

    def _wanted(self, own: PictureMoments, batch: Batch) -> PictureMoments:
        theirs = self.paintings.moments(batch.styles)
        return own.blended(theirs, batch.strengths.to(self.device))

    def _weighed(
        self,
        photos: Tensor,
        painted: Tensor,
        features: dict[str, Tensor],
        made: dict[str, Tensor],
        wanted: PictureMoments,
    ) -> dict[str, Tensor]:
        moments = self.painter.book.moments(painted, made)
        content = sum(
            (w * losses.content_loss(made[k], features[k]) for k, w in CONTENT_LAYERS.items()),
            torch.zeros((), device=self.device),
        )
        parts = {
            "deviation": losses.deviation_loss(moments, wanted),
            "covariance": losses.covariance_loss(moments, wanted, COVARIANCE_WEIGHTS),
            "content": content,
            "structure": losses.structure_loss(painted, photos),
            "roughness": losses.roughness(painted),
            "bounds": losses.out_of_range(painted),
            "grid": losses.grid_loss(painted),
        }
        means = {name: value.mean() for name, value in parts.items()}
        weights = asdict(self.plan)
        total = sum((weights[n] * v for n, v in means.items()), torch.zeros((), device=self.device))
        return {**means, "total": total}

    @torch.no_grad()
    def _follow(self) -> None:
        # Not as slow as it will be from the first: the first weights are forgotten sooner.
        decay = min(self.average, (1 + self.step) / (10 + self.step))
        for name, value in self.painter.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)

    @torch.no_grad()
    def held_out(self, photos: Photos, paintings: Paintings, pairs: int = 16) -> dict[str, float]:
        """Losses of the averaged network on pairs it is not trained on, always the same."""
        plan = Plan(**{**asdict(self.plan), "batch": pairs, "seed": 1, "doubling": 0})
        batch = draw_batch(plan, photos, len(paintings), 0)
        full = replace(batch, strengths=torch.ones(pairs))
        trained = {k: v.clone() for k, v in self.painter.state_dict().items()}
        theirs, self.paintings = self.paintings, paintings
        try:
            self.painter.load_state_dict(self.averaged)
            return {name: float(value) for name, value in self.losses(full).items()}
        finally:
            self.painter.load_state_dict(trained)
            self.paintings = theirs

    def state(self) -> dict[str, Any]:
        """Everything that going on needs."""
        return {
            "step": self.step,
            "plan": asdict(self.plan),
            "painter": self.painter.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`, with this trainer's own plan."""
        self.step = state["step"]
        self.painter.load_state_dict(state["painter"])
        self.averaged = {k: v.to(self.device) for k, v in state["averaged"].items()}
        self.optimizer.load_state_dict(state["optimizer"])


class _Forward(nn.Module):
    """Codes to pictures, in one call, as data-parallel training wants it."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, photos: Tensor, codes: Tensor) -> Tensor:
        painted: Tensor = self.painter(photos, self.painter.style(codes[:, None]))
        return painted
