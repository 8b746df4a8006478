"""Measure whether films hold still, and in what style: several ways to paint the same clips.

Run: ``OMP_NUM_THREADS=1 python benchmarks/video.py --clips FOLDER...``, with folders of pictures in
the order of their names. For each clip and way it prints CPU seconds a frame, the warped difference
between frames 1 and 10 apart (root mean square over what is consistent in the clip's own flow, mean
over pairs; the clip's own as ``source``), how much of the frames that is, and metrics of style and
content on every third frame. Where a folder has ``transforms.json``, it also measures along the
exact flow, which favors nobody. Frames and seconds are kept in ``.cache/video`` and reused while
the code is the same.

The ways: every frame by itself; each begun from the previous result as it is, with as many
iterations as ours; the same from the warped result; ours. A network begins from nothing, so there
``previous`` has the last result mixed in where it was, as much as ours mixes in, and ``frozen`` is
ours with every frame normalized by the statistics of the shot's first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from impasto.engine.machine.allocation import keep_freed_memory
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import Floats, Picture, fit_within, to_levels
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.video.clip.frames import Levels, levels_to_floats
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.engines.optimizer_frames import Effort, OptimizerFrameEngine
from impasto.video.film_metrics import SOURCE, FilmStyleMeter, SteadinessMeter
from impasto.video.stabilize.flow import DisEstimator, FlowEstimator
from impasto.video.stabilize.frame_memory import FrameMemory
from impasto.video.stabilize.motion import Flow
from impasto.video.stabilize.stabilizer import FrameEngine, FrameLinks, Stabilizer

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / ".cache" / "video"
EVERY = 3
COLUMNS = ("rmse_1", "rmse_10", "style_gram", "style_w2", "content_ssim")


class Previous(OptimizerFrameEngine):
    """Begins a frame with the last result, warped or not, and holds it to nothing."""

    warps = False
    _effort: Effort
    _last: Floats | None = None

    def paint(self, frame: Floats, memory: FrameMemory | None) -> Floats:
        """See :class:`impasto.video.stabilize.stabilizer.FrameEngine`."""
        if memory is not None and not self.warps and self._last is not None:
            memory = replace(memory, result=self._last, frame=frame)
        if memory is not None:
            self._effort = super().plan_effort(memory)
            memory = replace(memory, reliability=0 * memory.reliability)
        self._last = super().paint(frame, memory)
        return self._last

    def plan_effort(self, memory: FrameMemory) -> Effort:  # noqa: ARG002
        """Return the effort that ours would make."""
        return self._effort


class Warped(Previous):
    """Begins a frame with the last result, warped."""

    warps = True


NOTHING = 1e-9
"""A stability that changes no pixel but makes frames remember the last one."""
WAYS: dict[str, tuple[type[OptimizerFrameEngine], float | None]] = {
    "per frame": (OptimizerFrameEngine, 0.0),
    "previous": (Previous, NOTHING),
    "warped": (Warped, NOTHING),
    "ours": (OptimizerFrameEngine, None),
}


class Exact:
    """The true flow of a clip whose maps to one still picture are in ``transforms.json``."""

    def __init__(self, clip: list[Levels], transforms: Path) -> None:
        """Read the maps for frames of a clip's size."""
        about = json.loads(transforms.read_text())
        height, width = clip[0].shape[:2]
        shrunk = np.diag([about["size"][0] / width, about["size"][1] / height, 1.0])
        maps = (np.vstack([np.reshape(each, (2, 3)), [0, 0, 1]]) @ shrunk for each in about["A"])
        self._maps = dict(zip((each.tobytes() for each in clip), maps, strict=False))

    def estimate_flow(self, frame: Floats, other: Floats) -> Flow:
        """See :class:`impasto.video.stabilize.flow.FlowEstimator`."""
        here, there = (self._maps[to_levels(each, 8).tobytes()] for each in (frame, other))
        height, width = frame.shape[:2]
        y, x = np.mgrid[:height, :width] + 0.5
        places = np.stack([x, y, np.ones_like(x)], -1) @ (np.linalg.inv(there) @ here).T
        return np.asarray(places[..., :2] - np.stack([x, y], -1), np.float32)


class Still:
    """An estimator for which nothing moves."""

    def estimate_flow(self, frame: Floats, other: Floats) -> Flow:  # noqa: ARG002
        """See :class:`impasto.video.stabilize.flow.FlowEstimator`."""
        return np.zeros((*frame.shape[:2], 2), np.float32)


NETWORK_WAYS: dict[str, tuple[bool, type[DisEstimator | Still], float | None]] = {
    "per frame": (False, DisEstimator, 0.0),
    "previous": (False, Still, None),
    "frozen": (True, DisEstimator, None),
    "ours": (False, DisEstimator, None),
}
"""Whether statistics are frozen, the estimator of flow, and the stability. None: the option's."""


