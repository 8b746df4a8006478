"""``impasto video --live camera|FILE``: a page that shows the clip stylized as it comes."""

from __future__ import annotations

import argparse
import threading
import time
import webbrowser
from pathlib import Path

from impasto.cli import INTERRUPTED
from impasto.cli.commands.video_command import size_of
from impasto.cli.jobs.film_request import Film
from impasto.cli.jobs.paint import stoppable
from impasto.cli.jobs.video_work import LINE_EVERY_S, Stopped, engine_of
from impasto.cli.options.arguments import say
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import Recipe
from impasto.video.clip.camera import Camera
from impasto.video.clip.reading import open_clip
from impasto.video.live import Screen, play_live, serve_screen
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import Stabilizer


def run_live(options: argparse.Namespace, recipe: Recipe) -> int:
    """Show frames until the clip ends or the user stops; 0, or 130."""
    clip = Camera(say) if options.live == "camera" else open_clip(options.live, notice=say)
    size = size_of(clip, recipe, options, None)
    paintings = [read_picture(Path(each), notice=say) for each in options.style]
    recipe = recipe.with_changes({"size": max(size)})
    film = Film(options, recipe, clip, paintings, size, None)
    screen, shown, rate, told = Screen(), 0, 0.0, time.monotonic()
    with stoppable() as stop, serve_screen(screen, options.port) as address:
        say(f"{address} shows it; Ctrl-C ends it")
        if not options.no_open:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        stabilizer = Stabilizer(engine_of(film, stop), DisEstimator(fast=True), options.stability)
        try:
            for rate in play_live(film.source, stabilizer, screen):
                shown += 1
                if stop:
                    break
                if time.monotonic() - told > LINE_EVERY_S and not options.quiet:
                    told = time.monotonic()
                    say(f"{shown} frames, {rate:.2f} a second")
        except Stopped:
            pass
    say(f"{shown} frames shown, {rate:.2f} a second at the end")
    return INTERRUPTED if stop else 0
