"""Workers as actors of a Ray cluster, which places them and tells when one is lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Any

from impasto.batch.batch_job import Job, Outcome, Probe, Settings, Share
from impasto.batch.workers.batch_worker import Worker
from impasto.batch.workers.executors import WorkerLost
from impasto.batch.workers.patience import Patience
from impasto.errors import InputError, ResourceError, format_count

LOOK_S = 1.0
START_S = 60.0
"""That actors have to find room, until those that run are counted."""


class RayActors:
    """As :class:`impasto.batch.workers.executors.Executor` says, on every machine of a cluster.

    An actor that dies, with its machine or alone, is replaced by a new one wherever Ray finds room.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        address: str | None = None,
        workers: int | None = None,
        threads: int = 1,
        max_memory: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Connect, or start a cluster of this machine alone.

        Args:
            settings: of all pictures.
            address: of a cluster; none: ``RAY_ADDRESS``, else one is started here.
            workers: actors; none: as many as the cluster has room for now.
            threads: of each, for which Ray keeps as many cores.
            max_memory: bytes of each; none: what its machine has free.
            patience: until the first has found room; none: the usual.

        Raises:
            InputError: Ray is not installed, or the cluster has no room for so many.
            ResourceError: there is no such cluster.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing calls home
        try:
            import ray
        except ImportError:
            raise InputError("the executor ray needs Ray: pip install 'impasto[ray]'") from None
        self._ray: Any = ray
        address = address or os.environ.get("RAY_ADDRESS")
        alone: dict[str, Any] = {"include_dashboard": False}
        if workers:  # as with local processes, even if they are more than the cores
            alone["num_cpus"] = workers * threads
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else alone),
            )
        except Exception as error:  # Ray has no one type for it
            reason = (str(error).splitlines() or [""])[0][:200]
            raise ResourceError(
                f"no Ray cluster at {address or 'this machine'}: {reason}"
            ) from None
        gpu = settings.device.startswith("cuda")
        self._settings = settings
        self._options: dict[str, Any] = {"num_cpus": threads, "num_gpus": int(gpu)}
        self._share = Share(threads, max_memory, roomy=max_memory is None)
        self._actors: list[_Actor] = []
        self._patience = patience or Patience()
        room = self._room()
        self._workers = workers or max(1, room)
        if self._workers > room:
            ray.shutdown()
            raise InputError(
                f"the Ray cluster has room for {format_count(room, 'worker')}, not for "
                f"{self._workers}: ask for fewer `workers`, or start more machines",
                limit=room,
                field="workers",
            )

    def probe(self, job: Job) -> Future[Probe]:
        """See :class:`impasto.batch.workers.executors.Executor`; room for a first worker is
        waited for.

        Raises:
            NoWorkersError: there was none for too long.
        """
        self._actors = self._actors or [self._actor()]
        while not self.is_free:
            wait([self._actors[0].last], LOOK_S)
            self._patience.see(somebody=self.is_free)
        return self._actors[0].call("probe", job)

    def staffed(self, probe: Probe | None) -> int:  # noqa: ARG002 -- of one machine of many
        """See :class:`impasto.batch.workers.executors.Executor`."""
        self._actors += [self._actor() for _ in range(self._workers - len(self._actors))]
        wait([actor.last for actor in self._actors], START_S)
        return max(1, sum(actor.is_free for actor in self._actors))

    @property
    def is_free(self) -> bool:
        """See :class:`impasto.batch.workers.executors.Executor`."""
        return any(actor.is_free for actor in self._actors)

    def submit(self, jobs: Sequence[Job]) -> Future[list[Outcome]]:
        """See :class:`impasto.batch.workers.executors.Executor`."""
        actor = next(actor for actor in self._actors if actor.is_free)
        return actor.call("work", jobs, self._share)

    def close(self, *, at_once: bool) -> None:  # noqa: ARG002 -- actors end with their driver
        """See :class:`impasto.batch.workers.executors.Executor`."""
        self._ray.shutdown()

    def _room(self) -> int:
        """Actors that all machines together can hold now."""
        has, needed = self._ray.cluster_resources(), self._options
        rooms = [has.get("CPU", 0) // needed["num_cpus"]]
        rooms += [has.get("GPU", 0)] if needed["num_gpus"] else []
        return int(min(rooms))

    def _actor(self) -> _Actor:
        return _Actor(self._ray, self._settings, self._options)


class _Actor:
    """One actor, and the one that comes after it if it is lost.

    Attributes:
        last: call; the first ends when the actor has found room and runs.
    """

    def __init__(self, ray: Any, settings: Settings, options: dict[str, Any]) -> None:
        self._ray = ray
        self._settings = settings
        self._class = ray.remote(**options)(Worker)
        self._start()

    def _start(self) -> None:
        self._handle = self._class.remote(self._settings)
        self.call("__ray_ready__")

    @property
    def is_free(self) -> bool:
        """Whether it runs and has nothing to do. A lost one is replaced, which takes its time."""
        if self.last.done() and isinstance(self.last.exception(), WorkerLost):
            self._start()
        return self.last.done()

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        self.last = outer = Future[Any]()
        reference = getattr(self._handle, method).remote(*arguments)
        reference.future().add_done_callback(lambda done: self._pass_on(done, outer))
        return outer

    def _pass_on(self, done: Future[Any], outer: Future[Any]) -> None:
        error = done.exception()
        if error is None:
            outer.set_result(done.result())
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            outer.set_exception(error.cause or error)
        else:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            outer.set_exception(WorkerLost(reason))
