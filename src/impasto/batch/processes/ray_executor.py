"""Run workers as actors of a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any

from impasto.batch.batch_job import BatchJob, Outcome, Probe, WorkerSettings, WorkerShare
from impasto.batch.processes.batch_worker import BatchWorker
from impasto.batch.processes.executors import WorkerLost
from impasto.batch.processes.patience import Patience
from impasto.errors import InputError, ResourceError, format_count

POLL_S = 1.0
START_S = 60.0
"""Seconds that actors have to find room before those that run are counted."""


class RayExecutor:
    """Works on every machine of a cluster; see :class:`impasto.batch.processes.executors.Executor`.

    An actor that dies, alone or with its machine, is replaced wherever Ray finds room.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        address: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        patience: Patience | None = None,
    ) -> None:
        """Connect to a cluster, or start one on this machine.

        Args:
            settings: settings of all pictures; the memory limit is for each actor.
            address: address of a cluster. None: ``RAY_ADDRESS``, or else a new cluster.
            workers: number of actors. None: as many as the cluster has room for.
            threads: number of threads of each actor, for which Ray reserves as many cores.
            patience: decides how long to wait for the first actor. None: the default.

        Raises:
            InputError: Ray is not installed, or the cluster has no room for the workers.
            ResourceError: there is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
        try:
            import ray
        except ImportError:
            raise InputError(
                "requires an extra package: pip install 'impasto[ray]'", what="the executor ray"
            ) from None
        self._ray: Any = ray
        address = address or os.environ.get("RAY_ADDRESS")
        local: dict[str, Any] = {"include_dashboard": False}
        if workers:  # as with local processes, there may be more workers than cores
            local["num_cpus"] = workers * threads
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else local),
            )
        except Exception as error:  # Ray raises several unrelated types
            reason = (str(error).splitlines() or [""])[0][:200]
            raise ResourceError(
                f"no Ray cluster ({reason})", where=address or "this machine"
            ) from None
        uses_gpu = settings.hardware.device.startswith("cuda")
        self._settings = settings
        self._options: dict[str, Any] = {"num_cpus": threads, "num_gpus": int(uses_gpu)}
        max_memory = settings.hardware.max_memory
        self._share = WorkerShare(threads, max_memory, roomy=max_memory is None)
        self._actors: list[_RayActor] = []
        self._patience = patience or Patience()
        room = self._count_room()
        self._workers = workers or max(1, room)
        if self._workers > room:
            ray.shutdown()
            raise InputError(
                f"has room for {format_count(room, 'worker')}, not for {self._workers}; use fewer "
                "`workers`, or start more machines",
                what="the Ray cluster",
                limit=room,
                field="workers",
            )

    def probe(self, job: BatchJob) -> Future[Probe]:
        """See :class:`impasto.batch.processes.executors.Executor`; waits for a first worker.

        Raises:
            NoWorkersError: no worker was available for too long.
        """
        self._actors = self._actors or [self._make_actor()]
        while not self.is_free:
            wait([self._actors[0].last], POLL_S)
            self._patience.observe(is_staffed=self.is_free)
        return self._actors[0].call("probe", job)

    def start_workers(self, probe: Probe | None) -> int:  # noqa: ARG002 -- of one machine of many
        """See :class:`impasto.batch.processes.executors.Executor`."""
        self._actors += [self._make_actor() for _ in range(self._workers - len(self._actors))]
        wait([actor.last for actor in self._actors], START_S)
        return max(1, sum(actor.is_free for actor in self._actors))

    @property
    def is_free(self) -> bool:
        """See :class:`impasto.batch.processes.executors.Executor`."""
        return any(actor.is_free for actor in self._actors)

    def submit(self, jobs: Sequence[BatchJob]) -> Future[list[Outcome]]:
        """See :class:`impasto.batch.processes.executors.Executor`."""
        actor = next(actor for actor in self._actors if actor.is_free)
        return actor.call("work", jobs, self._share)

    def close(self, *, at_once: bool) -> None:  # noqa: ARG002 -- actors end with their driver
        """See :class:`impasto.batch.processes.executors.Executor`."""
        self._ray.shutdown()

    def _count_room(self) -> int:
        """Count the actors for which the machines of the cluster have room in all."""
        resources, needed = self._ray.cluster_resources(), self._options
        counts = [resources.get("CPU", 0) // needed["num_cpus"]]
        counts += [resources.get("GPU", 0)] if needed["num_gpus"] else []
        return int(min(counts))

    def _make_actor(self) -> _RayActor:
        return _RayActor(self._ray, self._settings, self._options)


class _RayActor:
    """One actor, and its successors if it is lost.

    Attributes:
        last: the latest call. The first call ends once the actor has found room and runs.
    """

    def __init__(self, ray: Any, settings: WorkerSettings, options: dict[str, Any]) -> None:
        self._ray = ray
        self._settings = settings
        self._class = ray.remote(**options)(BatchWorker)
        self._start()

    def _start(self) -> None:
        self._handle = self._class.remote(self._settings)
        self.call("__ray_ready__")

    @property
    def is_free(self) -> bool:
        """Whether the actor runs and is idle. A lost actor is replaced, which takes some time."""
        if self.last.done() and isinstance(self.last.exception(), WorkerLost):
            self._start()
        return self.last.done()

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        self.last = outer = Future[Any]()
        reference = getattr(self._handle, method).remote(*arguments)
        reference.future().add_done_callback(lambda ended: self._pass_result_on(ended, outer))
        return outer

    def _pass_result_on(self, inner: Future[Any], outer: Future[Any]) -> None:
        error = inner.exception()
        if error is None:
            outer.set_result(inner.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            outer.set_exception(error.cause or error)
        else:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            outer.set_exception(WorkerLost(reason))
