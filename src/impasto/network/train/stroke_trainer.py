"""Train the stroke network: the settings of a run, its batches and its losses.

As in :mod:`impasto.network.train.batches`, a batch depends on the seed and the step only. The
learning rate is constant, so that the running average of the weights is good whenever the run is
stopped. A fall to zero can be added at the end (warmup-stable-decay, Hu et al., arXiv:2404.06395).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.encoders.weights import load_vgg
from impasto.engine.machine.hardware import choose_autocast
from impasto.image.files.atomic import replace_atomically
from impasto.network.network_files import STROKE_KIND
from impasto.network.painter.color_map import measure_color_moments
from impasto.network.painter.grade import CELL
from impasto.network.painter.style_code import PictureMoments
from impasto.network.strokes import NOISE_SIDE, StrokeBook, StrokePainter
from impasto.network.train import stroke_losses, training_losses
from impasto.network.train.batches import SHUFFLE, WARM_UP, count_introduced
from impasto.network.train.stroke_targets import (
    STROKE_SIDES,
    TAPS,
    StrokeGauge,
    StrokeTarget,
    StrokeTargets,
    halve,
)
from impasto.network.train.trainer import NetworkTrainer
from impasto.network.train.training_paintings import VARIANTS
from impasto.network.train.training_photos import (
    Photos,
    read_next_picture,
    resize_shorter_side,
    to_batch,
)

OWN_STYLE_EVERY = 16
"""Steps from one batch that asks for each photo's own style to the next."""
BLENDED_BATCHES = 0.15
"""Share of the batches whose styles are blended with the photos' own."""
NOISELESS = 0.1
"""Share of the photos that are painted without noise, as frames of films are."""
ENLARGED = 0.5
"""Share of the crops from an enlarged photo, because larger pictures have larger flat areas."""
STEP_DIRECTIONS = 32
"""Directions of patches in a step."""
SCALE_WEIGHTS = {"full": (1.0, 1.0, 1.0, 0.5), "half": (0.5, 1.0, 1.0)}
"""Weights of the layers' covariances by scale."""
STROKE_BOOK_PAINTINGS = 160
"""Paintings that the code book is fitted to."""


@dataclass(frozen=True)
class StrokePlan:
    """Settings of a run that trains the stroke network.

    Attributes:
        steps: last step.
        batch: pairs per step.
        side: side of the crops in pixels.
        rate: learning rate of AdamW.
        seed: seed of batches and initial weights.
        doubling: steps after which the number of paintings doubles, from one to all. 0: all
            paintings from the start.
        average: decay of the running average of the weights.
        fall: first step and number of steps of a linear fall of the learning rate to zero. None:
            the rate stays constant.
        precision: precision of convolutions, see :class:`.batches.TrainingPlan`.
        deviation, covariance: weights of the losses of features at full size.
        half_deviation, half_covariance: weights of the losses of features at half size.
        patches, energy, content, similarity, halo, emboss, roughness, bounds, grid, identity:
            weights of the other losses.
    """

    steps: int = 40_000
    batch: int = 4
    side: int = 256
    rate: float = 5e-4
    seed: int = 0
    doubling: int = 80
    average: float = 0.999
    fall: tuple[int, int] | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    deviation: float = 10.0
    covariance: float = 10.0
    half_deviation: float = 5.0
    half_covariance: float = 5.0
    patches: float = 4.0
    energy: float = 2.0
    content: float = 0.1
    similarity: float = 6.0
    halo: float = 300.0
    emboss: float = 1.0
    roughness: float = 0.1
    bounds: float = 10.0
    grid: float = 5.0
    identity: float = 10.0


@dataclass(frozen=True)
class StrokeBatch:
    """The pairs of one training step.

    Attributes:
        photos: crops [N, 3, S, S] in [0, 1].
        styles: (painting, variant) that each photo imitates. Empty: each photo's own style.
        strengths: [N] in [0, 1], share of the style in its blend with the photo's own.
        noise: [N], factor of the noise.
        origins: top and left in pixels where each photo starts in the noise.
        directions: [K], directions of patches.
    """

    photos: Tensor
    styles: list[tuple[int, int]]
    strengths: Tensor
    noise: Tensor
    origins: list[tuple[int, int]]
    directions: Tensor


