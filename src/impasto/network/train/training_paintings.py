"""Measure the moments of paintings, which the network imitates, once, and cache them in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.encoders.vgg import VggEncoder
from impasto.image.files.atomic import make_folder, report_write_errors
from impasto.network.painter.grade import GRADE_NUMBERS, PYRAMID_KIND, project_grade
from impasto.network.painter.style_code import CHANNELS, CodeBook, PictureMoments
from impasto.network.train.training_photos import (
    compute_fingerprint,
    read_next_picture,
    resize_shorter_side,
    to_batch,
)

SIDES = (256, 192, 128)
"""Shorter sides of a painting in pixels, which set the size of its strokes relative to a crop."""
VARIANTS = 2 * len(SIDES) + 1
"""Variants of a painting: each size unchanged, each size mirrored with permuted color channels, and
one size in gray."""
_NUMBERS = GRADE_NUMBERS + sum(c + c * c for c in CHANNELS)


def make_variant(image: Tensor, variant: int, index: int) -> Tensor:
    """Make a variant of a painting.

    Args:
        image: [1, 3, H, W], the painting at the size of the variant.
        variant: number of the variant, below :data:`VARIANTS`.
        index: index of the painting, which varies the permutation of the color channels.
    """
    if variant < len(SIDES):
        return image
    if variant == VARIANTS - 1:
        return image.mean(1, keepdim=True).expand_as(image)
    orders = [[1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [2, 1, 0]]
    return image[:, orders[(index + variant) % len(orders)]].flip(3)


@torch.no_grad()
def measure_picture(image: Tensor, encoder: VggEncoder, book: CodeBook) -> PictureMoments:
    """Measure the moments of pictures [N, 3, H, W] in [0, 1]."""
    return book.measure_moments(image, encoder(image))


class Paintings:
    """Paintings with the moments of their variants, in half precision.

    Moments are measured when they are first needed, and cached, so that a run starts at once.
    """

    def __init__(
        self, paths: Sequence[Path], cache: Path, encoder: VggEncoder, book: CodeBook
    ) -> None:
        """Open the cache file of these paintings, or create it.

        Args:
            paths: the paintings.
            cache: folder of the cache file, which takes 0.7 MB per measured variant.
            encoder: VGG-19 with the taps of the code.
            book: fitted code book on the encoder's device; moments are stored in its units.
        """
        self.paths, self.encoder, self.book = list(paths), encoder, book
        make_folder(cache)
        units = book.units.cpu().numpy().tobytes().hex()[:8]
        kinds = "-".join(map(str, (*SIDES, VARIANTS)))
        parts = (compute_fingerprint(self.paths), units, _NUMBERS, PYRAMID_KIND, kinds)
        self._file = cache / f"paintings-{'-'.join(map(str, parts))}.f16"
        with report_write_errors(self._file):
            self._file.touch()

    def __len__(self) -> int:
        return len(self.paths)

    def load_moments(self, variants: Sequence[tuple[int, int]]) -> PictureMoments:
        """Load or measure the moments of (painting, variant) pairs, on the encoder's device."""
        rows = torch.from_numpy(np.stack([self._load_row(*each) for each in variants]))
        return _unpack_moments(rows.to(self.encoder.device).float())

    def _load_row(self, index: int, variant: int) -> NDArray[np.float16]:
        place = 2 * _NUMBERS * (index * VARIANTS + variant)
        with report_write_errors(self._file), self._file.open("r+b") as file:
            file.seek(place)
            data = file.read(2 * _NUMBERS)
            row: NDArray[np.float16] = np.frombuffer(data, np.float16, len(data) // 2)
            if len(row) == _NUMBERS and row[:GRADE_NUMBERS].any():
                return row  # only a black picture has a grade of zeros
            row = self._measure(index, variant)
            file.seek(place + 2 * GRADE_NUMBERS)
            file.write(row[GRADE_NUMBERS:].tobytes())
            file.flush()
            file.seek(place)  # the grade comes last: it marks the row as complete
            file.write(row[:GRADE_NUMBERS].tobytes())
        return row

    def _measure(self, index: int, variant: int) -> NDArray[np.float16]:
        picture = resize_shorter_side(
            read_next_picture(self.paths, index), SIDES[variant % len(SIDES)]
        )
        image = make_variant(to_batch(picture.pixels), variant, index)
        return _pack_moments(
            measure_picture(image.to(self.encoder.device), self.encoder, self.book)
        )


def _pack_moments(moments: PictureMoments) -> NDArray[np.float16]:
    parts = [moments.grade[0]]
    for mean, second in zip(moments.means, moments.seconds, strict=True):
        parts += [mean[0], second[0].flatten()]
    return torch.cat(parts).clamp(-60_000, 60_000).cpu().numpy().astype(np.float16)


def _unpack_moments(rows: Tensor) -> PictureMoments:
    sizes = [GRADE_NUMBERS, *(n for c in CHANNELS for n in (c, c * c))]
    grade, *parts = torch.split(rows, sizes, 1)
    seconds = [s.view(-1, c, c) for s, c in zip(parts[1::2], CHANNELS, strict=True)]
    # In half precision, color variances of a nearly gray painting may become negative.
    return PictureMoments(list(parts[::2]), seconds, project_grade(grade))
