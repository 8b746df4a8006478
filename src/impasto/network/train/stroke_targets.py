"""Measure what the stroke network imitates in paintings, once, and cache it in a file.

A target consists of moments of VGG-19's features of the painting, and of the painting at half its
size so that larger strokes count too, distributions of patches of features, and the distribution of
the energy of octaves of luma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.encoders.layers import BLOCK_CHANNELS
from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weights import load_vgg
from impasto.image.files.atomic import make_folder, report_write_errors
from impasto.network.painter.color_map import COLOR_NUMBERS, measure_color_moments
from impasto.network.painter.style_code import LAYERS, PictureMoments
from impasto.network.strokes import StrokeBook
from impasto.network.train.stroke_losses import (
    BANDS,
    BINS,
    DIRECTIONS,
    ENERGY_BINS,
    FeatureMoments,
    measure_covariance,
    measure_energy,
    measure_patches,
    measure_variance,
)
from impasto.network.train.training_paintings import VARIANTS, make_variant
from impasto.network.train.training_photos import (
    compute_fingerprint,
    read_next_picture,
    resize_shorter_side,
    to_batch,
)

TAPS = (*LAYERS, "relu5_1")
"""Layers whose moments are imitated."""
COVARIANCE_LAYERS = {"full": LAYERS, "half": LAYERS[:3]}
"""Layers with enough places for a covariance, by scale; the others have variances."""
SCALE_LAYERS = {"full": TAPS, "half": LAYERS}
"""Layers by scale."""
PATCH_STRIDES = {"relu2_1": 3, "relu3_1": 2, "relu4_1": 1}
"""Places between patches by layer."""
STROKE_SIDES = (256, 192, 160)
"""Shorter sides of a painting in pixels, which set the size of its strokes relative to a crop."""


def _list_parts() -> list[tuple[str, tuple[int, ...]]]:
    """List the names and shapes of the parts of a row; covariances are triangles."""
    channels = dict(zip(TAPS, BLOCK_CHANNELS, strict=True))
    parts: list[tuple[str, tuple[int, ...]]] = [("color", (COLOR_NUMBERS,))]
    for scale, layers in SCALE_LAYERS.items():
        for layer in layers:
            c = channels[layer]
            is_full = layer in COVARIANCE_LAYERS[scale]
            parts += [("mean", (c,)), ("covariance", (c * (c + 1) // 2 if is_full else c,))]
    parts += [("patches", (DIRECTIONS, BINS))] * len(PATCH_STRIDES)
    return [*parts, ("energy", (BANDS, ENERGY_BINS))]


ROW_PARTS = _list_parts()
ROW_NUMBERS = sum(int(np.prod(shape)) for _, shape in ROW_PARTS)
"""Length of a row of the cache file."""


@dataclass(frozen=True)
class StrokeTarget:
    """Statistics of N pictures.

    Attributes:
        color: [N, 12], color moments.
        full, half: moments of features of the pictures, and of the pictures at half their size.
        patches: [N, K, BINS] by layer, see :func:`.stroke_losses.measure_patches`.
        energy: [N, BANDS, ENERGY_BINS], see :func:`.stroke_losses.measure_energy`.
    """

    color: Tensor
    full: FeatureMoments
    half: FeatureMoments
    patches: dict[str, Tensor]
    energy: Tensor


class StrokeGauge:
    """Measures pictures with VGG-19, in the units of a code book."""

    def __init__(
        self,
        book: StrokeBook,
        deepest: float,
        autocast: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Load the encoder and set the units.

        Args:
            book: fitted code book; its units are root mean squares of the first four layers.
            deepest: root mean square of relu5_1.
            autocast: type of the convolutions. None: float32.
            device: device of the encoder. None: the CPU.
        """
        self.device = device or torch.device("cpu")
        self.encoder, self._shallow = (
            _load_vgg(taps, autocast, self.device) for taps in (TAPS, LAYERS)
        )
        self.book, self.autocast = book.to(self.device), autocast
        self.units = dict(zip(TAPS, [*book.units.tolist(), deepest], strict=True))

    def encode(self, image: Tensor, *, shallow: bool = False) -> dict[str, Tensor]:
        """Compute the features of pictures in the type of the convolutions.

        Args:
            image: [N, 3, H, W] in [0, 1].
            shallow: leave relu5_1 out.
        """
        dtype, encoder = self.autocast, self._shallow if shallow else self.encoder
        with torch.autocast(image.device.type, dtype, enabled=dtype is not None):
            return encoder(image)  # type: ignore[no-any-return]

    def measure_scale(self, features: dict[str, Tensor], scale: str) -> FeatureMoments:
        """Measure the moments of features for a scale, ``full`` or ``half``."""
        means, covariances = [], []
        for layer in SCALE_LAYERS[scale]:
            unit, values = self.units[layer], features[layer]
            is_full = layer in COVARIANCE_LAYERS[scale]
            mean, second = (measure_covariance if is_full else measure_variance)(values)
            means.append(mean / unit)
            covariances.append(second / unit**2)
        return FeatureMoments(means, covariances)

    def measure_layers(self, features: dict[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
        """Measure patches of each layer along chosen directions, see ``measure_patches``."""
        return {
            layer: measure_patches(features[layer], indices, stride) / self.units[layer]
            for layer, stride in PATCH_STRIDES.items()
        }

    @torch.no_grad()
    def measure(self, image: Tensor) -> StrokeTarget:
        """Measure the target of pictures [N, 3, H, W] in [0, 1]."""
        features, small = self.encode(image), self.encode(halve(image), shallow=True)
        return StrokeTarget(
            color=measure_color_moments(image),
            full=self.measure_scale(features, "full"),
            half=self.measure_scale(small, "half"),
            patches=self.measure_layers(features, torch.arange(DIRECTIONS)),
            energy=measure_energy(image),
        )

    def encode_style(self, moments: FeatureMoments, color: Tensor) -> Tensor:
        """Convert moments at full size and color moments to codes [N, STROKE_CODE_NUMBERS]."""
        means = moments.means[: len(LAYERS)]
        pairs = zip(means, moments.covariances, strict=False)
        seconds = [cov + mean[:, :, None] * mean[:, None] for mean, cov in pairs]
        return self.book.encode(PictureMoments(means, seconds, color))


def _load_vgg(
    taps: Sequence[str], autocast: torch.dtype | None, device: torch.device
) -> VggEncoder:
    """Load VGG-19 with padding that is not dark, and weights in the type of the convolutions."""
    encoder = load_vgg("vgg19", taps, device=device, padding="replicate")
    for name, value in list(encoder.named_buffers()):
        if autocast is not None and name.endswith(("_weight", "_bias")):
            setattr(encoder, name, value.to(autocast))
    return encoder


def halve(image: Tensor) -> Tensor:
    """Halve the size of [N, C, H, W]."""
    return F.avg_pool2d(image, 2)


class StrokeTargets:
    """Paintings with the targets of their variants, in half precision.

    Targets are measured when they are first needed, and cached, so that a run starts at once.
    """

    def __init__(self, paths: Sequence[Path], cache: Path, gauge: StrokeGauge) -> None:
        """Open the cache files of these paintings, or create them.

        Args:
            paths: the paintings.
            cache: folder of the cache files, which take 0.45 MB per measured variant.
            gauge: measures the paintings; the files are in its units.
        """
        self.paths, self.gauge = list(paths), gauge
        make_folder(cache)
        units = "-".join(f"{unit:.4g}" for unit in gauge.units.values())
        name = f"targets-{compute_fingerprint(self.paths)}-{units}-{ROW_NUMBERS}-{VARIANTS}"
        number = len(self.paths) * VARIANTS
        with report_write_errors(cache / name):
            self._rows = _map_array(cache / f"{name}.f16", np.float16, (number, ROW_NUMBERS))
            self._is_measured = _map_array(cache / f"{name}.done", np.uint8, (number,))

    def __len__(self) -> int:
        return len(self.paths)

    def load_targets(self, variants: Sequence[tuple[int, int]]) -> StrokeTarget:
        """Load or measure the targets of (painting, variant) pairs, on the gauge's device."""
        rows = torch.from_numpy(np.stack([self._load_row(*each) for each in variants]))
        return unpack_target(rows.to(self.gauge.device))

    def _load_row(self, index: int, variant: int) -> NDArray[np.float16]:
        place = index * VARIANTS + variant
        if not self._is_measured[place]:
            side = STROKE_SIDES[variant % len(STROKE_SIDES)]
            picture = resize_shorter_side(read_next_picture(self.paths, index), side)
            image = make_variant(to_batch(picture.pixels), variant, index)
            target = self.gauge.measure(image.to(self.gauge.device))
            self._rows[place] = pack_target(target).cpu().numpy()
            self._rows.flush()  # before the row is marked
            self._is_measured[place] = 1
        return np.array(self._rows[place])


def _map_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Map an array of zeros, which takes space on disk only where something was written."""
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(int(np.prod(shape)) * np.dtype(dtype).itemsize)
    return np.memmap(path, dtype, "r+", shape=shape)


def pack_target(target: StrokeTarget) -> Tensor:
    """Convert the target of one picture to a row [ROW_NUMBERS] float16."""
    parts = [target.color[0]]
    for moments in (target.full, target.half):
        for mean, covariance in zip(moments.means, moments.covariances, strict=True):
            parts.append(mean[0])
            size = covariance.shape[1]
            triangle = torch.triu_indices(size, size)
            parts.append(covariance[0] if covariance.dim() == 2 else covariance[0][*triangle])
    parts += [target.patches[layer][0].flatten() for layer in PATCH_STRIDES]
    parts.append(target.energy[0].flatten())
    return torch.cat(parts).clamp(-60_000, 60_000).half()


def unpack_target(rows: Tensor) -> StrokeTarget:
    """Convert rows [N, ROW_NUMBERS] of :func:`pack_target` to the target of N pictures."""
    sizes = [int(np.prod(shape)) for _, shape in ROW_PARTS]
    parts = iter(torch.split(rows.float(), sizes, 1))
    color = next(parts)
    scales = []
    for scale, layers in SCALE_LAYERS.items():
        means, covariances = [], []
        for layer in layers:
            mean, numbers = next(parts), next(parts)
            means.append(mean)
            is_full = layer in COVARIANCE_LAYERS[scale]
            covariances.append(_unpack_triangle(numbers, mean.shape[1]) if is_full else numbers)
        scales.append(FeatureMoments(means, covariances))
    patches = {layer: next(parts).view(-1, DIRECTIONS, BINS) for layer in PATCH_STRIDES}
    energy = next(parts).view(-1, BANDS, ENERGY_BINS)
    return StrokeTarget(color, scales[0], scales[1], patches, energy)


def _unpack_triangle(numbers: Tensor, size: int) -> Tensor:
    rows, columns = torch.triu_indices(size, size)
    whole = numbers.new_zeros(len(numbers), size, size)
    whole[:, rows, columns] = numbers
    whole[:, columns, rows] = numbers
    return whole
