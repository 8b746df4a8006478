"""Train the one-pass network step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from impasto.encoders.vgg import VggEncoder
from impasto.engine.machine.hardware import choose_autocast
from impasto.network.network_files import KIND
from impasto.network.painter.grain import add_grain
from impasto.network.painter.model import Painter
from impasto.network.painter.style_code import PictureMoments
from impasto.network.train import training_losses as losses
from impasto.network.train.batches import (
    Batch,
    BatchT,
    TrainingPlan,
    compute_learning_rate,
    draw_ahead,
    draw_batch,
)
from impasto.network.train.training_paintings import Paintings
from impasto.network.train.training_photos import Photos

CONTENT_LAYERS = {"relu4_1": 1.0, "relu3_1": 0.3}
SIMILARITY_LAYER = "relu4_1"
COVARIANCE_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
"""Weights of the layers; a crop has few places for the covariance of the deepest one."""
BATCHES_AHEAD = 8
"""Batches that are drawn before a GPU needs them."""


PaintingsT = TypeVar("PaintingsT")


class NetworkTrainer(ABC, Generic[BatchT, PaintingsT]):
    """Trains a network, and keeps the running average of its weights.

    Subclasses define the batches, learning rates and losses.

    Attributes:
        kind: format of the network's files.
        plan: the settings, a dataclass.
        painter: the network.
        averaged: running average of its weights and buffers.
        step: number of finished steps.
        rank: rank of this process, if several train together.
        device: device of the network.
    """

    kind: str
    plan: Any
    painter: nn.Module

    def __init__(
        self, painter: nn.Module, optimizer: torch.optim.Optimizer, average: float, rank: int = 0
    ) -> None:
        """Start at step 0.

        Args:
            painter: network to train, on the device to train on.
            optimizer: optimizer of the weights that are trained.
            average: decay of the running average of the weights.
            rank: rank of this process, if several train together.
        """
        self.optimizer, self.average, self.rank, self.step = optimizer, average, rank, 0
        self.device = next(painter.parameters()).device
        self.averaged = {k: v.detach().clone() for k, v in painter.state_dict().items()}

    @abstractmethod
    def draw_batch(self, step: int) -> BatchT:
        """Draw the batch of a step, which is a function of the plan and the step."""

    @abstractmethod
    def compute_rate(self, step: int) -> float:
        """Compute the learning rate of a step."""

    @abstractmethod
    def compute_losses(self, batch: BatchT) -> dict[str, Tensor]:
        """Compute the losses of a batch by name, without their weights, and ``total``."""

    @abstractmethod
    def evaluate(self, photos: Photos, paintings: PaintingsT) -> dict[str, float]:
        """Compute the losses of the averaged network on held-out pairs, always the same ones.

        Returns:
            The losses by name at full strength, without their weights, and ``total``.
        """

    @abstractmethod
    def paint_samples(
        self, contents: Sequence[Tensor], paintings: PaintingsT, index: int
    ) -> list[Tensor]:
        """Paint photos, each [1, 3, H, W], in the style of one painting by the averaged network."""

    def run(self, until: int) -> Iterator[dict[str, float]]:
        """Train up to a step; yield each step's losses, ``step``, ``rate`` and ``gradient``."""
        weights = [w for group in self.optimizer.param_groups for w in group["params"]]
        ahead = BATCHES_AHEAD if self.device.type == "cuda" else 0
        for batch in draw_ahead(self.draw_batch, range(self.step, until), ahead):
            rate = self.compute_rate(self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            parts = self.compute_losses(batch)
            parts["total"].backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(weights, 1.0)
            if bool(norm.isfinite()):  # the same in all processes, because gradients are averaged
                self.optimizer.step()
                self._update_average()
            self.step += 1
            values = {name: float(value.detach()) for name, value in parts.items()}
            yield {"step": self.step, "rate": rate, "gradient": float(norm), **values}

    @torch.no_grad()
    def _update_average(self) -> None:
        # The average is faster at first, so that the initial weights are forgotten.
        decay = min(self.average, (1 + self.step) / (10 + self.step))
        for name, value in self.painter.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)

    @contextmanager
    def use_average(self) -> Iterator[None]:
        """Give the network its averaged weights within the block."""
        trained = {k: v.clone() for k, v in self.painter.state_dict().items()}
        try:
            self.painter.load_state_dict(self.averaged)
            yield
        finally:
            self.painter.load_state_dict(trained)

    def get_state(self) -> dict[str, Any]:
        """Return the state that :meth:`restore` needs."""
        return {
            "step": self.step,
            "plan": asdict(self.plan),
            "painter": self.painter.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of :meth:`get_state`, with this trainer's own plan."""
        self.step = state["step"]
        self.painter.load_state_dict(state["painter"])
        self.averaged = {k: v.to(self.device) for k, v in state["averaged"].items()}
        self.optimizer.load_state_dict(state["optimizer"])


class Trainer(NetworkTrainer[Batch, Paintings]):
    """Trains the network of :mod:`impasto.network.painter.model`."""

    kind = KIND
    plan: TrainingPlan
    painter: Painter

    def __init__(
        self,
        plan: TrainingPlan,
        painter: Painter,
        encoder: VggEncoder,
        photos: Photos,
        paintings: Paintings,
        *,
        rank: int = 0,
        average: float = 0.998,
    ) -> None:
        """Start at step 0.

        Args:
            plan: the settings.
            painter: network to train, with a fitted code book, on the device to train on.
            encoder: VGG-19 with the taps of code and content, on the same device.
            photos: photos to paint.
            paintings: paintings to imitate.
            rank: rank of this process, if several train together with torch.distributed.
            average: decay of the running average of the weights.
        """
        self.plan, self.painter, self.encoder = plan, painter, encoder
        self.photos, self.paintings = photos, paintings
        painter.requires_grad_(plan.fitted == "all")
        painter.normalization.requires_grad_(True)
        weights = [p for p in painter.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, plan.rate, weight_decay=1e-4)
        super().__init__(painter, optimizer, average, rank)
        painter.autocast = choose_autocast(plan.precision, self.device)
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        forward = _PaintWithCodes(painter)
        # Buffers need no synchronization: the code book is the same in all processes.
        self._forward: nn.Module = (
            DistributedDataParallel(forward, forward_sync_buffers=False)
            if is_distributed
            else forward
        )

    def draw_batch(self, step: int) -> Batch:
        """Draw the batch of a step for this process."""
        return draw_batch(self.plan, self.photos, len(self.paintings), step, self.rank)

    def compute_rate(self, step: int) -> float:
        """Compute the learning rate of a step, see :func:`.batches.compute_learning_rate`."""
        return compute_learning_rate(self.plan, step)

    def compute_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch by name, without their weights, and ``total``."""
        photos = batch.photos.to(self.device)
        with torch.no_grad():
            features = self._encode(photos)
            own = self.painter.book.measure_moments(photos, features)
        target = own if not batch.styles else self._blend_targets(own, batch)
        output = self._forward(batch.add_grain().to(self.device), self.painter.book.encode(target))
        if not batch.styles:
            identity = (output - photos).abs().mean()
            return {"identity": identity, "total": self.plan.identity * identity}
        return self._weigh_losses(photos, output, features, self._encode(output), target)

    def _encode(self, images: Tensor) -> dict[str, Tensor]:
        """Compute features of VGG in float32; its convolutions may run in bfloat16."""
        dtype = self.painter.autocast
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            features = self.encoder(images)
        return {layer: values.float() for layer, values in features.items()}

    def _blend_targets(self, own: PictureMoments, batch: Batch) -> PictureMoments:
        theirs = self.paintings.load_moments(batch.styles)
        return own.blend(theirs, batch.strengths.to(self.device))

    def _weigh_losses(
        self,
        photos: Tensor,
        output: Tensor,
        features: dict[str, Tensor],
        painted_features: dict[str, Tensor],
        target: PictureMoments,
    ) -> dict[str, Tensor]:
        moments = self.painter.book.measure_moments(output, painted_features)
        content = sum(
            (
                w * losses.compute_content_loss(painted_features[k], features[k])
                for k, w in CONTENT_LAYERS.items()
            ),
            torch.zeros((), device=self.device),
        )
        parts = {
            "deviation": losses.compute_deviation_loss(moments, target),
            "covariance": losses.compute_covariance_loss(moments, target, COVARIANCE_WEIGHTS),
            "content": content,
            "similarity": losses.compute_similarity_loss(
                painted_features[SIMILARITY_LAYER], features[SIMILARITY_LAYER]
            ),
            "structure": losses.compute_structure_loss(output, photos),
            "roughness": losses.compute_roughness_loss(output),
            "bounds": losses.compute_bounds_loss(output),
            "grid": losses.compute_grid_loss(output),
        }
        means = {name: value.mean() for name, value in parts.items()}
        weights = asdict(self.plan)
        total = sum((weights[n] * v for n, v in means.items()), torch.zeros((), device=self.device))
        return {**means, "total": total}

    @torch.no_grad()
    def evaluate(self, photos: Photos, paintings: Paintings, pairs: int = 16) -> dict[str, float]:
        """Compute the losses of the averaged network on held-out pairs, always the same ones.

        Args:
            photos, paintings: held-out pictures.
            pairs: number of pairs, in one batch.

        Returns:
            The losses by name at full strength, without their weights, and ``total``.
        """
        plan = TrainingPlan(**{**asdict(self.plan), "batch": pairs, "seed": 1, "doubling": 0})
        batch = draw_batch(plan, photos, len(paintings), 0)
        full = replace(batch, strengths=torch.ones(pairs), amounts=torch.ones_like(batch.amounts))
        theirs, self.paintings = self.paintings, paintings
        try:
            with self.use_average():
                return {name: float(value) for name, value in self.compute_losses(full).items()}
        finally:
            self.paintings = theirs

    @torch.no_grad()
    def paint_samples(
        self, contents: Sequence[Tensor], paintings: Paintings, index: int
    ) -> list[Tensor]:
        """Paint photos with grain in the style of a painting by the averaged network."""
        code = paintings.book.encode(paintings.load_moments([(index, 0)]))
        with self.use_average():
            style = self.painter.modulate(code[:, None])
            return [self.painter(add_grain(each.to(self.device)), style) for each in contents]


class _PaintWithCodes(nn.Module):
    """Paints photos with codes in one forward call, as data-parallel training requires."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, photos: Tensor, codes: Tensor) -> Tensor:
        output: Tensor = self.painter(photos, self.painter.modulate(codes[:, None]))
        return output
