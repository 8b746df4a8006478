"""Who makes the pictures of a batch, and what the first takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from impasto.batch.batch_job import BatchJob, Probe, WorkerSettings
    from impasto.batch.workers.executors import Executor
    from impasto.batch.workers.patience import Patience


def executor_of(
    options: argparse.Namespace, settings: WorkerSettings, patience: Patience
) -> Executor:
    """The one that was asked for."""
    if options.executor == "ray":
        from impasto.batch.sources.places import make_absolute
        from impasto.batch.workers.ray_executor import RayExecutor

        weights = settings.weights and make_absolute(settings.weights)
        return RayExecutor(
            replace(settings, weights=weights),
            address=options.ray_address,
            workers=options.workers,
            max_memory=options.max_memory,
            patience=patience,
        )
    from impasto.batch.workers.executors import ProcessExecutor, SerialExecutor
    from impasto.batch.workers.local_machine import share_machine

    kind = ProcessExecutor if options.executor == "local" else SerialExecutor
    workers = options.workers if options.executor == "local" else 1
    return kind(settings, lambda probe: share_machine(probe, workers, options.max_memory))


def probed(executor: Executor, jobs: Sequence[BatchJob]) -> Probe | None:
    """What the first photo that can be read will take.

    Raises:
        ImpastoError: something that all pictures need is missing.
    """
    from impasto.batch.workers.executors import WorkerLost
    from impasto.errors import ImageError, LimitError, ResourceError

    for job in jobs:
        future: Future[Probe] = executor.probe(job)
        try:
            return future.result()
        except (ImageError, LimitError):
            continue
        except WorkerLost as error:
            raise ResourceError(f"the first worker was lost at {job.photo}: {error}") from None
    return None
