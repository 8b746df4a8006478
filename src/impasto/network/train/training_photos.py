"""Training photos, decoded once into one file of equal squares, and crops of them."""

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
HELD_OUT = 10
"""About one picture in so many is for judging by, chosen by the hash of its name; at least one."""
FEWEST = 2
HASHED = 1 << 16
"""Bytes at the beginning of a picture that tell it from others of its name and size."""


def pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of a folder and those below it, in order: to train on, and held out.

    Raises:
        InputError: it is no folder, or there are not enough pictures in it for both.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(found) < FEWEST:
        raise InputError(
            f"{folder}: {len(found)} picture(s) ({', '.join(each[1:] for each in SUFFIXES)}); "
            f"training needs {FEWEST} at least, and some tens to learn from"
        )
    held = {p for p in found if _hash(p) % HELD_OUT == 0} or {min(found, key=_hash)}
    if len(held) == len(found):
        held.remove(max(found, key=_hash))
    return [p for p in found if p not in held], [p for p in found if p in held]


def _hash(path: Path) -> int:
    return hashlib.sha256(path.name.encode()).digest()[0]


def readable(paths: Sequence[Path], index: int) -> Picture:
    """The picture at a place in a list; if it cannot be read, the next one that can.

    Raises:
        InputError: there is none.
    """
    for path in [*paths[index:], *paths[:index]]:
        with suppress(ImageError, LimitError):
            return read_picture(path)
    raise _none_of(paths)


def _none_of(paths: Sequence[Path]) -> InputError:
    return InputError(f"{paths[0].parent}: none of its {len(paths)} pictures can be read")


def fingerprint(paths: Sequence[Path]) -> str:
    """Of names, sizes and beginnings of files: what was made of them before is of the same ones."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            begin = file.read(HASHED)
        digest.update(f"{path.name} {path.stat().st_size}\n".encode() + begin)
    return digest.hexdigest()[:16]


def on_shorter_side(picture: Picture, side: int) -> Picture:
    """Resized so that the shorter side is ``side`` pixels."""
    scale = side / min(picture.width, picture.height)
    return picture.resize(
        max(side, round(picture.width * scale)), max(side, round(picture.height * scale))
    )


def as_batch(pixels: NDArray[np.generic]) -> Tensor:
    """[1, 3, H, W] float32 of [H, W, 3], 8-bit levels or in [0, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return (tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor)[None]


@dataclass(frozen=True)
class Photos:
    """Photos as 8-bit squares of :data:`SQUARE` pixels, mapped from a file.

    Attributes:
        squares: [M, SQUARE, SQUARE, 3] uint8.
    """

    squares: NDArray[np.uint8]

    @classmethod
    def of(cls, paths: Sequence[Path], cache: Path) -> Photos:
        """Pack the middles of photos, or map what was packed of the same files before."""
        target = cache / f"photos-{fingerprint(paths)}-{SQUARE}.u8"
        if not target.exists() or target.stat().st_size % (SQUARE * SQUARE * 3):
            make_folder(cache)
            with replace_atomically(target) as temporary, temporary.open("wb") as file:
                squares = map(_square, paths)
                if not sum(file.write(each.tobytes()) for each in squares if each is not None):
                    raise _none_of(paths)
        return cls(np.memmap(target, np.uint8, "r").reshape(-1, SQUARE, SQUARE, 3))

    def __len__(self) -> int:
        return len(self.squares)

    def crop(self, index: int, side: int, generator: torch.Generator) -> Tensor:
        """[1, 3, side, side] in [0, 1]: a random part at a random scale, mirrored or not.

        The smaller scale shows all of the photo: the statistics of a whole picture, not of a part
        of one, are what the network will be normalized by.
        """
        square = as_batch(self.squares[index])
        draw = torch.rand(4, generator=generator).tolist()
        scaled = round(side + draw[0] * (SQUARE - side))
        if scaled < SQUARE:
            square = F.interpolate(
                square, (scaled, scaled), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        top, left = (int(d * (scaled - side + 1)) for d in draw[1:3])
        part = square[:, :, top : top + side, left : left + side]
        return part.flip(3) if draw[3] < 0.5 else part


def _square(path: Path) -> NDArray[np.uint8] | None:
    """The middle of a photo; none if it cannot be read."""
    try:
        picture = on_shorter_side(read_picture(path), SQUARE)
    except (ImageError, LimitError):
        return None
    top, left = (picture.height - SQUARE) // 2, (picture.width - SQUARE) // 2
    part = picture.pixels[top : top + SQUARE, left : left + SQUARE]
    return np.rint(part * 255).astype(np.uint8)