def draw_stroke_batch(plan: StrokePlan, photos: Photos, paintings: int, step: int) -> StrokeBatch:
    """Draw the batch of a step, which is a function of the arguments.

    Args:
        plan: settings of the run.
        photos: photos to crop.
        paintings: number of paintings.
        step: step from 0.
    """
    generator = torch.Generator().manual_seed(plan.seed + 1_000_003 * step)

    def draw_indices(limit: int) -> list[int]:
        return torch.randint(limit, (plan.batch,), generator=generator).tolist()

    crops = [crop_photo(photos, k, plan.side, generator) for k in draw_indices(len(photos))]
    introduced = count_introduced(plan.doubling, paintings, step)
    indices = [k * SHUFFLE % paintings for k in draw_indices(introduced)]
    styles = list(zip(indices, draw_indices(VARIANTS), strict=True))
    draws = torch.rand(3, plan.batch, generator=generator)
    strengths = torch.ones(plan.batch)
    if draws[0, 0] < BLENDED_BATCHES:
        strengths = 0.1 + 0.9 * draws[1]
    noise = (draws[2] >= NOISELESS).float()
    places = NOISE_SIDE // CELL
    corners = zip(draw_indices(places), draw_indices(places), strict=True)
    origins = [(CELL * top, CELL * left) for top, left in corners]
    directions = torch.randperm(stroke_losses.DIRECTIONS, generator=generator)[:STEP_DIRECTIONS]
    if step % OWN_STYLE_EVERY == OWN_STYLE_EVERY - 1:
        styles, strengths = [], torch.ones(plan.batch)
    return StrokeBatch(torch.cat(crops), styles, strengths, noise, origins, directions)


def crop_photo(photos: Photos, index: int, side: int, generator: torch.Generator) -> Tensor:
    """Crop a random part [1, 3, side, side] in [0, 1], mirrored or not.

    Half of the crops are from the photo enlarged up to 1.6 times, the others from the photo at a
    random scale that shows at most the whole of it.
    """
    square = to_batch(photos.squares[index])
    draw = torch.rand(5, generator=generator).tolist()
    own = square.shape[2]
    least, most = (own, 1.6 * own) if draw[4] < ENLARGED else (side, own)
    scaled = round(max(side, least + draw[0] * (most - least)))
    if scaled != own:
        square = F.interpolate(square, (scaled, scaled), mode="bicubic", antialias=True)
    top, left = (int(d * (scaled - side + 1)) for d in draw[1:3])
    part = square[:, :, top : top + side, left : left + side].clamp(0, 1)
    return part.flip(3) if draw[3] < 0.5 else part


