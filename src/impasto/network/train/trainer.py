"""Train the one-pass network step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from impasto.encoders.vgg import Encoder
from impasto.engine.hardware import choose_autocast
from impasto.network.model import Painter
from impasto.network.style_code import PictureMoments
from impasto.network.train import training_losses as losses
from impasto.network.train.batches import (
    Batch,
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


class Trainer:
    """Trains a network, and keeps the running average of its weights."""

    def __init__(
        self,
        plan: TrainingPlan,
        painter: Painter,
        encoder: Encoder,
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
        self.rank, self.average, self.step = rank, average, 0
        self.device = next(painter.parameters()).device
        painter.autocast = choose_autocast(plan.precision, self.device)
        self.averaged = {k: v.detach().clone() for k, v in painter.state_dict().items()}
        painter.requires_grad_(plan.fitted == "all")
        painter.normalization.requires_grad_(True)
        self._fitted = [p for p in painter.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self._fitted, plan.rate, weight_decay=1e-4)
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        forward = _PaintWithCodes(painter)
        # Buffers need no synchronization: the code book is the same in all processes.
        self._forward: nn.Module = (
            DistributedDataParallel(forward, forward_sync_buffers=False)
            if is_distributed
            else forward
        )

    def run(self, until: int) -> Iterator[dict[str, float]]:
        """Train up to a step; yield each step's losses, ``step``, ``rate`` and ``gradient``."""

        def draw(step: int) -> Batch:
            return draw_batch(self.plan, self.photos, len(self.paintings), step, self.rank)

        ahead = BATCHES_AHEAD if self.device.type == "cuda" else 0
        for batch in draw_ahead(draw, range(self.step, until), ahead):
            rate = compute_learning_rate(self.plan, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            parts = self.compute_losses(batch)
            parts["total"].backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(self._fitted, 1.0)
            if bool(norm.isfinite()):  # the same in all processes, because gradients are averaged
                self.optimizer.step()
                self._update_average()
            self.step += 1
            values = {name: float(value.detach()) for name, value in parts.items()}
            yield {"step": self.step, "rate": rate, "gradient": float(norm), **values}

    def compute_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch by name, without their weights, and ``total``."""
        photos = batch.photos.to(self.device)
        with torch.no_grad():
            features = self._encode(photos)
            own = self.painter.book.measure_moments(photos, features)
        target = own if not batch.styles else self._blend_targets(own, batch)
        painted = self._forward(batch.add_grain().to(self.device), self.painter.book.encode(target))
        if not batch.styles:
            identity = (painted - photos).abs().mean()
            return {"identity": identity, "total": self.plan.identity * identity}
        return self._weigh_losses(photos, painted, features, self._encode(painted), target)

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
        painted: Tensor,
        features: dict[str, Tensor],
        painted_features: dict[str, Tensor],
        target: PictureMoments,
    ) -> dict[str, Tensor]:
        moments = self.painter.book.measure_moments(painted, painted_features)
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
            "structure": losses.compute_structure_loss(painted, photos),
            "roughness": losses.compute_roughness_loss(painted),
            "bounds": losses.compute_bounds_loss(painted),
            "grid": losses.compute_grid_loss(painted),
        }
        means = {name: value.mean() for name, value in parts.items()}
        weights = asdict(self.plan)
        total = sum((weights[n] * v for n, v in means.items()), torch.zeros((), device=self.device))
        return {**means, "total": total}

    @torch.no_grad()
    def _update_average(self) -> None:
        # The average is faster at first, so that the initial weights are forgotten.
        decay = min(self.average, (1 + self.step) / (10 + self.step))
        for name, value in self.painter.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)

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
        trained = {k: v.clone() for k, v in self.painter.state_dict().items()}
        theirs, self.paintings = self.paintings, paintings
        try:
            self.painter.load_state_dict(self.averaged)
            return {name: float(value) for name, value in self.compute_losses(full).items()}
        finally:
            self.painter.load_state_dict(trained)
            self.paintings = theirs

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


class _PaintWithCodes(nn.Module):
    """Paints photos with codes in one forward call, as data-parallel training requires."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, photos: Tensor, codes: Tensor) -> Tensor:
        painted: Tensor = self.painter(photos, self.painter.modulate(codes[:, None]))
        return painted
