"""Pictures that every machine makes alike: integers only, and a generator with a frozen stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 36


def make_photo(width: int = WIDTH, height: int = HEIGHT, shift: int = 0) -> np.ndarray:
    """[H, W, 3] uint8: a graded sky, a dark hill and a bright disc, moved right by ``shift``."""
    y, x = np.mgrid[0:height, 0:width]
    x = x - shift
    photo = np.stack([90 + 90 * y // height, 140 + 50 * y // height, 230 - 60 * y // height], -1)
    hill = 4 * y > 3 * height - (x * (width - x)) // width
    photo[hill] = np.stack([40 + x // 2, 100 + x, 30 + y // 2], -1)[hill]
    disc = (x - 2 * width // 3) ** 2 + (y - height // 3) ** 2 < (height // 5) ** 2
    photo[disc] = (250, 220, 90)
    return photo.clip(0, 255).astype(np.uint8)


def make_painting(width: int = 40, height: int = 48) -> np.ndarray:
    """[H, W, 3] uint8: slanted strokes in three colors with grain."""
    y, x = np.mgrid[0:height, 0:width]
    colors = np.array([[25, 40, 105], [205, 150, 50], [75, 130, 180]])
    stroke = ((3 * x + 2 * y + (x * y) // 24) // 11) % 3
    grain = np.random.RandomState(7).randint(-12, 13, (height, width, 1))
    return (colors[stroke] + grain).clip(0, 255).astype(np.uint8)


def make_other_painting(width: int = 48, height: int = 40) -> np.ndarray:
    """[H, W, 3] uint8: red and green dots on a pale ground."""
    y, x = np.mgrid[0:height, 0:width]
    painting = np.full((height, width, 3), (235, 225, 205))
    dots = ((x % 9) - 4) ** 2 + ((y % 9) - 4) ** 2 < 10
    painting[dots & (x // 9 % 2 == 0)] = (190, 40, 45)
    painting[dots & (x // 9 % 2 == 1)] = (40, 120, 70)
    grain = np.random.RandomState(8).randint(-8, 9, (height, width, 1))
    return (painting + grain).clip(0, 255).astype(np.uint8)


def make_noise(width: int = WIDTH, height: int = HEIGHT, seed: int = 9) -> np.ndarray:
    """[H, W, 3] uint8: colored noise in blocks of 3 pixels."""
    blocks = np.random.RandomState(seed).randint(0, 256, (height // 3 + 1, width // 3 + 1, 3))
    return blocks.repeat(3, 0).repeat(3, 1)[:height, :width].astype(np.uint8)


def make_soft_mask(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """[H, W] uint8: from black at the left to white at the right."""
    x = np.mgrid[0:height, 0:width][1]
    return ((2 * x - width // 2) * 255 // width).clip(0, 255).astype(np.uint8)


def make_hard_mask(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """[H, W] uint8: a white rectangle in the upper left part."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 6 : 2 * height // 3, width // 6 : width // 2] = 255
    return mask


def make_scribble(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """[H, W] uint8: a white stroke on the disc and a black one on the sky; gray says nothing."""
    mask = np.full((height, width), 128, np.uint8)
    mask[height // 3 - 2 : height // 3 + 2, 2 * width // 3 - 4 : 2 * width // 3 + 4] = 255
    mask[2:5, 3 : width - 3] = 0
    mask[-4:, 3 : width - 3] = 0
    return mask


def make_frames(count: int = 4) -> list[np.ndarray]:
    """A film: the disc and the hill move right by 2 pixels a frame."""
    return [make_photo(shift=2 * index) for index in range(count)]


def save(pixels: np.ndarray, path: Path | str, **options: object) -> str:
    """Write a picture and return its path."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def write_inputs() -> None:
    """Write the pictures that most cases need into the current folder."""
    save(make_photo(), "photo.png")
    save(make_painting(), "painting.png")
    save(make_other_painting(), "other.png")
    save(make_noise(), "noise.png")
    save(make_soft_mask(), "soft.png")
    save(make_hard_mask(), "hard.png")
    save(make_hard_mask(40, 48), "hard-40x48.png")
    save(make_scribble(), "scribble.png")
