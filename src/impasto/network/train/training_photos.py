"""Decode training photos once into a file of equal squares, and crop them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImageError, InputError, LimitError
from impasto.image.files.atomic import make_folder, replace_atomically
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif")
SQUARE = 256
"""Side of the squares in pixels."""
HELD_OUT = 10
"""About one in this many pictures is held out, chosen by the hash of its name; at least one."""
FEWEST = 2
HASHED = 1 << 16
"""Bytes at the start of a file that distinguish it from others with its name and size."""


def split_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the pictures in a folder and its subfolders, and hold some of them out.

    Returns:
        Pictures to train on, and held-out pictures, both sorted.

    Raises:
        InputError: there is no such folder, or it has too few pictures.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(paths) < FEWEST:
        raise InputError(
            f"{len(paths)} picture(s) ({', '.join(each[1:] for each in SUFFIXES)}); "
            f"training requires at least {FEWEST}, and works from some tens on",
            where=folder,
        )
    evaluation = {p for p in paths if _hash_name(p) % HELD_OUT == 0} or {min(paths, key=_hash_name)}
    if len(evaluation) == len(paths):
        evaluation.remove(max(paths, key=_hash_name))
    return [p for p in paths if p not in evaluation], [p for p in paths if p in evaluation]


def _hash_name(path: Path) -> int:
    return hashlib.sha256(path.name.encode()).digest()[0]


def read_next_picture(paths: Sequence[Path], index: int) -> Picture:
    """Read the picture at an index, or the next one in the list that can be read.

    Raises:
        InputError: no picture can be read.
    """
    for path in [*paths[index:], *paths[:index]]:
        with suppress(ImageError, LimitError):
            return read_picture(path)
    raise _make_unreadable_error(paths)


def _make_unreadable_error(paths: Sequence[Path]) -> InputError:
    return InputError(f"none of the {len(paths)} pictures can be read", where=paths[0].parent)


def compute_fingerprint(paths: Sequence[Path]) -> str:
    """Hash the names, sizes and first bytes of files, to recognize the same files again."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            start = file.read(HASHED)
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + start)
    return digest.hexdigest()[:16]


def resize_shorter_side(picture: Picture, side: int) -> Picture:
    """Resize a picture so that its shorter side has ``side`` pixels."""
    scale = side / min(picture.width, picture.height)
    return picture.resize(
        max(side, round(picture.width * scale)), max(side, round(picture.height * scale))
    )


def to_batch(pixels: NDArray[np.generic]) -> Tensor:
    """Convert [H, W, 3], 8-bit levels or floats in [0, 1], to [1, 3, H, W] float32."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return (tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor)[None]


@dataclass(frozen=True)
class Photos:
    """Photos as 8-bit squares of :data:`SQUARE` pixels, in a memory-mapped file.

    Attributes:
        squares: [M, SQUARE, SQUARE, 3] uint8.
    """

    squares: NDArray[np.uint8]

    @classmethod
    def pack(cls, paths: Sequence[Path], cache: Path) -> Photos:
        """Pack the center squares of photos into the cache, or map the file of an earlier run."""
        target = cache / f"photos-{compute_fingerprint(paths)}-{SQUARE}.u8"
        if not target.exists() or target.stat().st_size % (SQUARE * SQUARE * 3):
            make_folder(cache)
            with replace_atomically(target) as temporary, temporary.open("wb") as file:
                squares = map(_cut_square, paths)
                if not sum(file.write(each.tobytes()) for each in squares if each is not None):
                    raise _make_unreadable_error(paths)
        return cls(np.memmap(target, np.uint8, "r").reshape(-1, SQUARE, SQUARE, 3))

    def __len__(self) -> int:
        return len(self.squares)

    def crop(self, index: int, side: int, generator: torch.Generator) -> Tensor:
        """Crop a random part [1, 3, side, side] in [0, 1] at a random scale, mirrored or not.

        The smallest scale shows the whole photo, because the network is normalized by the
        statistics of whole pictures later.
        """
        square = to_batch(self.squares[index])
        draw = torch.rand(4, generator=generator).tolist()
        scaled = round(side + draw[0] * (SQUARE - side))
        if scaled < SQUARE:
            square = F.interpolate(
                square, (scaled, scaled), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        top, left = (int(d * (scaled - side + 1)) for d in draw[1:3])
        part = square[:, :, top : top + side, left : left + side]
        return part.flip(3) if draw[3] < 0.5 else part


def _cut_square(path: Path) -> NDArray[np.uint8] | None:
    """Cut the center square out of a photo. None: it cannot be read."""
    try:
        picture = resize_shorter_side(read_picture(path), SQUARE)
    except (ImageError, LimitError):
        return None
    top, left = (picture.height - SQUARE) // 2, (picture.width - SQUARE) // 2
    part = picture.pixels[top : top + SQUARE, left : left + SQUARE]
    return np.rint(part * 255).astype(np.uint8)
