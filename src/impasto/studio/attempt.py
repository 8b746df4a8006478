"""A worker at a job: from its pictures, or its checkpoint, to its result or to whatever ends it."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from impasto.errors import InputError
from impasto.media.atomic import replacing
from impasto.media.encode import write_picture
from impasto.media.picture import Picture, fit_within
from impasto.recipe import parse_recipe
from impasto.studio import folder as files
from impasto.studio.problems import Problem, problem_of
from impasto.studio.rows import Row

if TYPE_CHECKING:
    from impasto._stylize import Result
    from impasto.fast.engine import OnePass
    from impasto.optimize.loop import Stylizer
    from impasto.optimize.step import Step
    from impasto.studio.worker import Worker

REPORT_S = 0.2
PREVIEW_S = 0.5
PREVIEW_SHARE = 0.05
"""Of the time that previews may take."""
PREVIEW_SIDE = 1024
THUMBNAIL_SIDE = 320

log = logging.getLogger("impasto.studio")


class Attempt:
    """A worker at a job."""

    def __init__(self, worker: Worker, row: Row) -> None:
        """Note which job; ``row`` as it was claimed."""
        self._worker = worker
        self._row = row
        self._place = worker.folder.of(row.id)
        self._began = time.monotonic()
        self._reported = self._shown = -math.inf
        self._scale = -1
        self._size: tuple[int, int] | None = None

    @property
    def _used(self) -> float:
        return self._row.used + time.monotonic() - self._began

    def make(self) -> None:
        """Do the job, and note what came of it; nothing is raised."""
        problem: Problem | None = None
        try:
            state = self._made()
        except Exception as error:  # no job may end the work on the others
            problem, state = problem_of(error), "failed"
            if problem.code == "internal":
                log.exception("job failed", extra={"job": self._row.id})
        if state == "queued":
            self._worker.queue.put_back(self._row, self._used)
        elif state != "gone":
            if not self._worker.queue.end(self._row, state, self._used, problem, self._size):
                state = "gone"
            if state == "done":
                (self._place / files.CHECKPOINT).unlink(missing_ok=True)
        log.info(
            "job",
            extra={
                "job": self._row.id,
                "state": state,
                "attempt": self._row.attempt,
                "seconds": round(time.monotonic() - self._began, 3),
                "code": problem and problem.code,
            },
        )

    def _made(self) -> str:
        from impasto._stylize import finished

        recipe = parse_recipe(json.dumps(self._row.spec.recipe))
        if self._row.spec.init:
            start = str(self._place / files.START)
            recipe = recipe.with_changes({"start.base": "image", "start.image": start})
        photo, styles, masks, parts = self._pictures()
        engine = self._worker.engine(recipe)
        # Closing writes the checkpoint, which has to be there before anybody else takes the job.
        with contextlib.closing(self._steps(engine, photo, styles, masks, parts)) as steps:
            for last in steps:  # at least one
                state = self._seen(last)
                if state != "done":
                    break
        if state not in ("done", "stopped"):
            return state
        result = finished(
            *(engine, last, photo, styles, self._row.spec.names),
            *(self._used, masks, parts),
        )
        self._write(result, whole=state == "done")
        self._report(last, final=True)
        return state

    def _pictures(self) -> tuple[Picture, list[Picture], list[Any], list[Any]]:
        from impasto.media.masks import read_mask

        spec = self._row.spec
        photo = self._read(files.PHOTO, spec.names[0])
        styles = [
            self._read(files.style_file(place), spec.names[1 + place])
            for place in range(spec.styles)
        ]
        masks = [
            read_mask(self._read(files.mask_file(place), f"mask {place}"), name=f"mask-{place}.png")
            for place in range(spec.masks)
        ]
        parts = [
            read_mask(
                self._read(files.style_mask_file(place), f"style mask {place}"),
                name=f"style-mask-{place}.png",
            )
            if there
            else None
            for place, there in enumerate(spec.style_masks)
        ]
        return photo, styles, masks, parts

    def _read(self, file: str, name: str) -> Picture:
        return self._worker.decoder.read(self._place / file, name)

    def _steps(
        self,
        engine: Stylizer | OnePass,
        photo: Picture,
        styles: list[Picture],
        masks: list[Any],
        parts: list[Any],
    ) -> Generator[Step, None, None]:
        """Of the run, from its checkpoint if there is a sound one; closing it writes another."""
        checkpoint = self._place / files.CHECKPOINT
        regions: dict[str, Any] = {"masks": masks, "style_masks": parts}
        if engine.recipe.engine.kind != "optimizer":
            return engine.run(photo, styles, **regions)
        resume = checkpoint if checkpoint.exists() else None
        try:
            return engine.run(photo, styles, **regions, checkpoint=checkpoint, resume=resume)
        except InputError:
            if resume is None:
                raise
        log.warning("checkpoint not used", extra={"job": self._row.id})
        checkpoint.unlink()
        return engine.run(photo, styles, **regions, checkpoint=checkpoint)

    def _seen(self, step: Step) -> str:
        """What the job is to become after this step: ``done`` means to go on to its end."""
        if self._used > self._worker.settings.job_seconds and not step.last:
            limit = self._worker.settings.job_seconds
            raise Problem("time_limit", f"the job has worked for {limit:g} s, as long as one may")
        if step.scale != self._scale:  # each scale is seen
            self._scale, self._shown, self._reported = step.scale, -math.inf, -math.inf
        if step.last or time.monotonic() < self._reported + REPORT_S:
            return "done"
        asked = self._report(step)
        self._reported = time.monotonic()
        if asked is not None:
            return {"cancel": "cancelled", "stop": "stopped"}.get(asked, asked)
        yields = not self._row.draft and self._worker.queue.a_draft_waits()
        return "queued" if yields or self._worker.ending.is_set() else "done"

    def _report(self, step: Step, *, final: bool = False) -> str | None:
        shown = self._preview(step, final=final)
        return self._worker.queue.report(self._row, progress_of(step), shown, self._used)

    def _preview(self, step: Step, *, final: bool) -> int | None:
        """Iteration of a preview, if one was due."""
        began = time.monotonic()
        if began < self._shown and not final:
            return None
        image = step.preview().convert("RGB")
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
        with replacing(self._place / files.PREVIEW) as path:
            image.save(path, "JPEG", quality=88)
        now = time.monotonic()
        self._shown = now + max(PREVIEW_S, (now - began) / PREVIEW_SHARE)
        return step.iteration

    def _write(self, result: Result, *, whole: bool) -> None:
        spec = self._row.spec
        made = replace(result.provenance, keeps_metadata=spec.keep_metadata)
        target = self._place / files.RESULT
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
        self._size = result.picture.width, result.picture.height
        for path in self._place.glob("result.*"):  # in other formats, of an earlier stop
            if path != target:
                path.unlink()
        size = fit_within(result.picture.width, result.picture.height, THUMBNAIL_SIDE)
        with replacing(self._place / files.THUMBNAIL) as path:
            result.image.convert("RGB").resize(size).save(path, "JPEG", quality=85)


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
        "scale": step.scale,
        "scales": step.scales,
        "width": step.width,
        "height": step.height,
        "losses": losses,
        "seconds_left": round(step.eta_s, 1),
    }
