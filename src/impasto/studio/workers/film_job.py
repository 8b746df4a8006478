"""A clip painted: from wherever its frames had got to, to the film of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from impasto._version import __version__
from impasto.engine.device import default_longer_side
from impasto.engine.sizes import SHORTEST
from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically
from impasto.image.picture import to_levels
from impasto.optimize.checkpoint import essence
from impasto.recipe.recipe import parse_recipe
from impasto.studio.http.bounds import check_film, check_size
from impasto.studio.queue import folder as files
from impasto.studio.queue.rows import Film
from impasto.video.clip.clip import from_levels
from impasto.video.clip.selection import Selection, beginning, sheet_places
from impasto.video.engines.choice_of_frames import film_engine
from impasto.video.job.film_run import run
from impasto.video.job.finish import film_size
from impasto.video.job.preview import painted_alone, put, sheet_of
from impasto.video.job.work import Saved, Work
from impasto.video.stabilize.flow import Dis
from impasto.video.stabilize.stabilizer import Engine, Stabilizer

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
        longer = recipe.size or default_longer_side(max(form.width, form.height), painter.device)
        self._size = film_size(form, longer, self._target)
        if min(self._size) <= SHORTEST:
            raise InputError(f"size: both sides of a film have to be above {SHORTEST} px")
        check_size(self._size, settings)
        check_film(self._size, film.wanted, settings)
        self._recipe = recipe.with_changes({"size": max(self._size)})
        self._paintings = attempt.paintings()
        self._selection = beginning(Selection()) if film.preview else Selection()
        self._painter = painter
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
        if state in ("done", "stopped") and (work := self._work(files.FRAMES)).done:
            self._write(work, whole=state == "done")
        return state

    def _engine(self) -> Engine:
        settings = self._attempt.worker.settings
        return film_engine(
            self._recipe,
            self._paintings,
            self._size,
            stability=self._film.stability,
            device=settings.device,
            weights=settings.weights,
            max_memory=settings.job_memory,
            scratch=settings.scratch,
            on_step=lambda _: self._look(),
            like=self._painter,
        )

    def _facts(self) -> dict[str, Any]:
        """Everything that the frames depend on, but for the clip, which is the folder's own."""
        return {
            "version": __version__,
            "recipe": json.loads(essence(self._recipe)),
            "painting": [each.sha256() for each in self._paintings],
            "size": list(self._size),
            "stability": self._film.stability,
            "preview": self._film.preview,
        }

    def _work(self, folder: str) -> Work:
        # Frames that another version of impasto made are begun anew.
        return Work(self._place / folder, self._facts(), restart=True)

    def _make_sheet(self, engine: Engine) -> None:
        clip, selection = self._clip, Selection()
        count = len(sheet_places(selection.count(clip)))
        if (self._place / files.SHEET).exists():
            self._done = count
            return
        work, sheet = self._work(files.SHEET_FRAMES), sheet_of(self._size, count)
        for place, each in enumerate(work.shown()):
            put(sheet, place, each.time, from_levels(each.pixels()))
        self._done, began = work.done, time.monotonic()
        alone = painted_alone(clip, selection, self._size, engine, work.done)
        for place, seen, frame in alone:
            levels = to_levels(frame, 8)
            work.save(place, Saved(seen, 0, levels, ""), levels)  # alone: of no clip to go on with
            put(sheet, place, seen, frame)
            began = self._count(began)
            self._look(lambda: sheet.image)
        with replace_atomically(self._place / files.SHEET) as path:
            sheet.image.save(path, "PNG")
        self._done = count
        work.remove()

    def _make_frames(self, engine: Engine, work: Work) -> None:
        before, began = self._done, time.monotonic()
        self._done += work.done
        self._attempt.fresh()
        stabilizer = Stabilizer(engine, Dis(), self._film.stability)
        for progress in run(self._clip, self._selection, self._size, stabilizer, work):
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
    def _shown(work: Work, index: int) -> Image.Image:
        return Image.fromarray(work.levels(index))

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

    def _write(self, work: Work, *, whole: bool) -> None:
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
        attempt.result_written(self._target, self._shown(work, work.done // 2))
        attempt.fresh()
        attempt.tell(self._progress(), partial(self._shown, work, work.done - 1))
