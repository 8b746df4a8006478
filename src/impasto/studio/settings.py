"""What an operator decides: where, for whom, and how much."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from impasto.image.files.limits import MIB, Limits

MOST_PICTURES = 8
"""Paintings, or masks, of a job."""
DAY_S = 86_400.0
DECODER_BYTES = 512 * MIB
DECODED_BYTES = 96
"""A pixel, at the worst: 74 were measured, of eight bits with alpha."""


@dataclass(frozen=True)
class Settings:
    """Of one server.

    Attributes:
        data: the folder of the queue, the uploads and the results.
        token: that requests must carry; none: the machine's own users are trusted.
        hosts: names that the server answers to, without ports; ``*`` for any address in digits.
        workers: processes that make pictures.
        threads: of each; none: the cores shared out.
        device, weights, scratch: as :class:`impasto.Stylizer` takes them.
        max_queue: jobs that may wait.
        max_upload: bytes of a request.
        max_pixels: of an uploaded picture.
        max_result: pixels of a result.
        max_film: pixels of all frames of a film together.
        job_seconds: that a job may work, over all its attempts.
        job_memory: bytes that a worker may take; none: what is free.
        decode_seconds: that the process which decodes may take for a picture.
        keep_s: seconds that ended jobs are kept; none: for ever.
        max_disk: bytes of all jobs, beyond which the oldest ended ones go to the trash; none: any.
        trash_s: seconds that what was removed by age or for the disk stays in the trash.
    """

    data: Path
    token: str | None = None
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    workers: int = 1
    threads: int | None = None
    device: str = "auto"
    weights: str | None = None
    scratch: str | None = None
    max_queue: int = 50
    max_upload: int = 64 * MIB
    max_pixels: int = 50_000_000
    max_result: int = 16_000_000
    max_film: int = 500_000_000
    job_seconds: float = 3600.0
    job_memory: int | None = None
    decode_seconds: float = 60.0
    keep_s: float | None = 30 * DAY_S
    max_disk: int | None = None
    trash_s: float = 7 * DAY_S

    @property
    def limits(self) -> Limits:
        """Of an uploaded picture."""
        return Limits(max_bytes=self.max_upload, max_pixels=self.max_pixels)

    @property
    def decode_memory(self) -> int:
        """Bytes of address space for the process that decodes pictures."""
        return DECODER_BYTES + self.max_upload + DECODED_BYTES * self.max_pixels


def default_data() -> Path:
    """``$IMPASTO_STUDIO``, else the user's own folder for data."""
    if os.environ.get("IMPASTO_STUDIO"):
        return Path(os.environ["IMPASTO_STUDIO"])
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(share) / "impasto" / "studio"
