"""Paint a photo: from its pictures, or its checkpoint, to the result."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically
from impasto.image.files.encode import write_picture
from impasto.image.masks import Mask, read_mask
from impasto.image.picture import Picture
from impasto.recipe.recipe import Recipe, parse_recipe
from impasto.segment.mask_words import find_masks
from impasto.studio.decoding.browser_view import write_view
from impasto.studio.queue import job_files
from impasto.studio.workers.job_context import JobContext

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.inputs import Inputs
    from impasto.engine.protocol import PictureEngine
    from impasto.engine.step import Step

log = logging.getLogger("impasto.studio")


class PictureJob:
    """A job with a photo."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._place = context.place
        self._spec = context.row.spec
        self._scale = -1

    def run(self) -> str:
        """See :class:`impasto.studio.workers.job_context.StudioJob`."""
        from impasto.api.stylize import make_result

        context, spec = self._context, self._spec
        recipe = parse_recipe(json.dumps(spec.recipe))
        if spec.init:
            start = str(self._place / job_files.START)
            recipe = recipe.with_changes({"start.base": "image", "start.image": start})
        inputs = self._read_inputs(recipe)
        engine = context.services.engines.load(recipe)
        context.settings.check_result(engine.choose_size(inputs.photo))
        # Closing writes the checkpoint, which has to exist before anybody else takes the job.
        with contextlib.closing(self._start_run(engine, inputs)) as steps:
            for last in steps:  # at least one
                state = self._handle_step(last)
                if state is not None:
                    break
        if state not in (None, "stopped"):
            return state
        result = make_result(engine, last, inputs, spec.names, context.used)
        self._write(result, is_whole=state is None)
        context.make_report_due()
        context.report(describe_progress(last), last.preview)
        return state or "done"

    def _read_inputs(self, recipe: Recipe) -> Inputs:
        from impasto.engine.inputs import Inputs

        context, spec = self._context, self._spec
        photo = context.read_picture(job_files.PHOTO, spec.names[0])
        styles = context.read_paintings()
        masks = [
            word or self._read_mask(job_files.name_mask(place), f"mask-{place}.png")
            for place, word in enumerate(spec.masks)
        ]
        style_masks = [self._read_style_mask(place) for place in range(len(spec.style_masks))]
        photo_masks, painting_masks = find_masks(photo, styles, masks, style_masks)
        for place, word in enumerate(spec.masks):
            if word is not None:
                self._write_mask_view(place, photo_masks[place])
        return Inputs.read(recipe, photo, styles, photo_masks, painting_masks)

    def _read_mask(self, file: str, name: str) -> Mask:
        return read_mask(self._context.read_picture(file, name), name=name)

    def _read_style_mask(self, place: int) -> Mask | str | None:
        mask = self._spec.style_masks[place]
        if isinstance(mask, str):
            return mask
        if not mask:
            return None
        return self._read_mask(job_files.name_style_mask(place), f"style-mask-{place}.png")

    def _write_mask_view(self, place: int, mask: Mask) -> None:
        gray = np.repeat(mask.values[..., None], 3, axis=2)
        file = self._place / job_files.name_view(job_files.name_mask(place))
        # Atomically, because another job may use this file as its own mask.
        with replace_atomically(file) as path:
            write_view(Picture(gray), path, "PNG")

    def _start_run(self, engine: PictureEngine, inputs: Inputs) -> Generator[Step, None, None]:
        """Start from a valid checkpoint if there is one; closing the run writes another."""
        checkpoint = self._place / job_files.CHECKPOINT
        if not engine.capabilities.checkpoints:
            return engine.run(inputs)
        resume = checkpoint if checkpoint.exists() else None
        try:
            return engine.run(inputs, checkpoint=checkpoint, resume=resume)
        except InputError:
            if resume is None:
                raise
        log.warning("checkpoint not used", extra={"job": self._context.row.id})
        checkpoint.unlink()
        return engine.run(inputs, checkpoint=checkpoint)

    def _handle_step(self, step: Step) -> str | None:
        """Return the state in which the job has to end after a step. None: it goes on."""
        context = self._context
        if step.last:
            return None
        context.check_time()
        if step.scale != self._scale:  # clients see every scale
            self._scale = step.scale
            context.make_report_due()
        if not context.is_report_due():
            return None
        return context.report(describe_progress(step), step.preview)

    def _write(self, result: Result, *, is_whole: bool) -> None:
        spec = self._spec
        record = replace(result.provenance, keeps_metadata=spec.keep_metadata)
        target = self._place / spec.result
        write_picture(
            result.picture,
            target,
            # The recipe does not make a picture that was stopped.
            record=record.to_json() if is_whole else None,
            depth=spec.depth,
            dpi=result.recipe.dpi,
            keep_metadata=spec.keep_metadata,
            overwrite=True,
        )
        self._context.finish_result(target, result.image)


def describe_progress(step: Step) -> dict[str, Any]:
    """Return what clients see of a step."""
    losses = {
        name: step.losses[name]
        for name in ("total", "content", "style")
        if math.isfinite(step.losses.get(name, math.nan))
    }
    return {
        "iteration": step.iteration,
        "iterations": step.total,
        "unit": "step",
        "scale": step.scale,
        "scales": step.scales,
        "width": step.width,
        "height": step.height,
        "losses": losses,
        "seconds_left": round(step.eta_s, 1),
    }
