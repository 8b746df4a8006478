"""Show a repainted clip in a browser in real time: ``impasto video --live camera|FILE``."""

from __future__ import annotations

import argparse
import threading
import time
import webbrowser
from pathlib import Path

from impasto.cli import INTERRUPTED
from impasto.cli.jobs.film_request import FilmRequest, choose_size
from impasto.cli.jobs.stop_signals import StopRequest, catch_stop_signals
from impasto.cli.jobs.video_work import LINE_EVERY_S, make_film_engine
from impasto.cli.options.arguments import say
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe
from impasto.video.clip.camera import Camera
from impasto.video.clip.reading import open_clip
from impasto.video.live import Screen, play_live, serve_screen
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import Stabilizer


def run_live(options: argparse.Namespace, recipe: Recipe) -> int:
    """Show frames until the clip ends or the user stops.

    Returns:
        The exit code: 0, or 130 if the user stopped.
    """
    clip = Camera(say) if options.live == "camera" else open_clip(options.live, notice=say)
    size = choose_size(clip, recipe, options, None)
    film = FilmRequest(
        options=options,
        recipe=recipe.with_changes({"size": max(size)}),
        clip=clip,
        paintings=[read_picture(Path(each), notice=say) for each in options.style],
        size=size,
        output=None,
    )
    screen, frames, rate, last_line = Screen(), 0, 0.0, time.monotonic()
    with catch_stop_signals() as stop, serve_screen(screen, options.port) as address:
        say(f"showing the result at {address}; Ctrl-C stops")
        if not options.no_open:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        engine = make_film_engine(film, stop)
        stabilizer = Stabilizer(engine, DisEstimator(fast=True), options.stability)
        try:
            for rate in play_live(film.source, stabilizer, screen):
                frames += 1
                if stop:
                    break
                if time.monotonic() - last_line > LINE_EVERY_S and not options.quiet:
                    last_line = time.monotonic()
                    say(f"{frames} frames, {rate:.2f} per second")
        except StopRequest:
            pass
    say(f"{frames} frames shown, {rate:.2f} per second at the end")
    return INTERRUPTED if stop else 0