def main() -> None:
    """Print a Markdown table; the frames stay in ``.cache/video``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--style", type=Path, default=ROOT / "examples" / "painting.jpg")
    parser.add_argument("--quality", default="sketch")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--stability", type=float, default=0.8)
    parser.add_argument("--ways", nargs="+", help="which (default: all)")
    options = parser.parse_args()
    keep_freed_memory()
    recipe, painting = load_recipe(options.quality), read_picture(options.style)
    is_network = not recipe.capabilities.temporal
    ways = options.ways or list(NETWORK_WAYS if is_network else WAYS)
    print("| clip | way | CPU s a frame |", " | ".join(COLUMNS), "|")
    print("| --- " * (3 + len(COLUMNS)) + "|", flush=True)
    for folder in options.clips:
        clip = read_frames(folder, options.frames, options.size)
        films: dict[str, list[Levels]] = {}
        seconds: dict[str, float] = {}
        for way in ways:
            settings = way, clip, recipe, painting, options.stability
            films[way], seconds[way] = find_film(folder.name, *settings) or make_film(*settings)
            keep_film(folder.name, films[way], seconds[way], *settings)
        metrics, shares = measure_films(clip, films, painting, DisEstimator())
        print_rows(folder.name, metrics, seconds)
        print(f"<!-- {folder.name}: {len(clip)} frames, compared {json.dumps(shares)} -->")
        if (folder / "transforms.json").exists():
            exact = Exact(clip, folder / "transforms.json")
            metrics, shares = measure_films(clip, films, painting, exact)
            print_rows(f"{folder.name}, exact flow", metrics, {})
            print(f"<!-- {folder.name}, exact flow: compared {json.dumps(shares)} -->")


def print_rows(clip: str, rows: dict[str, dict[str, float]], seconds: dict[str, float]) -> None:
    """Print rows of the table."""
    for name, values in rows.items():
        cost = f"{seconds[name]:.2f}" if name in seconds else ""
        cells = [f"{values[c]:.4f}" if c in values else "" for c in COLUMNS]
        print(f"| {clip} | {name} | {cost} |", " | ".join(cells), "|", flush=True)


def read_frames(folder: Path, count: int, size: int) -> list[Levels]:
    """Read the first pictures of a folder, reduced, in 8 bits."""
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png"))[:count]
    pictures = map(read_picture, paths)
    return [to_levels(p.resize(*fit_within(p.width, p.height, size)).pixels, 8) for p in pictures]


def make_film(
    way: str, clip: list[Levels], recipe: Recipe, painting: Picture, stability: float
) -> tuple[list[Levels], float]:
    """Make a film; return it and the CPU seconds a frame, without loading the network."""
    engine: FrameEngine
    size = clip[0].shape[1], clip[0].shape[0]
    if not recipe.capabilities.temporal:
        frozen, flow, fixed = NETWORK_WAYS[way]
        strength = stability if fixed is None else fixed
        settings = FrameSettings(strength, freeze_statistics=frozen)
        engine = make_frame_engine(FrameContext(recipe, [painting], size, settings))
    else:
        kind, fixed = WAYS[way]
        strength, flow = stability if fixed is None else fixed, DisEstimator
        engine = kind(FrameContext(recipe, [painting], size, FrameSettings(strength)))
    links = FrameLinks((1,), (1.0,)) if way == "previous" else None
    stabilizer = Stabilizer(engine, flow(), strength, links)
    began = time.process_time()
    film = [stabilizer.stylize_frame(frame)[1] for frame in clip]
    return film, (time.process_time() - began) / len(clip)


def measure_films(
    clip: list[Levels], films: dict[str, list[Levels]], painting: Picture, estimator: FlowEstimator
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Measure films by name, the source first, and how much of the frames was compared."""
    steady, style = SteadinessMeter(estimator), FilmStyleMeter(painting, EVERY)
    for source, made_of_it in zip(clip, group_frames(films), strict=True):
        steady.add_frame(levels_to_floats(source), made_of_it)
        style.add_frame(levels_to_floats(source), made_of_it)
    still, styled = steady.average_results(), style.average_results()
    metrics = {name: {**still[name], **styled[name]} for name in films}
    return {SOURCE: still[SOURCE], **metrics}, steady.average_shares()


def group_frames(films: dict[str, list[Levels]]) -> Iterator[dict[str, Floats]]:
    """Group the films' frames by time."""
    for frames in zip(*films.values(), strict=True):
        yield dict(zip(films, map(levels_to_floats, frames), strict=True))


def keep_film(
    name: str, film: list[Levels], seconds: float, way: str, clip: list[Levels], *facts: Any
) -> None:
    """Write the frames, to look at and to measure again."""
    folder = find_folder(name, way, clip, *facts)
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(film):
        write_picture(read_picture(frame), folder / f"{index:03d}.png", overwrite=True)
    (folder / "seconds").write_text(repr(seconds))


def find_film(
    name: str, way: str, clip: list[Levels], *facts: Any
) -> tuple[list[Levels], float] | None:
    """Find the film that an earlier run of the same code made; None: there is none."""
    folder = find_folder(name, way, clip, *facts)
    if not (folder / "seconds").exists():
        return None
    pictures = map(read_picture, sorted(folder.glob("*.png")))
    seconds = float((folder / "seconds").read_text())
    return [to_levels(each.pixels, 8) for each in pictures], seconds


def hash_code() -> str:
    """Hash the source and the weights that come with it."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src").rglob("*.*")):
        if path.suffix in (".py", ".safetensors", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def find_folder(
    name: str, way: str, clip: list[Levels], recipe: Recipe, painting: Picture, stability: float
) -> Path:
    """Find the folder of a film, named after everything that it depends on."""
    frames = hashlib.sha256(b"".join(each.tobytes() for each in clip)).hexdigest()
    facts = hash_code(), recipe.to_json(), painting.compute_sha256(), stability, frames
    made_by = hashlib.sha256(repr(facts).encode()).hexdigest()[:8]
    return RESULTS / f"{name}-{way.replace(' ', '-')}-{made_by}"


if __name__ == "__main__":
    main()
