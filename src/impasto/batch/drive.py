"""The batch itself: jobs to workers, outcomes to the record."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from impasto.batch.executors import Executor, WorkerLost
from impasto.batch.job import Job, Outcome
from impasto.batch.record import Record

PATIENCE_S = 1.0
"""Between looks at a source that has nothing now but may have something later."""
_END = object()


def drive(
    jobs: Iterator[Job | None],
    executor: Executor,
    workers: int,
    record: Record,
    stop: Sequence[int],
) -> Iterator[Outcome]:
    """Have the jobs done, and tell what came of each as soon as it is in the record.

    A job whose worker dies is given to another once, then it has failed. No job is begun once
    ``stop`` holds anything, or the disk is full; those that are begun end.

    Args:
        jobs: in order; none: nothing now, but perhaps later.
        executor: with ``workers`` workers.
        workers: how many calls it takes at a time.
        record: of what is begun and what came of it.
        stop: filled from outside.
    """
    running: dict[Future[list[Outcome]], Job] = {}
    again: deque[Job] = deque()
    more = True
    while more or again or running:
        waiting = False
        while not waiting and (more or again) and len(running) < workers and not stop:
            job = again.popleft() if again else next(jobs, _END)
            if isinstance(job, Job):
                record.begun(job)
                running[executor.submit([job])] = job
            more, waiting = more and job is not _END, job is None
        if stop:
            more = False
            again.clear()
        if not running:
            time.sleep(PATIENCE_S if waiting and not stop else 0)
            continue
        ended, _ = wait(running, PATIENCE_S if waiting else None, FIRST_COMPLETED)
        for future in ended:
            job = running.pop(future)
            outcomes = _outcomes(future, job)
            if outcomes is None:
                again.append(replace(job, again=True))
                continue
            for outcome in outcomes:
                record.ended(outcome)
                more = more and not outcome.full
                yield outcome


def _outcomes(future: Future[list[Outcome]], job: Job) -> list[Outcome] | None:
    """Of a call that has ended; none: its worker died, and it may be tried again."""
    try:
        return future.result()
    except WorkerLost as error:
        if not job.again:
            return None
        return [Outcome(job, f"{job.photo}: two workers were lost at it: {error}")]
    except Exception as error:  # what could not be sent back, say
        return [Outcome(job, f"{job.photo}: {type(error).__name__}: {error}")]
