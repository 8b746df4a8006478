"""Count how often words become the painting that they mean.

Reads ``prompts.toml`` and ``everyday.toml`` in ``tests/words``, draws each prompt, and prints for
every list: techniques that are right, hues within 20 degrees of the named colors, prompts that give
the same bytes twice, and the seconds from words to file. Prompts that fail are listed. The time is
that of one process with one thread.
"""

from __future__ import annotations

import argparse
import io
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from impasto.errors import InputError
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.encode import write_picture
from impasto.words.description import parse_description
from impasto.words.drawing.draw import draw_painting
from impasto.words.drawing.inks import read_color

FOLDER = Path(__file__).parents[1] / "tests" / "words"
GRAY = 0.03
"""Chroma in OKLab below which a color has no hue."""


def main() -> None:
    """Print the figures of each file and language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="of the drawings that are measured")
    parser.add_argument("--time", type=int, default=0, help="time this many prompts, at 512 px")
    parser.add_argument("--repeat", action="store_true", help="draw twice and compare the bytes")
    options = parser.parse_args()
    for name in ("prompts", "everyday"):
        prompts = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
        for language, rows in prompts.items():
            print(f"{name}, {language}: {score(rows, options)}")


def score(prompts: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Draw prompts and return their figures in one line."""
    right: list[bool] = []
    hues: list[bool] = []
    same: list[bool] = []
    seconds: list[float] = []
    for prompt in prompts:
        try:
            description = parse_description(prompt["text"])
        except InputError as error:
            right.append(False)
            hues += [False] if prompt["colors"] else []
            print(f"  {prompt['text']}: {error}")
            continue
        right.append(description.technique == prompt["technique"])
        if not right[-1]:
            print(f"  {prompt['text']}: {description.describe()}")
        began = time.perf_counter()
        painting = draw_painting(description, options.size)
        if prompt["colors"]:
            away = measure_hue(painting.pixels, prompt["colors"])
            hues.append(away <= 20)
            if away > 20:
                print(f"  {prompt['text']}: hue {away:.0f} degrees away, {description.describe()}")
        if options.repeat:
            same.append(encode(painting) == encode(draw_painting(description, options.size)))
        if len(seconds) < options.time:
            began = time.perf_counter()
            encode(draw_painting(parse_description(prompt["text"]), 512))
            seconds.append(time.perf_counter() - began)
    line = f"technique {sum(right)} of {len(right)}, hue {sum(hues)} of {len(hues)}"
    line += f", same bytes {sum(same)} of {len(same)}" if same else ""
    if seconds:
        line += f", {np.median(seconds):.2f} s (at most {max(seconds):.2f} s) at 512 px"
    return line


def encode(painting: Any) -> bytes:
    """Return the file of a painting."""
    stream = io.BytesIO()
    write_picture(painting, stream)
    return stream.getvalue()


def measure_hue(pixels: np.ndarray, colors: list[str]) -> float:
    """Return the largest difference in degrees between a named hue and the mean one of its pixels.

    With several colors, every pixel belongs to the one whose hue is nearest.
    """
    chroma = srgb_to_oklab(pixels)[..., 1:].reshape(-1, 2)
    targets = np.stack([read_color(name)[1:] for name in colors])
    if np.hypot(*targets[0]) < GRAY:
        return 0.0 if np.hypot(*chroma.mean(0)) < GRAY else 180.0
    apart = [_measure_angle(chroma, each) for each in targets]
    owner = np.argmin(apart, 0)
    if len({*owner.tolist()}) < len(targets):
        return 180.0
    means = [chroma[owner == k].mean(0) for k in range(len(targets))]
    return float(max(map(_measure_angle, means, targets)))


def _measure_angle(a: np.ndarray, b: np.ndarray) -> Any:
    turn = np.degrees(np.arctan2(a[..., 1], a[..., 0]) - np.arctan2(b[1], b[0]))
    return np.abs((turn + 180) % 360 - 180)


if __name__ == "__main__":
    main()
