"""Training of the one-pass network: its losses, one step after the other."""

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
from impasto.network.train.batches import Batch, Plan, draw_batch, drawn_ahead, learning_rate
from impasto.network.train.training_paintings import Paintings
from impasto.network.train.training_photos import Photos

CONTENT_LAYERS = {"relu4_1": 1.0, "relu3_1": 0.3}
SIMILARITY_LAYER = "relu4_1"
COVARIANCE_WEIGHTS = (1.0, 1.0, 1.0, 0.5)
"""Of the layers; a crop has few positions for the covariance of the deepest."""
AHEAD = 8
"""Batches that are drawn before a GPU asks for them."""


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
        painter.autocast = choose_autocast(plan.precision, self.device)
        self.averaged = {k: v.detach().clone() for k, v in painter.state_dict().items()}
        painter.requires_grad_(plan.fitted == "all")
        painter.normalization.requires_grad_(True)
        self._fitted = [p for p in painter.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self._fitted, plan.rate, weight_decay=1e-4)
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        forward = _Forward(painter)
        # Buffers are the code book, the same everywhere; the first process also paints alone.
        self._forward: nn.Module = (
            DistributedDataParallel(forward, forward_sync_buffers=False) if together else forward
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
        painted = self._forward(batch.grained().to(self.device), self.painter.book.code(wanted))
        if not batch.styles:
            identity = (painted - photos).abs().mean()
            return {"identity": identity, "total": self.plan.identity * identity}
        return self._weighed(photos, painted, features, self._features(painted), wanted)

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        """Of VGG, whose convolutions may be in bfloat16; what comes of them, and everything that
        is summed, is in float32."""
        dtype = self.painter.autocast
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
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
            "similarity": losses.similarity_loss(
                made[SIMILARITY_LAYER], features[SIMILARITY_LAYER]
            ),
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
        """Losses of the averaged network on pairs it is not trained on, always the same.

        Args:
            photos, paintings: that were held out.
            pairs: how many, in one batch.

        Returns:
            Every loss by name, unweighted, and ``total``, at full strength.
        """
        plan = Plan(**{**asdict(self.plan), "batch": pairs, "seed": 1, "doubling": 0})
        batch = draw_batch(plan, photos, len(paintings), 0)
        full = replace(batch, strengths=torch.ones(pairs), amounts=torch.ones_like(batch.amounts))
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
