"""What the network shall imitate: the moments of paintings, measured once and kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.encoders.vgg import Encoder
from impasto.image.files.atomic import make_folder, report_write_errors
from impasto.network.grade import GRADE_NUMBERS, GRADED, possible_grade
from impasto.network.style_code import CHANNELS, CodeBook, PictureMoments
from impasto.network.train.training_photos import as_batch, fingerprint, on_shorter_side, readable

SIDES = (256, 192, 128)
"""Of a painting, shorter ones: how large its strokes are beside a crop of a photo."""
VARIANTS = 2 * len(SIDES) + 1
"""Of a painting: every size as it is, every size mirrored with its color channels exchanged, and
one size in grays."""
_NUMBERS = GRADE_NUMBERS + sum(c + c * c for c in CHANNELS)


def variant_of(image: Tensor, variant: int, index: int) -> Tensor:
    """A painting [1, 3, H, W] as it is in the first of its variants, changed in the others.

    Args:
        image: the painting, at the size of the variant.
        variant: below :data:`VARIANTS`.
        index: of the painting: which colors are exchanged depends on it too.
    """
    if variant < len(SIDES):
        return image
    if variant == VARIANTS - 1:
        return image.mean(1, keepdim=True).expand_as(image)
    turns = [[1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [2, 1, 0]]
    return image[:, turns[(index + variant) % len(turns)]].flip(3)


@torch.no_grad()
def moments_of(image: Tensor, encoder: Encoder, book: CodeBook) -> PictureMoments:
    """Of pictures [N, 3, H, W] in [0, 1]."""
    return book.moments(image, encoder(image))


class Paintings:
    """Moments of the variants of paintings, in half precision.

    What is asked for is measured if it was not before, and written down: a run begins at once.
    """

    def __init__(
        self, paths: Sequence[Path], cache: Path, encoder: Encoder, book: CodeBook
    ) -> None:
        """Open the file of these paintings, or begin it.

        Args:
            paths: the paintings.
            cache: folder of the file, 0.7 MB a variant that has been asked for.
            encoder: VGG-19 with the taps of the code.
            book: fitted, since moments are kept in its units; on the encoder's device.
        """
        self.paths, self.encoder, self.book = list(paths), encoder, book
        make_folder(cache)
        units = book.units.cpu().numpy().tobytes().hex()[:8]
        kinds = "-".join(map(str, (*SIDES, VARIANTS)))
        name = f"paintings-{fingerprint(self.paths)}-{units}-{_NUMBERS}-{GRADED}-{kinds}.f16"
        self._file = cache / name
        with report_write_errors(self._file):
            self._file.touch()

    def __len__(self) -> int:
        return len(self.paths)

    def moments(self, chosen: Sequence[tuple[int, int]]) -> PictureMoments:
        """Of (painting, variant) pairs, one row of the batch each, on the encoder's device."""
        rows = torch.from_numpy(np.stack([self._row(*each) for each in chosen]))
        return _unpacked(rows.to(self.encoder.device).float())

    def _row(self, index: int, variant: int) -> NDArray[np.float16]:
        place = 2 * _NUMBERS * (index * VARIANTS + variant)
        with report_write_errors(self._file), self._file.open("r+b") as file:
            file.seek(place)
            kept = file.read(2 * _NUMBERS)
            row: NDArray[np.float16] = np.frombuffer(kept, np.float16, len(kept) // 2)
            if len(row) == _NUMBERS and row[:GRADE_NUMBERS].any():
                return row  # no picture has a grade that is all 0, but for black
            row = self._measured(index, variant)
            file.seek(place + 2 * GRADE_NUMBERS)
            file.write(row[GRADE_NUMBERS:].tobytes())
            file.flush()
            file.seek(place)  # last, for what is there tells that the rest is
            file.write(row[:GRADE_NUMBERS].tobytes())
        return row

    def _measured(self, index: int, variant: int) -> NDArray[np.float16]:
        picture = on_shorter_side(readable(self.paths, index), SIDES[variant % len(SIDES)])
        image = variant_of(as_batch(picture.pixels), variant, index)
        return _packed(moments_of(image.to(self.encoder.device), self.encoder, self.book))


def _packed(moments: PictureMoments) -> NDArray[np.float16]:
    parts = [moments.grade[0]]
    for mean, second in zip(moments.means, moments.seconds, strict=True):
        parts += [mean[0], second[0].flatten()]
    return torch.cat(parts).clamp(-60_000, 60_000).cpu().numpy().astype(np.float16)


def _unpacked(rows: Tensor) -> PictureMoments:
    sizes = [GRADE_NUMBERS, *(n for c in CHANNELS for n in (c, c * c))]
    grade, *parts = torch.split(rows, sizes, 1)
    seconds = [s.view(-1, c, c) for s, c in zip(parts[1::2], CHANNELS, strict=True)]
    # Half precision rounds a nearly gray painting's variances of color to less than nothing.
    return PictureMoments(list(parts[::2]), seconds, possible_grade(grade))
