"""A clip painted: from wherever its frames had got to, to the film of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from impasto._version import __version__
from impasto.engine.hardware import choose_longer_side
from impasto.engine.sizes import SHORTEST
from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically
from impasto.image.picture import to_levels
from impasto.optimize.checkpoint import essence
from impasto.recipe.recipe import parse_recipe
from impasto.studio.http.bounds import check_film, check_size
from impasto.studio.queue import folder as files
from impasto.studio.queue.rows import Film
from impasto.video.clip.frames import levels_to_floats
from impasto.video.clip.selection import FrameSource, Selection, choose_sheet_places, select_preview
from impasto.video.engines.frame_engines import make_frame_engine
from impasto.video.engines.frame_settings import FrameSettings
from impasto.video.job.film_output import choose_film_size
from impasto.video.job.film_preview import make_sheet, paint_sheet_frames, place_on_sheet
from impasto.video.job.film_run import paint_film
from impasto.video.job.frame_store import FrameStore, StoredFrame
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.stabilizer import FrameEngine, Stabilizer

if TYPE_CHECKING:
    from impasto.studio.workers.attempt import Attempt


class Halted(Exception):  # noqa: N818 -- not an error
    """The job is to become something else; raised between two iterations."""


class FilmJob:
    """One clip, or its preview."""

    def __init__(self, attempt: Attempt, film: Film) -> None:
        """Open the clip, and see how large the film will be.

        Raises:
            Problem, ImpastoError: it cannot be painted here.
        """
        self._attempt = attempt
        self._film = film
        self._place = attempt.place
        spec, settings = attempt.row.spec, attempt.worker.settings
        self._target = self._place / spec.result
        self._clip = attempt.worker.decoder.clip(self._place / files.CLIP, spec.names[0])
        recipe = parse_recipe(json.dumps(spec.recipe))
        form, painter = self._clip.format, attempt.worker.engine(recipe)
        longer = recipe.size or choose_longer_side(
            max(form.width, form.height), painter.hardware.device
        )
        self._size = choose_film_size(form, longer, self._target)
        if min(self._size) <= SHORTEST:
            raise InputError(f"size: both sides of a film have to be above {SHORTEST} px")
        check_size(self._size, settings)
        check_film(self._size, film.wanted, settings)
        self._recipe = recipe.with_changes({"size": max(self._size)})
        self._paintings = attempt.paintings()
        self._selection = select_preview(Selection()) if film.preview else Selection()
        self._done, self._total = 0, film.wanted
        self._pace: list[float] = []

    def made(self) -> str:
        """The state that the job ends in.

        Raises:
            Problem, ImpastoError: it fails.
        """
        state = "done"
        try:
            engine = self._engine()
            if self._film.preview:
                self._make_sheet(engine)
            work = self._work(files.FRAMES)
            self._make_frames(engine, work)
        except Halted as halted:
            state = str(halted)
        if state in ("done", "stopped") and (work := self._work(files.FRAMES)).frame_count:
            self._write(work, whole=state == "done")
        return state

    def _engine(self) -> FrameEngine:
        worker = self._attempt.worker
        return make_frame_engine(
            self._recipe,
            self._paintings,
            self._size,
            FrameSettings(self._film.stability),
            worker.hardware,
            on_step=lambda _: self._look(),
            cache=worker.cache,
        )

    def _facts(self) -> dict[str, Any]:
        """Everything that the frames depend on, but for the clip, which is the folder's own."""
        return {
            "version": __version__,
            "recipe": json.loads(essence(self._recipe)),
            "painting": [each.compute_sha256() for each in self._paintings],
            "size": list(self._size),
            "stability": self._film.stability,
            "preview": self._film.preview,
        }

    def _work(self, folder: str) -> FrameStore:
        # Frames that another version of impasto made are begun anew.
        return FrameStore(self._place / folder, self._facts(), restart=True)

    def _make_sheet(self, engine: FrameEngine) -> None:
        source = FrameSource(self._clip, Selection(), self._size)
        count = len(choose_sheet_places(source.count_frames()))
        if (self._place / files.SHEET).exists():
            self._done = count
            return
        work, sheet = self._work(files.SHEET_FRAMES), make_sheet(self._size, count)
        for place, each in enumerate(work.read_film_frames()):
            place_on_sheet(sheet, place, each.time, levels_to_floats(each.load()))
        self._done, began = work.frame_count, time.monotonic()
        alone = paint_sheet_frames(source, engine, work.frame_count)
        for place, seen, frame in alone:
            levels = to_levels(frame, 8)
            # No fingerprint: these frames are never resumed from.
            work.save(place, StoredFrame(seen, 0, levels, ""), levels)
            place_on_sheet(sheet, place, seen, frame)
            began = self._count(began)
            self._look(lambda: sheet.image)
        with replace_atomically(self._place / files.SHEET) as path:
            sheet.image.save(path, "PNG")
        self._done = count
        work.remove()

    def _make_frames(self, engine: FrameEngine, work: FrameStore) -> None:
        before, began = self._done, time.monotonic()
        self._done += work.frame_count
        self._attempt.fresh()
        source = FrameSource(self._clip, self._selection, self._size)
        stabilizer = Stabilizer(engine, DisEstimator(), self._film.stability)
        for progress in paint_film(source, stabilizer, work):
            self._done = before + progress.index
            began = self._count(began)
            self._look(partial(self._shown, work, progress.index))

    def _count(self, began: float) -> float:
        """Note that one more frame is done, begun at a time; the time now."""
        self._done += 1
        self._total = max(self._total, self._done)
        # However few the clip claimed to have.
        check_film(self._size, self._done, self._attempt.worker.settings)
        now = time.monotonic()
        self._pace = [*self._pace[-19:], now - began]
        return now

    @staticmethod
    def _shown(work: FrameStore, index: int) -> Image.Image:
        return Image.fromarray(work.read_pixels(index))

    def _look(self, picture: Callable[[], Image.Image] | None = None) -> None:
        """Tell how far it is, and see whether to go on.

        Raises:
            Halted: no.
            Problem: there is no time left.
        """
        attempt = self._attempt
        attempt.check_time()
        if picture is None and not attempt.is_due():
            return
        state = attempt.tell(self._progress(), picture)
        if state is not None and self._done < self._total:
            raise Halted(state)

    def _progress(self) -> dict[str, Any]:
        pace = sum(self._pace) / len(self._pace) if self._pace else 0.0
        return {
            "iteration": self._done,
            "iterations": self._total,
            "unit": "frame",
            "scale": 0,
            "scales": 1,
            "width": self._size[0],
            "height": self._size[1],
            "losses": {},
            "seconds_left": round(pace * (self._total - self._done), 1),
        }

    def _write(self, work: FrameStore, *, whole: bool) -> None:
        if whole:  # a broken end may have cost some
            self._total = self._done
        attempt, facts = self._attempt, self._facts()
        spec, end = attempt.row.spec, self._selection.end
        recipe = self._recipe.model_dump(mode="json")
        record = json.dumps({"impasto": __version__, "recipe": recipe, "video": facts})
        attempt.worker.decoder.film(
            self._place / files.CLIP,
            spec.names[0],
            attempt.worker.settings.job_seconds,
            target=str(self._target),
            work=str(work.folder),
            facts=facts,
            size=self._size,
            end=None if end is None else str(end),
            record=record if whole else None,
            keep_metadata=spec.keep_metadata,
        )
        attempt.result_written(self._target, self._shown(work, work.frame_count // 2))
        attempt.fresh()
        attempt.tell(self._progress(), partial(self._shown, work, work.frame_count - 1))