class StrokeTrainer(NetworkTrainer[StrokeBatch, StrokeTargets]):
    """Trains the stroke network of :mod:`impasto.network.strokes`."""

    kind = STROKE_KIND
    plan: StrokePlan
    painter: StrokePainter

    def __init__(
        self,
        plan: StrokePlan,
        painter: StrokePainter,
        gauge: StrokeGauge,
        photos: Photos,
        paintings: StrokeTargets,
    ) -> None:
        """Start at step 0.

        Args:
            plan: the settings.
            painter: network to train, with a fitted code book, on the device to train on.
            gauge: measures pictures, on the same device.
            photos: photos to paint.
            paintings: paintings to imitate.
        """
        self.plan, self.painter, self.gauge = plan, painter, gauge
        self.photos, self.paintings = photos, paintings
        optimizer = torch.optim.AdamW(
            painter.parameters(), plan.rate, betas=(0.9, 0.99), weight_decay=1e-4
        )
        super().__init__(painter, optimizer, plan.average)

    def draw_batch(self, step: int) -> StrokeBatch:
        """Draw the batch of a step, see :func:`draw_stroke_batch`."""
        return draw_stroke_batch(self.plan, self.photos, len(self.paintings), step)

    def compute_rate(self, step: int) -> float:
        """Compute the learning rate of a step: a linear rise, a constant, and the fall if any."""
        share = min(1.0, (step + 1) / WARM_UP)
        if self.plan.fall is not None:
            first, steps = self.plan.fall
            share *= max(0.0, min(1.0, 1 - (step - first) / steps))
        return self.plan.rate * share

    def compute_losses(self, batch: StrokeBatch) -> dict[str, Tensor]:
        """Compute the losses of a batch by name, without their weights, and ``total``."""
        photos, strengths = batch.photos.to(self.device), batch.strengths.to(self.device)
        with torch.no_grad():
            needs_own = not batch.styles or bool((batch.strengths < 1).any())
            features = self.gauge.encode(photos, shallow=not needs_own)
            own = None
            if needs_own:
                own = self.gauge.measure_scale(features, "full"), measure_color_moments(photos)
        if not batch.styles:
            assert own is not None
            output, _ = self._paint(batch, photos, self.gauge.encode_style(*own))
            identity = (output - photos).abs().mean()
            return {"identity": identity, "total": self.plan.identity * identity}
        target = self.paintings.load_targets(batch.styles)
        full, color = target.full, target.color
        if own is not None:
            full = own[0].blend(target.full, strengths)
            color = torch.lerp(own[1], target.color, strengths[:, None])
        output, toned = self._paint(batch, photos, self.gauge.encode_style(full, color))
        result = self.gauge.encode(output)
        parts = self._compare_with_painting(output, result, full, target, batch)
        parts |= self._compare_with_photo(output, toned.detach(), result, features)
        means = {name: value.mean() for name, value in parts.items()}
        weights = asdict(self.plan)
        total: Tensor = torch.stack([weights[name] * v for name, v in means.items()]).sum()
        return {**means, "total": total}

    def _paint(self, batch: StrokeBatch, photos: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        amounts = batch.strengths.to(self.device)[:, None]
        style = self.painter.modulate(codes[:, None], amounts)
        return self.painter.paint_and_tone(
            photos, style, origins=batch.origins, loudness=batch.noise.to(self.device)
        )

    def _compare_with_painting(
        self,
        output: Tensor,
        result: Mapping[str, Tensor],
        full_target: stroke_losses.FeatureMoments,
        target: StrokeTarget,
        batch: StrokeBatch,
    ) -> dict[str, Tensor]:
        """Compute the losses of style, [N] each.

        Args:
            output: [N, 3, S, S].
            result: its features.
            full_target: moments at full size, blended with those of the photos.
            target: target of the paintings alone.
            batch: strengths and directions.
        """
        channels, correlations = (
            stroke_losses.compute_channel_loss,
            stroke_losses.compute_correlation_loss,
        )
        full = self.gauge.measure_scale(dict(result), "full")
        half = self.gauge.measure_scale(self.gauge.encode(halve(output), shallow=True), "half")
        layers = self.gauge.measure_layers(dict(result), batch.directions)
        patches = [
            stroke_losses.compute_patch_loss(v, target.patches[layer][:, batch.directions])
            for layer, v in layers.items()
        ]
        energy = stroke_losses.compute_energy_loss(
            stroke_losses.measure_energy(output), target.energy
        )
        # These parts of the target cannot be blended with the photos'.
        is_whole = (batch.strengths == 1).float().to(self.device)
        return {
            "deviation": channels(full, full_target),
            "covariance": correlations(full, full_target, SCALE_WEIGHTS["full"]),
            "half_deviation": is_whole * channels(half, target.half),
            "half_covariance": is_whole * correlations(half, target.half, SCALE_WEIGHTS["half"]),
            "patches": is_whole * torch.stack(patches).mean(0),
            "energy": is_whole * energy,
        }

    def _compare_with_photo(
        self,
        output: Tensor,
        toned: Tensor,
        result: Mapping[str, Tensor],
        features: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Compute the losses of content, rings and texture, [N] each; ``grid`` is a scalar."""
        deep, deep_photo = (each["relu4_1"].float() for each in (result, features))
        return {
            "content": training_losses.compute_content_loss(deep, deep_photo),
            "similarity": training_losses.compute_similarity_loss(deep, deep_photo, stride=2),
            "halo": stroke_losses.compute_halo_loss(output, toned),
            "emboss": stroke_losses.compute_emboss_loss(output, toned),
            "roughness": training_losses.compute_roughness_loss(output),
            "bounds": training_losses.compute_bounds_loss(output),
            "grid": training_losses.compute_grid_loss(output, CELL),
        }

    @torch.no_grad()
    def evaluate(
        self, photos: Photos, paintings: StrokeTargets, pairs: int = 16
    ) -> dict[str, float]:
        """Compute the losses of the averaged network on held-out pairs, always the same ones.

        Args:
            photos, paintings: held-out pictures. Photos are used whole.
            pairs: number of pairs.

        Returns:
            The losses by name at full strength, without their weights, and ``total``.
        """
        theirs, self.paintings = self.paintings, paintings
        results: list[dict[str, float]] = []
        try:
            with self.use_average():
                for first in range(0, pairs, self.plan.batch):
                    indices = range(first, min(pairs, first + self.plan.batch))
                    batch = select_held_out(photos, len(paintings), indices, pairs)
                    losses = self.compute_losses(batch)
                    results.append({name: float(value) for name, value in losses.items()})
        finally:
            self.paintings = theirs
        return {name: sum(each[name] for each in results) / len(results) for name in results[0]}

    @torch.no_grad()
    def paint_samples(
        self, contents: Sequence[Tensor], paintings: StrokeTargets, index: int
    ) -> list[Tensor]:
        """Paint photos in the style of a painting by the averaged network."""
        target = paintings.load_targets([(index, 0)])
        code = self.gauge.encode_style(target.full, target.color)
        with self.use_average():
            style = self.painter.modulate(code[:, None])
            return [self.painter(each.to(self.device), style) for each in contents]


def select_held_out(photos: Photos, paintings: int, numbers: range, pairs: int) -> StrokeBatch:
    """Select some of the held-out pairs: whole photos and unchanged paintings at full strength.

    Args:
        photos: held-out photos.
        paintings: number of held-out paintings.
        numbers: indices of the selected pairs.
        pairs: number of all pairs.
    """
    squares = [to_batch(photos.squares[k * len(photos) // pairs]) for k in numbers]
    styles = [(k * paintings // pairs, 0) for k in numbers]
    ones = torch.ones(len(squares))
    directions = torch.arange(stroke_losses.DIRECTIONS)
    return StrokeBatch(torch.cat(squares), styles, ones, ones, [(0, 0)] * len(squares), directions)


def make_stroke_trainer(
    plan: StrokePlan,
    device: torch.device,
    photos: Photos,
    paintings: Sequence[Sequence[Path]],
    cache: Path,
) -> tuple[StrokeTrainer, StrokeTargets]:
    """Make a trainer of the stroke network at step 0.

    Args:
        plan: the settings.
        device: device to train on.
        photos: photos to train on.
        paintings: paintings to train on, and held-out paintings.
        cache: folder of the caches.

    Returns:
        The trainer, and the held-out paintings.
    """
    painter = StrokePainter()
    book, deepest = _load_stroke_book(paintings[0], plan.seed, cache)
    painter.book.load_state_dict(book.state_dict())
    painter.autocast = choose_autocast(plan.precision, device)
    gauge = StrokeGauge(deepcopy(book), deepest, painter.autocast, device)
    layout = torch.channels_last  # the fastest layout for convolutions
    painter = painter.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    targets, held_out = (StrokeTargets(paths, cache, gauge) for paths in paintings)
    return StrokeTrainer(plan, painter, gauge, photos, targets), held_out


def _load_stroke_book(
    paintings: Sequence[Path], seed: int, cache: Path
) -> tuple[StrokeBook, float]:
    """Load the code book of an earlier run and the root mean square of relu5_1, or fit them."""
    path = cache / f"book-{seed}.pt"
    if not path.exists():
        fitted, root = fit_stroke_book(paintings, seed)
        with replace_atomically(path) as temporary, temporary.open("wb") as file:
            torch.save({"book": fitted.state_dict(), "deepest": root}, file)
    saved = torch.load(path, weights_only=True)
    book = StrokeBook()
    book.load_state_dict(saved["book"])
    return book, saved["deepest"]


def fit_stroke_book(paintings: Sequence[Path], seed: int) -> tuple[StrokeBook, float]:
    """Fit a code book to some of the paintings, which the seed chooses.

    Returns:
        The code book, and the root mean square of relu5_1.
    """
    book, encoder = StrokeBook(), load_vgg("vgg19", TAPS, padding="replicate")
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(paintings), generator=generator)[:STROKE_BOOK_PAINTINGS].tolist()
    moments, deepest = [], []
    dtype = choose_autocast("auto", torch.device("cpu"))
    for number, index in enumerate(indices):
        picture = resize_shorter_side(read_next_picture(paintings, index), STROKE_SIDES[number % 2])
        image = to_batch(picture.pixels)
        with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype is not None):
            features = {k: v.float() for k, v in encoder(image).items()}
        moments.append(book.measure_moments(image, features))
        deepest.append(features["relu5_1"].square().mean())
    book.fit(
        PictureMoments(
            [torch.cat(layer) for layer in zip(*(m.means for m in moments), strict=True)],
            [torch.cat(layer) for layer in zip(*(m.seconds for m in moments), strict=True)],
            torch.cat([m.grade for m in moments]),
        )
    )
    return book, float(torch.stack(deepest).mean().sqrt())
