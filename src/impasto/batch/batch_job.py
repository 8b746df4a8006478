"""What is handed to a worker, and what comes back: plain data, for it crosses machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from impasto.image.print_size import PrintSize
    from impasto.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to make.

    Attributes:
        key: of the output, below the output folder, with ``/``; one job's own.
        photo, styles, output: paths or URLs.
        masks, style_masks: paths, URLs or words.
        recipe: what to do.
        identity: hash of everything that makes the picture but the photo.
        stamp: of the photo when it was found; none: it was not there.
        replaces: whether an existing output may be replaced.
        again: whether a worker has been lost at it.
    """

    key: str
    photo: str
    styles: tuple[str, ...]
    output: str
    recipe: Recipe
    identity: str
    stamp: str | None
    masks: tuple[str, ...] = ()
    style_masks: tuple[str, ...] = ()
    replaces: bool = False
    again: bool = False


@dataclass(frozen=True)
class Settings:
    """What all pictures of a batch share.

    Attributes:
        device, weights, scratch: as :class:`impasto.Stylizer` takes them.
        depth: bits a channel of the outputs.
        embed, keep_metadata: whether the recipe, and the photo's EXIF, go into them.
        print_size: of each, in place of the recipes' own.
    """

    device: str = "auto"
    weights: str | None = None
    scratch: str | None = None
    depth: int = 8
    embed: bool = True
    keep_metadata: bool = True
    print_size: PrintSize | None = None


@dataclass(frozen=True)
class Share:
    """What one worker may take of its machine.

    Attributes:
        threads: of the convolutions.
        max_memory: bytes; none: what is free.
        device: in place of the settings'; none: those.
        roomy: whether freed memory may be kept for the next iteration.
    """

    threads: int = 1
    max_memory: int | None = None
    device: str | None = None
    roomy: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: which one.
        error: one line; none: the picture is made.
        sha256: of the photo's file; none: it could not be read.
        seconds: of wall time, reading and writing included; none: not known, like what follows.
        bytes, width, height: of the output.
        worker: machine and process.
        full: whether the disk was, so that no other picture will succeed.
    """

    job: Job
    error: str | None = None
    sha256: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    worker: str | None = None
    full: bool = False

    @property
    def done(self) -> bool:
        return self.error is None

    @property
    def name(self) -> Literal["done", "failed"]:
        """As the record has it."""
        return "done" if self.done else "failed"

    def figures(self) -> dict[str, Any]:
        """As the record has them: those that are known."""
        found = {
            "sha256": self.sha256,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "worker": self.worker,
            "error": self.error,
            "bytes": self.bytes,
            "width": self.width,
            "height": self.height,
        }
        return {name: figure for name, figure in found.items() if figure is not None}


@dataclass(frozen=True)
class Probe:
    """What a job will take, told by a worker.

    Attributes:
        seconds: with one thread of a CPU, or on a GPU.
        memory: bytes that the worker's process will hold.
        comfort: bytes with which it may keep what it frees, which is faster.
        available: bytes that it may take, what it holds included; none: not known.
        width, height: of the output.
        device: type of it.
        devices: how many of the type.
    """

    seconds: float
    memory: int
    comfort: int
    available: int | None
    width: int
    height: int
    device: str
    devices: int
