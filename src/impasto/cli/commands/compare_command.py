"""``impasto compare PHOTO PAINTING RESULT...``: measure results, as a table or JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import JSON_HELP, Parser, say
from impasto.errors import InputError

if TYPE_CHECKING:
    from impasto.image.picture import Picture
    from impasto.video.clip.frames import Clip

STYLE_FRAMES = 8
"""Approximate number of frames on which the style of a film is measured."""


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto compare",
        description="Measure results against their photo and painting, with VGG-19 at the size of "
        "each result. Lower is better, except for content_ssim.",
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the photo, or the clip with --video")
    add("painting", metavar="PAINTING", help="the painting")
    add("results", metavar="RESULT", nargs="+", help="a picture, or a film with --video")
    add(
        "--library",
        metavar="DIR",
        type=Path,
        help="also measure library_rank: among the paintings of a folder, the painting's place by "
        "likeness of style to the result, from 1",
    )
    add("--json", action="store_true", help=JSON_HELP)
    add("--video", action="store_true", help="compare films of a clip, including their stability")
    add("--plot", metavar="FILE", help="with --video: plot stability against style (.png or .svg)")
    add("--force", action="store_true", help="replace an existing plot")
    return parser


def run(argv: list[str]) -> int:
    """Measure every result against the same photo and painting."""
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.video and options.library:
        raise InputError("cannot be combined", what="--library and --video")
    from impasto.cli.options.style_words import find_painting_file

    options.painting = find_painting_file(options.painting)
    if options.video:
        return _compare_films(options)
    if options.plot:
        parser.error("--plot requires --video")
    from impasto.image.files.decode import read_picture

    photo, painting = (read_picture(Path(p), notice=say) for p in (options.photo, options.painting))
    results = {path: read_picture(Path(path), notice=say) for path in options.results}
    from impasto.evaluate.compare import compare, load_reference_encoder

    encoder = load_reference_encoder()
    metrics: dict[str, dict[str, float]] = {
        path: compare(photo, painting, each, encoder) for path, each in results.items()
    }
    if options.library:
        ranks = _rank_in_library(options.library, painting, results)
        metrics = {path: {**each, "library_rank": ranks[path]} for path, each in metrics.items()}
    if options.json:
        print(json.dumps(metrics))
    else:
        _print_table(metrics)
    return 0


def _rank_in_library(
    folder: Path, painting: Picture, results: Mapping[str, Picture]
) -> dict[str, int]:
    """Return the painting's place among the paintings of a folder, by likeness to each result."""
    from impasto.cli.jobs.style_folder import update_style_folder
    from impasto.library.whitened_code import StyleCoder

    index, coder = update_style_folder(folder), StyleCoder()
    own = coder.measure_code(painting)
    return {
        path: index.rank_painting(own, coder.measure_code(each)) for path, each in results.items()
    }


def _compare_films(options: argparse.Namespace) -> int:
    """Measure every film against the same clip and painting."""
    from impasto.cli.jobs.paint import give_up_on_errors
    from impasto.cli.options.output_files import check_targets, silence_matplotlib
    from impasto.image.files.decode import read_picture
    from impasto.video.stabilize.opencv import check_opencv

    check_opencv()
    from impasto.record.stability_plot import check_plot_target, write_stability_plot
    from impasto.video.clip.reading import open_clip
    from impasto.video.film_metrics import SOURCE, FilmStyleMeter, SteadinessMeter
    from impasto.video.stabilize.flow import DisEstimator

    if options.plot:
        silence_matplotlib()
        check_plot_target(Path(options.plot))
        inputs = [Path(each) for each in (options.photo, options.painting, *options.results)]
        check_targets([Path(options.plot)], inputs, overwrite=options.force)
    painting = read_picture(Path(options.painting), notice=say)
    clip = open_clip(options.photo, notice=say)
    films = {path: open_clip(path, notice=say) for path in options.results}
    every = max(1, round((clip.format.frames or STYLE_FRAMES) / STYLE_FRAMES))
    steadiness, style = SteadinessMeter(DisEstimator()), FilmStyleMeter(painting, every)
    for source, results in _align_frames(clip, films, options.photo):
        steadiness.add_frame(source, results)
        style.add_frame(source, results)
    of_motion, of_style = steadiness.average_results(), style.average_results()
    metrics = {path: {**of_motion.get(path, {}), **of_style[path]} for path in films}
    floor, shares = of_motion.get(SOURCE, {}), steadiness.average_shares()
    if options.json:
        print(json.dumps({"films": metrics, SOURCE: floor, "compared": shares}))
    else:
        _print_table(metrics)
        print(f"{SOURCE}: {_format_values(floor)}; compared: {_format_values(shares)}")
    if options.plot:
        write = partial(write_stability_plot, Path(options.plot), metrics, floor)
        give_up_on_errors(partial(write, overwrite=options.force, notice=say))
    return 0


def _align_frames(
    clip: Clip, films: dict[str, Clip], name: str
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each frame of a clip with those of its films, at the size of the first film.

    Args:
        clip: the clip.
        films: the films by their paths.
        name: name of the clip, for messages.

    Raises:
        InputError: their sizes or lengths differ.
    """
    from impasto.video.clip.frames import levels_to_floats
    from impasto.video.clip.selection import resize_frame

    sizes = {path: (film.format.width, film.format.height) for path, film in films.items()}
    size = next(iter(sizes.values()))
    for path, (width, height) in sizes.items():
        if (width, height) != size:
            raise InputError(
                f"has {width}x{height} px and the first film {size[0]}x{size[1]}, but "
                "films are only compared at the same size",
                where=path,
            )
    iterators = [clip.read_frames(), *(film.read_frames() for film in films.values())]
    for index, frames in enumerate(zip_longest(*iterators)):
        source, *results = frames
        for path, frame in zip(films, results, strict=True):
            if (frame is None) != (source is None):
                other = "fewer" if frame is None else "more"
                raise InputError(
                    f"has {other} frames than the clip {name}, about {index}; films made "
                    "with --range or --every cannot be compared",
                    where=path,
                )
        photo, *pictures = [levels_to_floats(resize_frame(frame, size)) for frame in frames]
        yield photo, dict(zip(films, pictures, strict=True))


def _format_values(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items()) or "nothing"


def _print_table(metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Print a row for each result and a column for each metric of the first result."""
    names = list(next(iter(metrics.values())))
    width = max(len("result"), *(len(path) for path in metrics))
    print("  ".join(["result".ljust(width), *names]))
    for path, values in metrics.items():
        print("  ".join([path.ljust(width), *(f"{values[n]:{len(n)}.4f}" for n in names)]))
