"""Hold what an operator decides: where data is kept, who is served, and the limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.image.files.limits import MIB, Limits
from impasto.studio.decoding.decoder import BASE_BYTES, DECODED_PIXEL_BYTES
from impasto.studio.problems import Problem

MAX_PICTURES = 8
"""Paintings, or masks, of one job."""
DAY_S = 86_400.0
PICTURE_S, PICTURE_PIXELS = 10.0, 50_000_000
"""Seconds of a processor for a picture, up to this size; larger ones may take longer."""


@dataclass(frozen=True)
class StudioSettings:
    """Settings of one server.

    Attributes:
        data: folder of the queue, the uploads and the results.
        token: secret that requests must carry. None: all users of the machine are trusted.
        hosts: host names that the server answers to, without ports; ``*`` allows any numeric
            address.
        workers: number of worker processes.
        threads: threads of each worker. None: the cores are shared out.
        hardware: the hardware that each worker may use.
        max_queue: number of jobs that may wait.
        max_upload: bytes of a request.
        max_pixels: pixels of an uploaded picture.
        max_result: pixels of a result.
        max_film: pixels of all frames of a film together.
        job_seconds: seconds that a job may run, over all its attempts.
        keep_s: seconds that ended jobs are kept. None: they are kept forever.
        max_disk: bytes of all jobs and of the trash, above which the oldest of the trash are
            deleted, and the oldest ended jobs go to the trash. None: no limit.
        trash_s: seconds that expired jobs stay in the trash.
    """

    data: Path
    token: str | None = None
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    workers: int = 1
    threads: int | None = None
    hardware: HardwareChoice = field(default_factory=HardwareChoice)
    max_queue: int = 50
    max_upload: int = 64 * MIB
    max_pixels: int = 50_000_000
    max_result: int = 16_000_000
    max_film: int = 500_000_000
    job_seconds: float = 3600.0
    keep_s: float | None = 30 * DAY_S
    max_disk: int | None = None
    trash_s: float = 7 * DAY_S

    @property
    def limits(self) -> Limits:
        """Limits of an uploaded picture."""
        return Limits(max_bytes=self.max_upload, max_pixels=self.max_pixels)

    @property
    def decode_memory(self) -> int:
        """Bytes of address space for the process that decodes pictures."""
        return BASE_BYTES + self.max_upload + DECODED_PIXEL_BYTES * self.max_pixels

    @property
    def decode_seconds(self) -> float:
        """Seconds of a processor that decoding one picture may take."""
        return PICTURE_S * max(1.0, self.max_pixels / PICTURE_PIXELS)

    def check_result(self, size: tuple[int, int]) -> None:
        """Check that a result is not too large.

        Args:
            size: (width, height) in pixels.

        Raises:
            Problem: it exceeds the limit.
        """
        if size[0] * size[1] > self.max_result:
            raise Problem(
                "over_limit",
                f"the result would be {size[0]}x{size[1]} px; "
                f"the limit is {self.max_result / 1e6:g} megapixels",
            )

    def check_film(self, size: tuple[int, int], count: int) -> None:
        """Check that the frames of a film, taken together, are not too large.

        Args:
            size: (width, height) of a frame in pixels.
            count: number of frames.

        Raises:
            Problem: they exceed the limit.
        """
        if count * size[0] * size[1] > self.max_film:
            raise Problem(
                "over_limit",
                f"the film would be {count} frames of {size[0]}x{size[1]} px; "
                f"the limit is {self.max_film / 1e6:g} megapixels for all frames together",
            )


def choose_data_folder() -> Path:
    """Return ``$IMPASTO_STUDIO``, or else the user's own folder for application data."""
    if os.environ.get("IMPASTO_STUDIO"):
        return Path(os.environ["IMPASTO_STUDIO"])
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(share) / "impasto" / "studio"
