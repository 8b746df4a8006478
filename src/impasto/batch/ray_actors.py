"""Workers as actors of a Ray cluster, which places them and tells when one is lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from impasto.batch.executors import WorkerLost
from impasto.batch.job import Job, Outcome, Probe, Settings, Share
from impasto.batch.worker import Worker
from impasto.errors import InputError, ResourceError

T = TypeVar("T")


class RayActors:
    """As :class:`impasto.batch.executors.Executor` says, on every machine of a cluster.

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
    ) -> None:
        """Connect, or start a cluster of this machine alone.

        Args:
            settings: of all pictures.
            address: of a cluster; none: ``RAY_ADDRESS``, else one is started here.
            workers: actors; none: as many as the cluster has room for now.
            threads: of each, for which Ray keeps as many cores.
            max_memory: bytes of each; none: what its machine has free.

        Raises:
            InputError: Ray is not installed.
            ResourceError: there is no such cluster.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing calls home
        try:
            import ray
        except ImportError:
            raise InputError("--executor ray needs Ray: pip install 'impasto[ray]'") from None
        self._ray: Any = ray
        address = address or os.environ.get("RAY_ADDRESS")
        alone: dict[str, Any] = {} if address else {"include_dashboard": False}
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **alone,
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
        self._workers = workers
        self._actors: list[_Actor] = []

    def probe(self, job: Job) -> Future[Probe]:
        """See :class:`impasto.batch.executors.Executor`."""
        self._actors = self._actors or [self._actor()]
        return self._actors[0].call("probe", job)

    def staffed(self, probe: Probe | None) -> int:  # noqa: ARG002 -- of one machine of many
        """See :class:`impasto.batch.executors.Executor`."""
        has = self._ray.cluster_resources()
        room = int(has.get("CPU", 1) // self._options["num_cpus"])
        if self._options["num_gpus"]:
            room = min(room, int(has.get("GPU", 0)))
        while len(self._actors) < max(1, self._workers or room):
            self._actors.append(self._actor())
        return len(self._actors)

    def submit(self, jobs: Sequence[Job]) -> Future[list[Outcome]]:
        """See :class:`impasto.batch.executors.Executor`."""
        actor = next(actor for actor in self._actors if actor.is_free)
        return actor.call("work", jobs, self._share)

    def close(self, *, at_once: bool) -> None:  # noqa: ARG002 -- actors end with their driver
        """See :class:`impasto.batch.executors.Executor`."""
        self._ray.shutdown()

    def _actor(self) -> _Actor:
        return _Actor(self._ray, self._settings, self._options)


class _Actor:
    """One actor, and the one that comes after it if it is lost."""

    def __init__(self, ray: Any, settings: Settings, options: dict[str, Any]) -> None:
        self._ray = ray
        self._settings = settings
        self._class = ray.remote(**options)(Worker)
        self._handle = self._class.remote(settings)
        self._last: Future[Any] | None = None

    @property
    def is_free(self) -> bool:
        return self._last is None or self._last.done()

    def call(self, method: str, *arguments: Any) -> Future[Any]:
        if self._last is not None and isinstance(self._last.exception(), WorkerLost):
            self._handle = self._class.remote(self._settings)
        self._last = outer = Future[Any]()
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
