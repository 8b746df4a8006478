"""Which jobs a worker takes together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from impasto.batch.batch_job import Job
from impasto.batch.planning import Planner

TOGETHER = 4
"""Photos that a network paints in one pass: more hold up the last worker at the end of a batch."""


def grouped(jobs: Iterable[Job | None], planner: Planner) -> Iterator[Sequence[Job] | None]:
    """Jobs that a worker takes together: some for a network, which paints those of one size in one
    pass; one by one otherwise, for each iteration of an optimization fills a core.
    """
    waiting: list[Job] = []
    for job in jobs:
        if waiting and (job is None or not _alike(waiting[0], job)):
            yield waiting
            waiting = []
        if job is None:
            yield None
            continue
        planner.describe(job)
        waiting.append(job)
        if len(waiting) == (1 if job.recipe.engine.kind == "optimizer" else TOGETHER):
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _alike(one: Job, other: Job) -> bool:
    return (one.recipe, one.styles) == (other.recipe, other.styles)
