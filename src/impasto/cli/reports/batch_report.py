"""Report a batch: what there is to do, its progress, and the result."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli import INTERRUPTED
from impasto.cli.options.arguments import escape_line, say
from impasto.cli.reports.progress import LINE_EVERY_S, Display, format_duration

if TYPE_CHECKING:
    from impasto.batch.batch_job import BatchJob, Outcome, Probe
    from impasto.batch.batch_plan import BatchPlan
    from impasto.batch.sources.photo_search import SearchReport

SOME_FAILED = 1
PROBED = 5
"""Photos to try until one can be read and measured for the estimate."""
LISTED = 20
"""Failures that are printed. The record contains all."""
BYTES_A_PIXEL = {"png": 2.3, "tif": 2.9, "bmp": 3.0, "jpg": 0.95, "webp": 0.6, "avif": 0.65}
"""Bytes per pixel of an 8-bit result: the largest of eight results of 400 to 700 px."""
MIB = 2**20


class BatchReport(Display):
    """The report of one batch, and a context manager that shows progress."""

    def __init__(
        self, plan: BatchPlan, search: SearchReport, options: argparse.Namespace, record: Path
    ) -> None:
        """Start with what the search found.

        Args:
            plan: the pictures to make.
            search: what the search found besides photos.
            options: the options of the command.
            record: the file of the record.
        """
        self.search = search
        self.first: Sequence[BatchJob] = plan.jobs[:PROBED]
        self.todo = min(len(plan.jobs), options.limit or len(plan.jobs))
        self._later = len(plan.jobs) - self.todo
        self._options = options
        self._record = record
        self._before = plan.complete
        self._changed = [job.output for job in plan.changed]
        self._ours = plan.ours
        self._failed: list[tuple[str, str]] = list(search.unreadable)
        self._unreadable: set[str] = set()
        self._new = self._ended = 0
        self._ended_by = ""
        self._began = self._last = time.monotonic()
        self._bar: Any = None

    def begin(self) -> None:
        """Report what there is to do.

        Raises:
            InputError: nothing was found.
        """
        from impasto.errors import InputError

        if not (self.todo or self._before or self._changed or self._failed or self._ours):
            if self._options.watch:
                self._say("watching for photos; Ctrl-C stops")
                return
            others = f" ({self.search.others} other files)" if self.search.others else ""
            raise InputError(f"no pictures found{others}", where=", ".join(self._options.source))
        extra = [
            f"{count} {what}"
            for count, what in (
                (self._later, "for later because of --limit"),
                (self._before, "already done"),
                (len(self._changed), "kept unchanged"),
                (self._ours, "results of this batch skipped"),
                (self.search.others, "other files skipped"),
            )
            if count
        ]
        self._say(", ".join([f"{self.todo} to make", *extra]))
        if self._changed:
            say(
                f"{self._changed[0]}{_describe_others(self._changed)}: made from another photo, "
                "painting or recipe, or changed later; --force replaces them"
            )

    def estimate(self, probe: Probe | None, workers: int) -> None:
        """Report the estimated time and space.

        Raises:
            ResourceError: the disk has too little space.
        """
        from impasto.batch.sources import places
        from impasto.errors import ResourceError, format_count

        with_workers = f"with {format_count(workers, 'worker')}"
        if probe is None:
            self._say(with_workers)
            return
        depth = self._options.depth / 8
        each = probe.width * probe.height * BYTES_A_PIXEL[self._options.format] * depth
        needed, seconds = each * self.todo, probe.seconds * self.todo / workers
        room = ""
        if not places.is_url(self._options.output):
            free = shutil.disk_usage(_find_existing(Path(self._options.output))).free
            room = f" of {free / MIB:,.0f} MiB free"
            if needed > free:
                raise ResourceError(
                    f"the results need about {needed / MIB:,.0f} MiB, but "
                    f"only {free / MIB:,.0f} MiB are free; --limit N makes fewer",
                    where=self._options.output,
                )
        self._say(
            f"about {format_duration(seconds)} {with_workers}, and {needed / MIB:,.1f} MiB{room}"
        )

    def add_plan(self, plan: BatchPlan) -> list[BatchJob]:
        """Add what a new file in a watched folder needs, and return its jobs."""
        self._before += plan.complete
        self._changed += [job.output for job in plan.changed]
        for job in plan.changed:
            say(f"{job.output}: was made from another photo or recipe; --force replaces it")
        self.todo += len(plan.jobs)
        return plan.jobs

    def add_failure(self, photo: str, reason: str) -> None:
        """Report a file in a watched folder that cannot be used."""
        self._failed.append((photo, reason))
        say(_with_name(photo, reason))

    def add_unreadable(self, search: SearchReport) -> None:
        """Report each watched folder that cannot be read, once."""
        for folder, reason in search.unreadable:
            if folder not in self._unreadable:
                self._unreadable.add(folder)
                self.add_failure(folder, reason)

    def start(self) -> None:
        """Start the clock, and show a bar on a terminal."""
        self._began = time.monotonic()
        if not self._options.quiet and not self._options.watch and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                console=Console(file=sys.stderr),
            )
            self._bar.add_task("", total=self.todo)
            self._bar.start()

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def update(self, outcome: Outcome) -> None:
        """Count the outcome of a job, and show the progress."""
        if outcome.full:
            self.give_up("the disk is full")
        self._ended += 1
        if outcome.is_done:
            self._new += 1
        else:
            self._failed.append((outcome.job.photo, str(outcome.error)))
        ended, now = self._ended, time.monotonic()
        left = format_duration((now - self._began) / ended * (self.todo - ended))
        if self._bar is not None:
            name = escape_line(outcome.job.key)[-40:]
            self._bar.update(0, completed=ended, description=f"{left} left  {name}")
        elif now - self._last >= LINE_EVERY_S or ended in (1, self.todo) or not outcome.is_done:
            self._last = now
            took = "" if outcome.seconds is None else f"{outcome.seconds:.1f} s"
            what = took if outcome.is_done else f"failed: {outcome.error}"
            left = "" if self._options.watch else f"  {left} left"
            self._say(f"{ended}/{self.todo}  {outcome.job.key}  {what}{left}")

    def give_up(self, reason: str) -> None:
        """Note why no more pictures will be made."""
        self._ended_by = reason

    def end(self, *, interrupted: bool) -> int:
        """Report the result and return the exit code."""
        seconds = time.monotonic() - self._began
        if not self._options.dry_run:
            self._print_summary(seconds, interrupted=interrupted)
        if self._options.json:
            print(json.dumps(self._make_json(seconds, interrupted=interrupted)))
        if interrupted:
            return INTERRUPTED
        if self._ended_by:
            from impasto.errors import ResourceError

            return ResourceError.exit_code
        return SOME_FAILED if self._failed or self._changed else 0

    def _print_summary(self, seconds: float, *, interrupted: bool) -> None:
        parts = [f"{self._new} made in {format_duration(seconds)}"]
        parts += [f"{self._before} already done"] if self._before else []
        parts += [f"{len(self._changed)} kept unchanged"] if self._changed else []
        parts += [f"{len(self._failed)} failed"] if self._failed else []
        line = ", ".join(parts)
        if interrupted or self._ended_by:
            why = self._ended_by or "stopped"
            say(f"{why}: {line}, {self.todo - self._ended} to do: the same command continues")
        else:
            self._say(line)
        for photo, reason in self._failed[:LISTED]:
            say(f"failed: {_with_name(photo, reason)}")
        if len(self._failed) > LISTED:
            say(f"and {len(self._failed) - LISTED} more; all are in {self._record}")

    def _make_json(self, seconds: float, *, interrupted: bool) -> dict[str, Any]:
        return {
            "to_make": self.todo,
            "made": self._new,
            "done_before": self._before,
            "left": self._changed,
            "failed": [{"photo": photo, "error": reason} for photo, reason in self._failed],
            "seconds": round(seconds, 3),
            "record": str(self._record),
            "interrupted": interrupted,
        }

    def _say(self, line: str) -> None:
        if not self._options.quiet:
            say(line)


def _with_name(photo: str, reason: str) -> str:
    return reason if photo in reason else f"{photo}: {reason}"


def _describe_others(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _find_existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
