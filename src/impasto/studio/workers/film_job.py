"""Paint a clip: from its finished frames, if there are any, to the film."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image

from impasto._version import __version__
from impasto.engine.machine.hardware import choose_longer_side
from impasto.engine.sizes import SHORTEST
from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically
from impasto.image.picture import to_levels
from impasto.optimize.checkpoint import describe_recipe
from impasto.recipe.recipe import parse_recipe
from impasto.studio.decoding.decoder import FilmOrder
from impasto.studio.queue import job_files
from impasto.studio.queue.job_rows import FilmSpec
from impasto.studio.workers.job_context import JobContext
from impasto.video.clip.frames import levels_to_floats
from impasto.video.clip.selection import FrameSource, Selection, choose_sheet_places, select_preview
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.job.film_output import choose_film_size
from impasto.video.job.film_preview import make_sheet, paint_sheet_frames, place_on_sheet
from impasto.video.job.film_run import paint_film
from impasto.video.job.frame_store import FrameStore, StoredFrame
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import FrameEngine, Stabilizer

PACE_FRAMES = 20
"""Latest frames that the remaining time is estimated from."""


class JobInterruption(Exception):  # noqa: N818 -- not an error
    """The job has to end in the state that is the argument; raised between two iterations."""


class FilmJob:
    """A job with a clip: the whole film, or its preview."""

    def __init__(self, context: JobContext, film: FilmSpec) -> None:
        """Open the clip, and choose the size of the film.

        Raises:
            Problem, ImpastoError: the clip cannot be painted here.
        """
        self._context = context
        self._film = film
        self._place = context.place
        spec, settings = context.row.spec, context.settings
        self._target = self._place / spec.result
        self._clip = context.services.decoder.open_clip(self._place / job_files.CLIP, spec.names[0])
        recipe = parse_recipe(json.dumps(spec.recipe))
        context.services.engines.load(recipe)  # fails before any work if a network is missing
        form, device = self._clip.format, context.services.engines.hardware.device
        longer = recipe.size or choose_longer_side(max(form.width, form.height), device)
        self._size = choose_film_size(form, longer, self._target)
        if min(self._size) <= SHORTEST:
            raise InputError(
                f"`size`: both sides of a film must be above {SHORTEST} px", field="size"
            )
        settings.check_result(self._size)
        settings.check_film(self._size, film.frames_to_paint)
        self._recipe = recipe.with_changes({"size": max(self._size)})
        self._paintings = context.read_paintings()
        self._selection = select_preview(Selection()) if film.preview else Selection()
        self._frames_done, self._total = 0, film.frames_to_paint
        self._pace: list[float] = []

    def run(self) -> str:
        """See :class:`impasto.studio.workers.job_context.StudioJob`."""
        try:
            return self._paint()
        finally:
            self._context.services.decoder.close_clip()

    def _paint(self) -> str:
        state = "done"
        try:
            engine = self._make_engine()
            if self._film.preview:
                self._paint_sheet(engine)
            self._paint_frames(engine, self._open_store(job_files.FRAMES))
        except JobInterruption as interruption:
            state = str(interruption)
        if state in ("done", "stopped"):
            store = self._open_store(job_files.FRAMES)
            if store.frame_count:
                self._write(store, is_whole=state == "done")
        return state

    def _make_engine(self) -> FrameEngine:
        engines = self._context.services.engines
        return make_frame_engine(
            FrameContext(
                self._recipe,
                self._paintings,
                self._size,
                FrameSettings(self._film.stability),
                engines.hardware,
                on_step=lambda _: self._report(),
                cache=engines.cache,
            )
        )

    def _list_facts(self) -> dict[str, Any]:
        """Return what the frames depend on, except for the clip, which is in the same folder."""
        return {
            "version": __version__,
            "recipe": json.loads(describe_recipe(self._recipe)),
            "painting": [each.compute_sha256() for each in self._paintings],
            "size": list(self._size),
            "stability": self._film.stability,
            "preview": self._film.preview,
        }

    def _open_store(self, folder: str) -> FrameStore:
        # Frames of another version of impasto are painted again.
        return FrameStore(self._place / folder, self._list_facts(), restart=True)

    def _paint_sheet(self, engine: FrameEngine) -> None:
        source = FrameSource(self._clip, Selection(), self._size)
        count = len(choose_sheet_places(source.count_frames()))
        if (self._place / job_files.SHEET).exists():
            self._frames_done = count
            return
        store, sheet = self._open_store(job_files.SHEET_FRAMES), make_sheet(self._size, count)
        for place, each in enumerate(store.read_film_frames()):
            place_on_sheet(sheet, place, each.time, levels_to_floats(each.load()))
        self._frames_done, start = store.frame_count, time.monotonic()
        for place, when, frame in paint_sheet_frames(source, engine, store.frame_count):
            levels = to_levels(frame, 8)
            # No fingerprint: these frames are never resumed from.
            store.save(place, StoredFrame(when, 0, levels, ""), levels)
            place_on_sheet(sheet, place, when, frame)
            start = self._count_frame(start)
            self._report(lambda: sheet.image)
        with replace_atomically(self._place / job_files.SHEET) as path:
            sheet.image.save(path, "PNG")
        self._frames_done = count
        store.remove()

    def _paint_frames(self, engine: FrameEngine, store: FrameStore) -> None:
        before, start = self._frames_done, time.monotonic()
        self._frames_done += store.frame_count
        self._context.make_report_due()
        source = FrameSource(self._clip, self._selection, self._size)
        stabilizer = Stabilizer(engine, DisEstimator(), self._film.stability)
        for progress in paint_film(source, stabilizer, store):
            self._frames_done = before + progress.index
            start = self._count_frame(start)
            self._report(partial(_render_frame, store, progress.index))

    def _count_frame(self, start: float) -> float:
        """Count one more painted frame.

        Args:
            start: when it was begun, in seconds of :func:`time.monotonic`.

        Returns:
            The time now.
        """
        self._frames_done += 1
        self._total = max(self._total, self._frames_done)
        # The clip may have more frames than it claims.
        self._context.settings.check_film(self._size, self._frames_done)
        now = time.monotonic()
        self._pace = [*self._pace, now - start][-PACE_FRAMES:]
        return now

    def _report(self, render: Callable[[], Image.Image] | None = None) -> None:
        """Report progress if that is due, or if there is a new frame.

        Args:
            render: makes the picture of a new frame. None: there is none.

        Raises:
            JobInterruption: the job has to end now.
            Problem: its time is used up.
        """
        context = self._context
        context.check_time()
        if render is None and not context.is_report_due():
            return
        state = context.report(self._describe_progress(), render)
        if state is not None and self._frames_done < self._total:
            raise JobInterruption(state)

    def _describe_progress(self) -> dict[str, Any]:
        pace = sum(self._pace) / len(self._pace) if self._pace else 0.0
        return {
            "iteration": self._frames_done,
            "iterations": self._total,
            "unit": "frame",
            "scale": 0,
            "scales": 1,
            "width": self._size[0],
            "height": self._size[1],
            "losses": {},
            "seconds_left": round(pace * (self._total - self._frames_done), 1),
        }

    def _write(self, store: FrameStore, *, is_whole: bool) -> None:
        if is_whole:  # a damaged end of the clip may have cost frames
            self._total = self._frames_done
        context, facts = self._context, self._list_facts()
        spec, end = context.row.spec, self._selection.end
        recipe = self._recipe.model_dump(mode="json")
        record = json.dumps({"impasto": __version__, "recipe": recipe, "video": facts})
        order = FilmOrder(
            target=str(self._target),
            store=str(store.folder),
            facts=facts,
            size=self._size,
            end=None if end is None else str(end),
            record=record if is_whole else None,
            keep_metadata=spec.keep_metadata,
        )
        context.services.decoder.write_film(
            self._place / job_files.CLIP, spec.names[0], order, seconds=context.settings.job_seconds
        )
        context.finish_result(self._target, _render_frame(store, store.frame_count // 2))
        context.make_report_due()
        context.report(
            self._describe_progress(), partial(_render_frame, store, store.frame_count - 1)
        )


def _render_frame(store: FrameStore, index: int) -> Image.Image:
    return Image.fromarray(store.read_pixels(index))
