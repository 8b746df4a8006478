"""Run workers in this process or in processes of this machine, behind one interface.

:mod:`impasto.batch.processes.ray_executor` does the same on a Ray cluster.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

from impasto.batch.batch_job import BatchJob, Outcome, Probe, WorkerSettings, WorkerShare
from impasto.batch.processes.batch_worker import BatchWorker
from impasto.batch.processes.local_machine import block_interrupts, exit_with_parent

T = TypeVar("T")

ShareChooser = Callable[[Probe | None], list[WorkerShare]]
"""Gives a share for each worker, from the needs of a picture if they are known."""


class WorkerLost(Exception):  # noqa: N818 -- not the fault of the user
    """A worker died during its work. It has been replaced."""


class Executor(Protocol):
    """A number of workers, each of which handles one call at a time.

    A future raises :class:`WorkerLost` if its worker dies.
    """

    def probe(self, job: BatchJob) -> Future[Probe]:
        """Call :meth:`BatchWorker.probe`, before any work."""

    def start_workers(self, probe: Probe | None) -> int:
        """Start the workers.

        Args:
            probe: needs of a picture. None: unknown.

        Returns:
            The number of workers.
        """

    @property
    def is_free(self) -> bool:
        """Whether a worker is idle."""

    def submit(self, jobs: Sequence[BatchJob]) -> Future[list[Outcome]]:
        """Call :meth:`BatchWorker.work`; allowed only while :attr:`is_free`."""

    def close(self, *, at_once: bool) -> None:
        """Stop the workers after their present work, or immediately."""


class SerialExecutor:
    """Works in this process, one call after the other."""

    def __init__(self, settings: WorkerSettings, choose_shares: ShareChooser) -> None:
        """Take the arguments of :class:`ProcessExecutor`; only the first share is used."""
        self._worker = BatchWorker(settings)
        self._choose_shares = choose_shares
        self._share = WorkerShare()

    def probe(self, job: BatchJob) -> Future[Probe]:
        """See :class:`Executor`."""
        return _call_now(lambda: self._worker.probe(job))

    def start_workers(self, probe: Probe | None) -> int:
        """See :class:`Executor`."""
        self._share = self._choose_shares(probe)[0]
        return 1

    @property
    def is_free(self) -> bool:
        """See :class:`Executor`."""
        return True

    def submit(self, jobs: Sequence[BatchJob]) -> Future[list[Outcome]]:
        """See :class:`Executor`."""
        return _call_now(lambda: self._worker.work(jobs, self._share))

    def close(self, *, at_once: bool) -> None:
        """See :class:`Executor`."""


def _call_now(function: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
    return future


class ProcessExecutor:
    """Works in processes of this machine.

    Each process is a pool of its own. If one dies, the others are not affected, and it is known
    which jobs it was working on.
    """

    def __init__(self, settings: WorkerSettings, choose_shares: ShareChooser) -> None:
        """Store the settings; processes start later.

        Args:
            settings: settings of all pictures.
            choose_shares: gives a share for each worker.
        """
        self._settings = settings
        self._choose_shares = choose_shares
        self._lanes: list[_ProcessLane] = []

    def probe(self, job: BatchJob) -> Future[Probe]:
        """See :class:`Executor`."""
        self._lanes = self._lanes or [_ProcessLane(self._settings, WorkerShare())]
        return self._lanes[0].call(_probe_in_process, job)

    def start_workers(self, probe: Probe | None) -> int:
        """See :class:`Executor`."""
        shares = self._choose_shares(probe)
        self._lanes = self._lanes or [_ProcessLane(self._settings, shares[0])]
        self._lanes[0].share = shares[0]
        self._lanes += [_ProcessLane(self._settings, share) for share in shares[1:]]
        return len(self._lanes)

    @property
    def is_free(self) -> bool:
        """See :class:`Executor`."""
        return any(lane.is_free for lane in self._lanes)

    def submit(self, jobs: Sequence[BatchJob]) -> Future[list[Outcome]]:
        """See :class:`Executor`."""
        lane = next(lane for lane in self._lanes if lane.is_free)
        return lane.call(_work_in_process, jobs, lane.share)

    def close(self, *, at_once: bool) -> None:
        """See :class:`Executor`."""
        if at_once:
            for process in multiprocessing.active_children():
                process.kill()
        for lane in self._lanes:
            lane.close()


class _ProcessLane:
    """One process, and its successors if it dies."""

    def __init__(self, settings: WorkerSettings, share: WorkerShare) -> None:
        self.share = share
        self._settings = settings
        self._pool = self._make_pool()
        self._last: Future[Any] | None = None

    @property
    def is_free(self) -> bool:
        return self._last is None or self._last.done()

    def call(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        is_lost = self._last is not None and isinstance(self._last.exception(), WorkerLost)
        if is_lost:
            self._pool.shutdown(wait=False)
            self._pool = self._make_pool()
        with block_interrupts():  # the first call starts the process
            try:
                inner = self._pool.submit(function, *arguments)
            except BrokenExecutor:  # the process died while it was idle
                self._pool = self._make_pool()
                inner = self._pool.submit(function, *arguments)
        self._last = outer = Future[T]()
        inner.add_done_callback(lambda ended: _pass_result_on(ended, outer))
        return outer

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _make_pool(self) -> ProcessPoolExecutor:
        # Not forked: torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            1, context, initializer=_begin_process, initargs=(self._settings,)
        )


def _pass_result_on(inner: Future[T], outer: Future[T]) -> None:
    error = inner.exception()
    if error is None:
        outer.set_result(inner.result())
    elif isinstance(error, BrokenExecutor):
        outer.set_exception(WorkerLost("its process was killed, perhaps for lack of memory"))
    else:
        outer.set_exception(error)


_worker: BatchWorker
"""The worker of a process that a pool has started."""


def _begin_process(settings: WorkerSettings) -> None:
    global _worker  # noqa: PLW0603 -- the only state of a pool's process
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    _worker = BatchWorker(settings)


def _probe_in_process(job: BatchJob) -> Probe:
    return _worker.probe(job)


def _work_in_process(jobs: Sequence[BatchJob], share: WorkerShare) -> list[Outcome]:
    return _worker.work(jobs, share)
