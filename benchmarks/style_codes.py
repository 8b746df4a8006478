"""Fit style codes, and count how well they find paintings.

``fit PAINTINGS -o FILE`` fits the whitening to the pictures of a folder. ``halves FOLDER...`` takes
two disjoint squares of every painting, looks for the other one among all, and prints how often it
comes first (R@1) and among the first five (R@5), in color and in gray. ``duplicates FOLDER`` looks
for resized, recompressed and cropped copies. ``speed`` times a search among 10,000 codes, and
``ship`` measures the paintings that ship with impasto.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.library.library_paintings import list_files
from impasto.library.whitened_code import StyleCoder, Whitening, cut_squares, load_whitening

GRAY = np.array([0.2126, 0.7152, 0.0722], np.float32)


def main() -> None:
    """Run one of the actions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("fit", "halves", "duplicates", "speed", "ship"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("-n", "--count", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = [path for folder in options.folders for path in list_files(folder)]
    if options.action == "fit":
        fit(paths, options.count, options.output)
    elif options.action == "halves":
        count_halves(paths)
    elif options.action == "ship":
        ship()
    elif options.action == "speed":
        time_search()
    else:
        count_duplicates(paths)


def fit(paths: list[Path], count: int, output: Path) -> None:
    """Fit to one square of each of some paintings, chosen with a fixed seed."""
    coder = StyleCoder()
    places = np.random.default_rng(0).permutation(len(paths))[:count]
    rows = []
    for place in places:
        squares = [*cut_squares(read_picture(paths[place]))]
        rows.append(coder.measure_statistics(squares[:1]))
    Whitening.fit(np.stack(rows)).save(output)
    print(f"fitted to {len(rows)} paintings: {output}, {output.stat().st_size} bytes")


def count_halves(paths: list[Path]) -> None:
    """Print how often a half finds the other one."""
    coder = StyleCoder()
    for name in ("color", "gray"):
        halves: list[list[Any]] = [[], []]
        for path in paths:
            for rows, square in zip(halves, cut_squares(read_picture(path)), strict=True):
                part = Picture(convert_to_gray(square.pixels)) if name == "gray" else square
                rows.append(coder.measure_statistics([part]))
        one, other = (load_whitening().encode(np.stack(rows)) for rows in halves)
        for length in (8, 16, 32, 64):
            print(f"{name}, {length} numbers: {rank_halves(one[:, :length], other[:, :length])}")


def convert_to_gray(pixels: np.ndarray) -> np.ndarray:
    """Return a picture's lightness in all three channels."""
    return np.repeat((pixels @ GRAY)[..., None], 3, -1).astype(np.float32)


def rank_halves(one: np.ndarray, other: np.ndarray) -> str:
    """Return R@1 and R@5 of two sets of codes, in both directions together."""
    one, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other))
    likeness = one @ other.T
    own = np.diag(likeness)
    ranks = np.concatenate([(likeness > own[:, None]).sum(1), (likeness > own[None]).sum(0)])
    first, five = (100 * float((ranks < count).mean()) for count in (1, 5))
    return f"R@1 {first:.1f} %, R@5 {five:.1f} % of {len(ranks)}"


def ship() -> None:
    """Write the codes of the paintings of the library and of the studio's shelf."""
    from safetensors.numpy import save_file

    from impasto.library.library_paintings import load_shipped
    from impasto.library.shipped_codes import CODES_FILE
    from impasto.studio.page.example_paintings import load_paintings

    paths = {each.name: each.path for each in load_paintings().values()}
    paths |= {each.name: each.path for each in load_shipped()}
    coder = StyleCoder()
    codes = {name: coder.measure_code(read_picture(path)) for name, path in paths.items()}
    folder = Path(__file__).parents[1] / "src" / "impasto" / "library" / "weights"
    save_file({name: code.astype(np.float16) for name, code in codes.items()}, folder / CODES_FILE)
    print(f"{len(codes)} codes")


def time_search() -> None:
    """Print the time of a search among 10,000 codes."""
    from impasto.library.style_index import rank_codes

    rng = np.random.default_rng(0)
    codes = rng.standard_normal((10_000, 64)).astype(np.float32)
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        rank_codes(codes, codes[7], 10)
        seconds.append(time.perf_counter() - began)
    print(f"search among 10,000 codes: {1000 * np.median(seconds):.2f} ms")


def count_duplicates(paths: list[Path]) -> None:
    """Print how many copies are found, and how many different paintings are taken for copies."""
    from impasto.library.duplicates import find_duplicates
    from impasto.library.style_index import make_thumbnail

    coder, rng = StyleCoder(), np.random.default_rng(0)
    codes, thumbnails, owner = [], [], []
    for number, path in enumerate(paths):
        picture = read_picture(path)
        for copy in (picture, *make_copies(picture, rng)):
            codes.append(coder.measure_code(copy))
            thumbnails.append(make_thumbnail(copy))
            owner.append(number)
    pairs = find_duplicates(np.stack(codes), np.stack(thumbnails))
    places = np.array(owner)
    hits_of = {(a, b) for a, b, _ in pairs if owner[a] == owner[b]}
    wrong = {tuple(sorted((owner[a], owner[b]))) for a, b, _ in pairs if owner[a] != owner[b]}
    kinds = ("resized to a half", "JPEG 60", "crop of 80 %")
    for kind, name in enumerate(kinds, 1):
        firsts = range(0, len(places), 4)
        hits = sum((place, place + kind) in hits_of for place in firsts)
        print(f"{name}: {hits} of {len(paths)}")
    total = len(paths) * (len(paths) - 1) // 2
    print(f"different paintings taken for one: {len(wrong)} of {total} pairs: {sorted(wrong)[:5]}")


def make_copies(picture: Picture, rng: np.random.Generator) -> list[Picture]:
    """Return a resized, a recompressed, and a cropped copy."""
    width, height = picture.width, picture.height
    stream = io.BytesIO()
    picture.to_pil().convert("RGB").save(stream, "JPEG", quality=60)
    wide, tall = round(0.8 * width), round(0.8 * height)
    left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - tall + 1)
    crop = np.ascontiguousarray(picture.pixels[top : top + tall, left : left + wide])
    return [
        picture.resize(max(1, width // 2), max(1, height // 2)),
        read_picture(stream.getvalue()),
        Picture(crop),
    ]


if __name__ == "__main__":
    main()
