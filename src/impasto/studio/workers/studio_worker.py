"""A worker process: it keeps the network loaded and makes one picture after the other.

A job is taken up from its checkpoint if it has one, so that a worker may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

from impasto.batch.workers.local_machine import exit_with_parent
from impasto.errors import ImpastoError
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.studio import logs
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.queue import Queue
from impasto.studio.settings import Settings
from impasto.studio.workers.attempt import Attempt

if TYPE_CHECKING:
    from impasto.engine.cache import EngineCache
    from impasto.engine.hardware import Hardware
    from impasto.engine.protocol import PictureEngine

IDLE_S = 0.1
JOBS = 250
"""After which a worker makes room for a fresh one, whatever memory may have leaked until then."""


def serve(settings: Settings, name: str, threads: int, log_format: logs.Format) -> None:
    """Work until told to end by SIGTERM, or until the server is gone."""
    ending = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    threading.Thread(target=exit_with_parent, daemon=True).start()
    logs.begin(log_format)
    import torch

    torch.set_num_threads(threads)
    worker = Worker(settings, name, ending)
    worker.warm_up()
    try:
        worker.work()
    finally:
        worker.close()


class Worker:
    """One process's work on the queue.

    Attributes:
        settings: of the server.
        ending: set when the job at hand is to be put back, and no other taken.
        folder, queue, decoder: that it works with.
    """

    def __init__(self, settings: Settings, name: str, ending: threading.Event) -> None:
        """Open the queue; nothing is taken from it yet.

        Args:
            settings: of the server.
            name: of this worker, no other's before.
            ending: as the attribute.
        """
        self.settings = settings
        self._name = name
        self.ending = ending
        self.folder = Folder(settings.data)
        self.queue = Queue(self.folder.table, durable=False)
        self.decoder = Decoder(settings.limits, settings.decode_memory, settings.decode_seconds)
        self._engines: dict[str, PictureEngine] = {}
        self._cache: EngineCache | None = None

    def warm_up(self) -> None:
        """Load what every first job would wait for; what is missing, the first job tells."""
        for name in ("standard", "draft"):
            with contextlib.suppress(ImpastoError):
                self.queue.note("device", self.engine(load_recipe(name)).hardware.device.type)

    def work(self) -> None:
        """Take jobs until told to end, or until a fresh process is due."""
        done = 0
        while done < JOBS and not self.ending.is_set():
            if self.take():
                done += 1
            else:
                self.ending.wait(IDLE_S)

    def take(self) -> bool:
        """Take up the next job, and end with it; false: there was none."""
        row = self.queue.claim(self._name)
        if row is None:
            return False
        Attempt(self, row).make()
        return True

    def close(self) -> None:
        """End the decoder and let go of the queue."""
        self.decoder.close()
        self.queue.close()

    @property
    def hardware(self) -> Hardware:
        """What its engines may use of the machine."""
        from impasto.engine.hardware import Hardware

        settings = self.settings
        return Hardware.resolve(
            settings.device, settings.weights, settings.job_memory, settings.scratch
        )

    @property
    def cache(self) -> EngineCache:
        """The networks that its engines share."""
        from impasto.engine.cache import EngineCache

        if self._cache is None:
            self._cache = EngineCache()
        return self._cache

    def engine(self, recipe: Recipe) -> PictureEngine:
        """Return the latest engine of the recipe's kind, or a new one that shares its networks."""
        from impasto.engine.registry import make_engine

        latest = self._engines.get(recipe.engine.kind)
        if latest is None or latest.recipe != recipe:
            latest = make_engine(recipe, self.hardware, self.cache)
            self._engines[recipe.engine.kind] = latest
        return latest
