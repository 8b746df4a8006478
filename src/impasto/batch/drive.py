"""The batch itself: jobs to workers, outcomes to the record."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from impasto.batch.batch_job import Job, Outcome
from impasto.batch.batch_record import Record
from impasto.batch.workers.executors import Executor, WorkerLost
from impasto.batch.workers.patience import Patience

PATIENCE_S = 1.0
"""Between looks at a source, or at workers, that have nothing now but may have something later."""


def drive(
    groups: Iterator[Sequence[Job] | None],
    executor: Executor,
    workers: int,
    record: Record,
    stop: Sequence[int],
    patience: Patience | None = None,
) -> Iterator[Outcome]:
    """Have jobs done, and tell what came of each as soon as it is in the record.

    Jobs whose worker dies are given to another once, one by one, then they have failed. Nothing is
    begun once ``stop`` holds anything, or the disk is full; what is begun ends.

    Args:
        groups: jobs for one worker at a time, in order; none: nothing now, but perhaps later.
        executor: of the workers, which may go and come again.
        workers: how many calls it takes at a time.
        record: of what is begun and what came of it.
        stop: filled from outside.
        patience: with workers that are not there; none: the usual.

    Raises:
        NoWorkersError: all were lost, and none came again.
    """
    patience = patience or Patience()
    running: dict[Future[list[Outcome]], Sequence[Job]] = {}
    again: deque[Sequence[Job]] = deque()
    more, full = True, False
    while more or again or running:
        waiting = False
        if stop or full:
            more = False
            again.clear()
        while not waiting and (more or again) and not stop:
            if len(running) == workers or not executor.is_free:
                break
            try:
                group = again.popleft() if again else next(groups)
            except StopIteration:
                more = False
                continue
            if group:
                for job in group:
                    record.begun(job)
                running[executor.submit(group)] = group
            waiting = group is None
        patience.see(somebody=bool(running or stop or not (more or again)) or executor.is_free)
        if not running:
            time.sleep(PATIENCE_S if (more or again) and not stop else 0)
            continue
        ended, _ = wait(running, PATIENCE_S, FIRST_COMPLETED)
        for future in [each for each in running if each in ended]:  # in their order
            group = running.pop(future)
            for outcome in _outcomes(future, group):
                if outcome is None:
                    again.extend([replace(job, again=True)] for job in group)
                    continue
                record.ended(outcome)
                full = full or outcome.full
                yield outcome


def _outcomes(future: Future[list[Outcome]], group: Sequence[Job]) -> Sequence[Outcome | None]:
    """Of a call that has ended; a none: its worker died, and jobs may be tried again."""
    try:
        return future.result()
    except WorkerLost as error:
        if not any(job.again for job in group):
            return [None]
        reason = f"two workers were lost at it: {error}"
    except Exception as error:  # what could not be sent back, say
        reason = f"{type(error).__name__}: {error}"
    return [Outcome(job, f"{job.photo}: {reason}") for job in group]
