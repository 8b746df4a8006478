"""Who makes the pictures: this process, processes of this machine, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

from impasto.batch.batch_job import Job, Outcome, Probe, Settings, Share
from impasto.batch.workers.batch_worker import Worker
from impasto.batch.workers.processes import born_deaf, end_with_parent

T = TypeVar("T")


class WorkerLost(Exception):  # noqa: N818 -- nothing that a user has done wrong
    """A worker died with its work; there is a new one."""


class Executor(Protocol):
    """Some workers, each with one call at a time. A future raises :class:`WorkerLost` if its worker
    dies.
    """

    def probe(self, job: Job) -> Future[Probe]:
        """See :meth:`Worker.probe`; before any work."""

    def staffed(self, probe: Probe | None) -> int:
        """How many workers there are, given what a picture takes, if that is known."""

    @property
    def is_free(self) -> bool:
        """Whether a worker has nothing to do."""

    def submit(self, jobs: Sequence[Job]) -> Future[list[Outcome]]:
        """See :meth:`Worker.work`; only while :attr:`is_free`."""

    def close(self, *, at_once: bool) -> None:
        """Let the workers go, with what they are at or at its end."""


class Serial:
    """This process, one picture after the other: no worker to be lost, nothing in parallel."""

    def __init__(self, settings: Settings, shares: Callable[[Probe | None], list[Share]]) -> None:
        """Arguments as of :class:`LocalProcesses`; of the shares the first counts."""
        self._worker = Worker(settings)
        self._shares = shares
        self._share = Share()

    def probe(self, job: Job) -> Future[Probe]:
        """See :class:`Executor`."""
        return _called(lambda: self._worker.probe(job))

    def staffed(self, probe: Probe | None) -> int:
        """See :class:`Executor`."""
        self._share = self._shares(probe)[0]
        return 1

    @property
    def is_free(self) -> bool:
        """See :class:`Executor`."""
        return True

    def submit(self, jobs: Sequence[Job]) -> Future[list[Outcome]]:
        """See :class:`Executor`."""
        return _called(lambda: self._worker.work(jobs, self._share))

    def close(self, *, at_once: bool) -> None:
        """See :class:`Executor`."""


def _called(function: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
    return future


class LocalProcesses:
    """Processes of this machine; each is a pool of its own, so that one that dies harms no other
    and is known by what it was at.
    """

    def __init__(self, settings: Settings, shares: Callable[[Probe | None], list[Share]]) -> None:
        """Nothing starts yet.

        Args:
            settings: of all pictures.
            shares: what each worker may take, given what a picture does.
        """
        self._settings = settings
        self._shares = shares
        self._lanes: list[_Lane] = []

    def probe(self, job: Job) -> Future[Probe]:
        """See :class:`Executor`."""
        self._lanes = self._lanes or [_Lane(self._settings, Share())]
        return self._lanes[0].call(_probe, job)

    def staffed(self, probe: Probe | None) -> int:
        """See :class:`Executor`."""
        shares = self._shares(probe)
        self._lanes = self._lanes or [_Lane(self._settings, shares[0])]
        self._lanes[0].share = shares[0]
        self._lanes += [_Lane(self._settings, share) for share in shares[1:]]
        return len(self._lanes)

    @property
    def is_free(self) -> bool:
        """See :class:`Executor`."""
        return any(lane.is_free for lane in self._lanes)

    def submit(self, jobs: Sequence[Job]) -> Future[list[Outcome]]:
        """See :class:`Executor`."""
        lane = next(lane for lane in self._lanes if lane.is_free)
        return lane.call(_work, jobs, lane.share)

    def close(self, *, at_once: bool) -> None:
        """See :class:`Executor`."""
        if at_once:
            for process in multiprocessing.active_children():
                process.kill()
        for lane in self._lanes:
            lane.close()


class _Lane:
    """One process, and the one that comes after it if it dies."""

    def __init__(self, settings: Settings, share: Share) -> None:
        self.share = share
        self._settings = settings
        self._pool = self._started()
        self._last: Future[Any] | None = None

    @property
    def is_free(self) -> bool:
        return self._last is None or self._last.done()

    def call(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        lost = self._last is not None and isinstance(self._last.exception(), WorkerLost)
        if lost:
            self._pool.shutdown(wait=False)
            self._pool = self._started()
        with born_deaf():  # the first call starts the process
            try:
                inner = self._pool.submit(function, *arguments)
            except BrokenExecutor:  # it died with nothing to do
                self._pool = self._started()
                inner = self._pool.submit(function, *arguments)
        self._last = outer = Future[T]()
        inner.add_done_callback(lambda done: _passed_on(done, outer))
        return outer

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        # Not forked: threads of torch's do not survive it.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self._settings,))


def _passed_on(done: Future[T], outer: Future[T]) -> None:
    error = done.exception()
    if error is None:
        outer.set_result(done.result())
    elif isinstance(error, BrokenExecutor):
        outer.set_exception(WorkerLost("its process was killed, perhaps for want of memory"))
    else:
        outer.set_exception(error)


_worker: Worker
"""Of a process that a pool has started."""


def _begin(settings: Settings) -> None:
    global _worker  # noqa: PLW0603 -- the one thing a process of a pool keeps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _worker = Worker(settings)


def _probe(job: Job) -> Probe:
    return _worker.probe(job)


def _work(jobs: Sequence[Job], share: Share) -> list[Outcome]:
    return _worker.work(jobs, share)
