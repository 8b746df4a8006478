"""Run a batch: group jobs, hand them to workers, and record the outcomes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from impasto.batch.batch_job import BatchJob, Outcome
from impasto.batch.batch_plan import BatchPlanner
from impasto.batch.batch_record import BatchRecord
from impasto.batch.processes.executors import Executor, WorkerLost
from impasto.batch.processes.patience import Patience

POLL_S = 1.0
"""Seconds between looks at sources and workers that may have something later."""
GROUP_SIZE = 4
"""Photos that a network paints in one pass. Larger groups delay the end of a batch, while the last
worker finishes alone."""


def group_jobs(
    jobs: Iterable[BatchJob | None], planner: BatchPlanner
) -> Iterator[Sequence[BatchJob] | None]:
    """Group the jobs that a worker takes at a time, and describe them in the record.

    A network paints photos of one size in one pass, so its jobs are grouped. Optimization jobs are
    not: every iteration of one picture already fills a core.

    Args:
        jobs: the jobs in order. None: there is nothing now, but there may be later.
        planner: the planner that made the jobs.
    """
    group: list[BatchJob] = []
    for job in jobs:
        if group and (job is None or not _fit_together(group[0], job)):
            yield group
            group = []
        if job is None:
            yield None
            continue
        planner.describe(job)
        group.append(job)
        if len(group) == (GROUP_SIZE if job.recipe.capabilities.batches else 1):
            yield group
            group = []
    if group:
        yield group


def _fit_together(one: BatchJob, other: BatchJob) -> bool:
    return (one.recipe, one.styles) == (other.recipe, other.styles)


def run_jobs(
    groups: Iterator[Sequence[BatchJob] | None],
    executor: Executor,
    workers: int,
    record: BatchRecord,
    stop: Sequence[int],
    patience: Patience | None = None,
) -> Iterator[Outcome]:
    """Run jobs and yield each outcome once it is in the record.

    If a worker dies, each of its jobs is given to another worker once. A job that loses two workers
    has failed. After ``stop`` is filled or the disk is full no job is started, but running jobs are
    completed.

    Args:
        groups: jobs for one worker at a time, in order. None: there is nothing now, but there may
            be later.
        executor: the workers. They may disappear and come back.
        workers: number of calls that the executor accepts at a time.
        record: receives the starts and outcomes of the jobs.
        stop: a list that is filled from outside to stop the batch.
        patience: decides how long to wait without workers. None: the default.

    Raises:
        NoWorkersError: all workers were lost and none came back.
    """
    patience = patience or Patience()
    running: dict[Future[list[Outcome]], Sequence[BatchJob]] = {}
    retries: deque[Sequence[BatchJob]] = deque()
    has_more, is_full = True, False
    while has_more or retries or running:
        is_idle = False
        if stop or is_full:
            has_more = False
            retries.clear()
        while not is_idle and (has_more or retries) and not stop:
            if len(running) == workers or not executor.is_free:
                break
            try:
                group = retries.popleft() if retries else next(groups)
            except StopIteration:
                has_more = False
                continue
            if group:
                for job in group:
                    record.note_start(job)
                running[executor.submit(group)] = group
            is_idle = group is None
        needs_workers = not (running or stop) and (has_more or bool(retries))
        patience.observe(is_staffed=not needs_workers or executor.is_free)
        if not running:
            time.sleep(POLL_S if (has_more or retries) and not stop else 0)
            continue
        ended, _ = wait(running, POLL_S, FIRST_COMPLETED)
        for future in [each for each in running if each in ended]:  # in order of submission
            group = running.pop(future)
            outcomes = _collect_outcomes(future, group)
            if outcomes is None:
                retries.extend([replace(job, again=True)] for job in group)
                continue
            for outcome in outcomes:
                record.note_end(outcome)
                is_full = is_full or outcome.full
                yield outcome


def _collect_outcomes(
    future: Future[list[Outcome]], group: Sequence[BatchJob]
) -> Sequence[Outcome] | None:
    """Collect the outcomes of a call that has ended. None: its worker died; retry the jobs."""
    try:
        return future.result()
    except WorkerLost as error:
        if not any(job.again for job in group):
            return None
        reason = f"two workers were lost while making it: {error}"
    except Exception as error:  # for example, an outcome that cannot be sent back
        reason = f"{type(error).__name__}: {error}"
    return [Outcome(job, f"{job.photo}: {reason}") for job in group]
