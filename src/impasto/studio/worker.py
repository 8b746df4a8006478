"""A worker process: it keeps the network loaded and makes one picture after the other.

A job is taken up from its checkpoint if it has one, so that a worker may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from impasto.batch.processes import end_with_parent
from impasto.errors import ImpastoError, InputError
from impasto.media.atomic import replacing
from impasto.media.encode import write_picture
from impasto.media.picture import Picture, fit_within
from impasto.recipe import Recipe, parse_recipe
from impasto.studio import folder as files
from impasto.studio import logs
from impasto.studio.decoding import Decoder
from impasto.studio.folder import Folder
from impasto.studio.problems import Problem, problem_of
from impasto.studio.queue import Queue
from impasto.studio.rows import Row
from impasto.studio.settings import Settings

if TYPE_CHECKING:
    from impasto._stylize import Result
    from impasto.fast.engine import OnePass
    from impasto.optimize.loop import Stylizer
    from impasto.optimize.step import Step

IDLE_S = 0.1
REPORT_S = 0.2
PREVIEW_S = 0.5
PREVIEW_SHARE = 0.05
"""Of the time that previews may take."""
PREVIEW_SIDE = 1024
THUMBNAIL_SIDE = 320
JOBS = 250
"""After which a worker makes room for a fresh one, whatever memory may have leaked until then."""

log = logging.getLogger("impasto.studio")


def serve(settings: Settings, name: str, threads: int, log_format: logs.Format) -> None:
    """Work until told to end by SIGTERM, or until the server is gone."""
    ending = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    threading.Thread(target=end_with_parent, daemon=True).start()
    logs.begin(log_format)
    import torch

    torch.set_num_threads(threads)
    worker = Worker(settings, name, ending)
    worker.warm_up()
    try:
        worker.work()
    finally:
        worker.close()


class Worker:
    """One process's work on the queue."""

    def __init__(self, settings: Settings, name: str, ending: threading.Event) -> None:
        """Open the queue; nothing is taken from it yet.

        Args:
            settings: of the server.
            name: of this worker, no other's before.
            ending: set when the job at hand is to be put back, and no other taken.
        """
        self._settings = settings
        self._name = name
        self._ending = ending
        self._folder = Folder(settings.data)
        self._queue = Queue(self._folder.table, durable=False)
        self._decoder = Decoder(settings.limits, settings.decode_memory, settings.decode_seconds)
        self._engines: dict[str, Stylizer | OnePass] = {}

    def warm_up(self) -> None:
        """Load what every first job would wait for; what is missing, the first job tells."""
        from impasto.recipe import load_recipe

        with contextlib.suppress(ImpastoError):
            self._queue.note("device", self._engine(load_recipe("draft")).device.type)

    def work(self) -> None:
        """Take jobs until told to end, or until a fresh process is due."""
        done = 0
        while done < JOBS and not self._ending.is_set():
            if self.take():
                done += 1
            else:
                self._ending.wait(IDLE_S)

    def take(self) -> bool:
        """Take up the next job, and end with it; false: there was none."""
        row = self._queue.claim(self._name)
        if row is None:
            return False
        _Attempt(self, row).make()
        return True

    def close(self) -> None:
        """End the decoder and let go of the queue."""
        self._decoder.close()
        self._queue.close()

    def _engine(self, recipe: Recipe) -> Stylizer | OnePass:
        """Of the latest recipe of its kind, or a new one that shares its network."""
        from impasto.fast.engine import engine_for

        latest = self._engines.get(recipe.engine.kind)
        if latest is None or latest.recipe != recipe:
            settings = self._settings
            self._engines[recipe.engine.kind] = latest = engine_for(
                recipe,
                device=settings.device,
                weights=settings.weights,
                max_memory=settings.job_memory,
                scratch=settings.scratch,
                like=latest,
            )
        return latest


class _Attempt:
    """A worker at a job."""

    def __init__(self, worker: Worker, row: Row) -> None:
        self._worker = worker
        self._queue = worker._queue
        self._row = row
        self._place = worker._folder.of(row.id)
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
            self._queue.put_back(self._row, self._used)
        elif state != "gone":
            if state == "done":
                (self._place / files.CHECKPOINT).unlink(missing_ok=True)
            if not self._queue.end(self._row, state, self._used, problem, self._size):
                state = "gone"
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
        engine = self._worker._engine(recipe)
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
        return self._worker._decoder.read(self._place / file, name)

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
        if self._used > self._worker._settings.job_seconds and not step.last:
            limit = self._worker._settings.job_seconds
            raise Problem("time_limit", f"the job has worked for {limit:g} s, as long as one may")
        if step.scale != self._scale:  # each scale is seen
            self._scale, self._shown, self._reported = step.scale, -math.inf, -math.inf
        if step.last or time.monotonic() < self._reported + REPORT_S:
            return "done"
        asked = self._report(step)
        self._reported = time.monotonic()
        if asked is not None:
            return {"cancel": "cancelled", "stop": "stopped"}.get(asked, asked)
        yields = not self._row.draft and self._queue.a_draft_waits()
        return "queued" if yields or self._worker._ending.is_set() else "done"

    def _report(self, step: Step, *, final: bool = False) -> str | None:
        shown = self._preview(step, final=final)
        return self._queue.report(self._row, progress_of(step), shown, self._used)

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
