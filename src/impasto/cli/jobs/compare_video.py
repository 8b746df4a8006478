"""``impasto compare --video CLIP PAINTING FILM...``: how still films hold, and in what style."""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.commands.compare_command import print_table
from impasto.cli.options.arguments import say
from impasto.errors import InputError
from impasto.video.stabilize.opencv import check_opencv

if TYPE_CHECKING:
    from impasto.video.clip.frames import Clip

FRAMES = 8
"""About how many the style is measured on."""


def run_video(options: argparse.Namespace) -> int:
    """Measure every film against the same clip and painting."""
    from impasto.image.files.decode import read_picture

    check_opencv()
    from impasto.record.stability_plot import check_plot_target, write_stability_plot
    from impasto.video.clip.reading import open_clip
    from impasto.video.film_metrics import SOURCE, FilmStyleMeter, SteadinessMeter
    from impasto.video.stabilize.flow import DisEstimator

    if options.plot:
        check_plot_target(Path(options.plot))
    painting = read_picture(Path(options.painting), notice=say)
    clip = open_clip(options.photo, notice=say)
    films = {path: open_clip(path, notice=say) for path in options.results}
    every = max(1, round((clip.format.frames or FRAMES) / FRAMES))
    steady, style = SteadinessMeter(DisEstimator()), FilmStyleMeter(painting, every)
    for source, made in _together(clip, films, options.photo):
        steady.add_frame(source, made)
        style.add_frame(source, made)
    still, styled = steady.average_results(), style.average_results()
    found = {path: {**still.get(path, {}), **styled[path]} for path in films}
    floor = still.get(SOURCE, {})
    if options.json:
        print(json.dumps({"films": found, SOURCE: floor, "compared": steady.average_shares()}))
    else:
        print_table(found)
        print(f"{SOURCE}: {_listed(floor)}; compared: {_listed(steady.average_shares())}")
    if options.plot:
        write_stability_plot(Path(options.plot), found, floor)
    return 0


def _together(clip: Clip, films: dict[str, Clip], name: str) -> Any:
    """Frames of a clip of that name and of films, in 8 bits, all at the size of the first film.

    Raises:
        InputError: they are of different sizes or lengths.
    """
    from impasto.video.clip.frames import levels_to_floats
    from impasto.video.clip.selection import resize_frame

    sizes = {path: (film.format.width, film.format.height) for path, film in films.items()}
    size = next(iter(sizes.values()))
    for path, each in sizes.items():
        if each != size:
            raise InputError(
                f"{path}: is {each[0]}x{each[1]} px, the first film {size[0]}x{size[1]}: "
                "films are compared at one size"
            )
    iterators = [clip.read_frames(), *(film.read_frames() for film in films.values())]
    for index, frames in enumerate(zip_longest(*iterators)):
        source, *made = frames
        for path, frame in zip(films, made, strict=True):
            if (frame is None) != (source is None):
                other = "fewer" if frame is None else "more"
                raise InputError(
                    f"{path}: has {other} frames than {name}, the clip: {index} or so; "
                    "films made with --range or --every cannot be compared"
                )
        shown, *pixels = [levels_to_floats(resize_frame(frame, size)) for frame in frames]
        yield shown, dict(zip(films, pixels, strict=True))


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items()) or "nothing"
