"""Paint one scene: run the steps, write the result and what shows it, and report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli import INTERRUPTED
from impasto.cli.jobs.paint import close_quietly, give_up_on_errors
from impasto.cli.jobs.stop_signals import catch_stop_signals
from impasto.cli.options.arguments import choose_hardware, say
from impasto.cli.options.style_words import draw_word_styles
from impasto.cli.reports.error_text import describe_error
from impasto.cli.reports.plan_text import describe_needs
from impasto.cli.reports.progress import choose_progress
from impasto.errors import InputError, format_count

if TYPE_CHECKING:
    from impasto.api.stylize_scene import SceneResult
    from impasto.engine.plan import Plan
    from impasto.engine.step import Step
    from impasto.image.picture import Picture
    from impasto.scene.scene_engine import SceneEngine
    from impasto.scene.scene_files.splat_file import SplatFile

FRAMES, RATE, FILM_SIZE = 72, 24, 384
"""Frames of a turntable, frames per second, and its sides in pixels."""


class SceneJob:
    """One scene to paint, as the command line describes it."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Check the files, and read them.

        Raises:
            ImpastoError: an input cannot be read, or an output cannot be written.
        """
        from impasto.image.files.decode import read_paintings
        from impasto.scene.scene_files.read_scene import read_scene

        self._options = options
        model = Path(options.model)
        self._file: SplatFile = read_scene(model)
        draw_word_styles(options, Path(options.output).parent if options.output else model.parent)
        self._output = Path(
            options.output or choose_scene_output(model, options.style, self._file.kind)
        )
        self._check_files(model)
        self._paintings: list[Picture] = read_paintings([Path(each) for each in options.style])

    def run(self) -> int:
        """Paint the scene, and return the exit code: 0, or 130 if the user stopped the run."""
        from impasto.api.stylize_scene import make_scene_result
        from impasto.image.files.result_file import ResultFile

        options, splats = self._options, self._file.splats
        engine = self._make_engine()
        plan = engine.plan(splats, self._paintings)
        self._say(self._summarize(plan))
        began = time.monotonic()
        with catch_stop_signals() as stop:
            last, is_stopped = self._run_steps(engine, stop)
            result = make_scene_result(
                engine,
                last,
                self._file,
                self._paintings,
                [Path(options.model), *map(Path, options.style)],
                time.monotonic() - began,
            )
            file = ResultFile(self._output, overwrite=options.force, notice=say)
            self._output = file.write(result.save)
            if options.sheet:
                give_up_on_errors(partial(self._write_sheet, result, Path(options.sheet)))
            if options.turntable and not is_stopped:
                give_up_on_errors(partial(self._write_turntable, result, Path(options.turntable)))
        self._report(result, last, is_stopped=is_stopped)
        return INTERRUPTED if is_stopped else 0

    def _check_files(self, model: Path) -> None:
        from impasto.cli.options.output_files import check_no_run_in, check_targets
        from impasto.image.files.encode import choose_format

        options = self._options
        resume = Path(options.resume) if options.resume else None
        if self._output.is_dir():
            raise InputError("is a folder", where=self._output, expected="the name of a file")
        if options.sheet:
            choose_format(Path(options.sheet))
        if options.turntable:
            _check_film(Path(options.turntable))
        if options.checkpoint and not resume and not options.force:
            check_no_run_in(Path(options.checkpoint))
        inputs = [model, *map(Path, options.style)]
        inputs += [Path(options.weights)] if options.weights else []
        files = (options.turntable, options.sheet, options.checkpoint)
        targets = [self._output, *(Path(each) for each in files if each)]
        check_targets(targets, inputs, overwrite=options.force, continued=resume)

    def _make_engine(self) -> SceneEngine:
        from impasto.cli.options.recipe_options import parse_settings
        from impasto.cli.options.region_options import make_strength_fields
        from impasto.scene.scene_choice import SceneChoice, make_scene_recipe
        from impasto.scene.scene_engine import SceneEngine

        options = self._options
        fields = {
            "style.scale": options.style_scale,
            "style.weights": options.style_weight,
            "seed": options.seed,
            **make_strength_fields(options.strength),
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        settings = parse_settings(options.set, fields, has_print=False)
        choice = SceneChoice(
            quality=options.quality,
            views=options.views,
            view_size=options.view_size,
            view_dependent=options.view_dependent,
            colors=options.colors,
            up=options.up,
        )
        recipe = make_scene_recipe(changes=fields | settings)
        recipe.check_counts(len(self._paintings))
        return SceneEngine(recipe, choice, choose_hardware(options).resolve())

    def _run_steps(self, engine: SceneEngine, stop: list[int]) -> tuple[Step, bool]:
        """Return the last step, and whether the user stopped the run."""
        options = self._options
        steps = engine.run(
            self._file.splats,
            self._paintings,
            checkpoint=Path(options.checkpoint) if options.checkpoint else None,
            resume=Path(options.resume) if options.resume else None,
        )
        if options.resume:
            self._say(f"{options.resume} contains a part of this run")
        has_failed = False
        with choose_progress(sys.stderr, quiet=options.quiet) as progress, close_quietly(steps):
            for step in steps:  # at least one
                if step.checkpoint_failure is not None and not has_failed:
                    has_failed = True
                    say(f"checkpoint not written: {describe_error(step.checkpoint_failure)}")
                progress.update(step)
                if stop and not step.last:
                    steps.close()  # writes the checkpoint
                    return step, True
        return step, False

    def _write_sheet(self, result: SceneResult, path: Path) -> None:
        from impasto.image.files.decode import read_picture
        from impasto.image.files.encode import write_picture
        from impasto.image.files.result_file import ResultFile

        picture = read_picture(result.draw_sheet())
        file = ResultFile(path, overwrite=self._options.force, notice=say, what="the sheet")
        self._say(f"{file.write(partial(write_picture, picture))}: before and after")

    def _write_turntable(self, result: SceneResult, path: Path) -> None:
        from impasto.image.files.result_file import ResultFile
        from impasto.video.clip.film_writer import FilmExtras, FilmFrame, write_film
        from impasto.video.clip.frames import Format

        form = Format(FILM_SIZE, FILM_SIZE, Fraction(RATE), Fraction(1, RATE), FRAMES, loops=0)
        cameras = result.place_cameras(FRAMES, FILM_SIZE)

        def list_frames() -> Iterator[FilmFrame]:
            with ThreadPoolExecutor(2) as pool:
                for index, (_, after) in enumerate(pool.map(result.show, cameras)):
                    yield FilmFrame(Fraction(index, RATE), partial(_give, after))

        def write(target: Path, /, *, overwrite: bool) -> None:
            write_film(target, list_frames(), form, extras=FilmExtras(overwrite=overwrite))

        file = ResultFile(path, overwrite=self._options.force, notice=say, what="the turntable")
        self._say(f"{file.write(write)}: turntable of {FRAMES / RATE:g} s")

    def _summarize(self, plan: Plan) -> str:
        options = self._options
        iterations = format_count(sum(scale.iterations for scale in plan.scales), "iteration")
        return (
            f"{len(self._file.splats):,} Gaussians, {options.views} views of {options.view_size} "
            f"px in {iterations}: {describe_needs(plan)}"
        )

    def _report(self, result: SceneResult, last: Step, *, is_stopped: bool) -> None:
        options = self._options
        if is_stopped:
            resume = f"; to continue, add --resume {options.checkpoint} --force to the command"
            say(
                f"stopped after {last.iteration} of {last.total} iterations; the scene so far is "
                f"in {self._output}" + (resume if options.checkpoint else "")
            )
        else:
            self._say(f"{self._output} ({len(result.colors):,} Gaussians)")
        if options.json:
            print(json.dumps(self._make_json(result, is_stopped=is_stopped)))

    def _make_json(self, result: SceneResult, *, is_stopped: bool) -> dict[str, Any]:
        options = self._options
        return {
            "output": str(self._output),
            "kind": result.file.kind,
            "gaussians": len(result.colors),
            "views": options.views,
            "view_size": options.view_size,
            "seconds": round(result.seconds, 3),
            "iterations": result.iterations,
            "losses": result.losses,
            "recipe": result.recipe.model_dump(mode="json"),
            "device": result.device,
            "peak_memory_mb": round(result.peak_memory_mb, 1),
            "interrupted": is_stopped,
        }

    def _say(self, line: str) -> None:
        if not self._options.quiet:
            say(line)


def _check_film(path: Path) -> None:
    """Check the name of a turntable.

    Raises:
        InputError: films of this kind cannot be written.
    """
    from impasto.video.clip.film_writer import check_film_target
    from impasto.video.clip.reading import names_numbered_files

    if names_numbered_files(path):
        raise InputError("names numbered pictures", where=path, expected="a film, such as .mp4")
    check_film_target(path)


def _give(levels: Any) -> Any:
    return levels


def choose_scene_output(model: Path, paintings: list[str], kind: str) -> Path:
    """Return the default name of a result: ``MODEL-PAINTING.ply`` beside the model."""
    stem = "-".join([model.stem, *(Path(each).stem for each in paintings)])
    return model.with_name(f"{stem[:200]}.{kind}")
