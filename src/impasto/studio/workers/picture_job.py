"""A photo painted: from its pictures, or its checkpoint, to the result."""

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
from impasto.studio.decoding.browser_view import show
from impasto.studio.http.bounds import check_size
from impasto.studio.queue import folder as files

if TYPE_CHECKING:
    from impasto.api.stylize import Result
    from impasto.engine.inputs import Inputs
    from impasto.engine.protocol import PictureEngine
    from impasto.engine.step import Step
    from impasto.studio.workers.attempt import Attempt

log = logging.getLogger("impasto.studio")


class PictureJob:
    """One photo."""

    def __init__(self, attempt: Attempt) -> None:
        """Nothing is done yet."""
        self._attempt = attempt
        self._place = attempt.place
        self._spec = attempt.row.spec
        self._scale = -1

    def made(self) -> str:
        """The state that the job ends in.

        Raises:
            Problem, ImpastoError: it fails.
        """
        from impasto.api.stylize import make_result

        attempt, spec = self._attempt, self._spec
        recipe = parse_recipe(json.dumps(spec.recipe))
        if spec.init:
            start = str(self._place / files.START)
            recipe = recipe.with_changes({"start.base": "image", "start.image": start})
        inputs = self._inputs(recipe)
        engine = attempt.worker.engine(recipe)
        check_size(engine.size_for(inputs.photo), attempt.worker.settings)
        # Closing writes the checkpoint, which has to be there before anybody else takes the job.
        with contextlib.closing(self._steps(engine, inputs)) as steps:
            for last in steps:  # at least one
                state = self._seen(last)
                if state is not None:
                    break
        if state not in (None, "stopped"):
            return state
        result = make_result(engine, last, inputs, spec.names, attempt.used)
        self._write(result, whole=state is None)
        attempt.fresh()
        attempt.tell(progress_of(last), last.preview)
        return state or "done"

    def _inputs(self, recipe: Recipe) -> Inputs:
        from impasto.engine.inputs import Inputs

        attempt, spec = self._attempt, self._spec
        photo, styles = attempt.read(files.PHOTO, spec.names[0]), attempt.paintings()
        masks = [
            word or self._mask(files.mask_file(place), f"mask-{place}.png")
            for place, word in enumerate(spec.masks)
        ]
        parts = [
            part
            if isinstance(part, str)
            else self._mask(files.style_mask_file(place), f"style-mask-{place}.png")
            if part
            else None
            for place, part in enumerate(spec.style_masks)
        ]
        found, found_parts = find_masks(photo, styles, masks, parts)
        for place, word in enumerate(spec.masks):
            if word is not None:
                self._show_mask(found[place], files.view_file(files.mask_file(place)))
        return Inputs.read(recipe, photo, styles, found, found_parts)

    def _mask(self, file: str, name: str) -> Mask:
        return read_mask(self._attempt.read(file, name), name=name)

    def _show_mask(self, mask: Mask, file: str) -> None:
        gray = np.repeat(mask.values[..., None], 3, axis=2)
        # Atomically: another job may have this file as its own mask.
        with replace_atomically(self._place / file) as path:
            show(Picture(gray), path, "PNG")

    def _steps(self, engine: PictureEngine, inputs: Inputs) -> Generator[Step, None, None]:
        """Of the run, from its checkpoint if there is a sound one; closing it writes another."""
        checkpoint = self._place / files.CHECKPOINT
        if not engine.capabilities.checkpoints:
            return engine.run(inputs)
        resume = checkpoint if checkpoint.exists() else None
        try:
            return engine.run(inputs, checkpoint=checkpoint, resume=resume)
        except InputError:
            if resume is None:
                raise
        log.warning("checkpoint not used", extra={"job": self._attempt.row.id})
        checkpoint.unlink()
        return engine.run(inputs, checkpoint=checkpoint)

    def _seen(self, step: Step) -> str | None:
        """What the job is to become after this step, instead of going on to its end."""
        attempt = self._attempt
        if step.last:
            return None
        attempt.check_time()
        if step.scale != self._scale:  # each scale is seen
            self._scale = step.scale
            attempt.fresh()
        return attempt.tell(progress_of(step), step.preview) if attempt.is_due() else None

    def _write(self, result: Result, *, whole: bool) -> None:
        spec = self._spec
        made = replace(result.provenance, keeps_metadata=spec.keep_metadata)
        target = self._place / spec.result
        write_picture(
            result.picture,
            target,
            # A picture cut short is not what its recipe makes.
            record=made.to_json() if whole else None,
            depth=spec.depth,
            dpi=result.recipe.dpi,
            keep_metadata=spec.keep_metadata,
            overwrite=True,
        )
        self._attempt.result_written(target, result.image)


def progress_of(step: Step) -> dict[str, Any]:
    """What a client is told of a step."""
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
