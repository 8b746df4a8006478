"""Define what is sent to a worker and what it returns: plain data that can cross machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.errors import quote_field

if TYPE_CHECKING:
    from impasto.image.print_size import PrintSize
    from impasto.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One picture to make.

    Attributes:
        key: path of the output below the output folder, with ``/``. No two jobs share it.
        photo, styles, output: paths or URLs.
        masks, style_masks: paths, URLs or words.
        recipe: the recipe.
        identity: hash of everything but the photo that determines the picture.
        stamp: stamp of the photo when it was found, see
            :func:`impasto.batch.sources.places.read_place_stamp`. None: the file did not exist.
        replaces: an existing output may be replaced.
        again: a worker was lost while making this picture.
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
class WorkerSettings:
    """Settings that all pictures of a batch share.

    Attributes:
        hardware: the hardware of all workers together.
        depth: bits per channel of the outputs, 8 or 16.
        embed: store the recipe in the outputs.
        keep_metadata: copy the photo's EXIF data to the outputs.
        print_size: print size of all outputs. None: each recipe's own size.
        name_field: gives the name of an option in messages, as the interface spells it. A function
            of a module, since workers in other processes get it too.
    """

    hardware: HardwareChoice = field(default_factory=HardwareChoice)
    depth: int = 8
    embed: bool = True
    keep_metadata: bool = True
    print_size: PrintSize | None = None
    name_field: Callable[[str], str] = quote_field


@dataclass(frozen=True)
class WorkerShare:
    """The part of a machine that one worker may use.

    Attributes:
        threads: number of threads for convolutions.
        max_memory: memory limit in bytes. None: the free memory.
        device: device of this worker. None: the device of the settings.
        roomy: the memory suffices to keep freed blocks for the next iteration, which is faster.
    """

    threads: int = 1
    max_memory: int | None = None
    device: str | None = None
    roomy: bool = False

    def limit(self, hardware: HardwareChoice) -> HardwareChoice:
        """Return the part of the hardware of all workers that this one may use."""
        device = self.device or hardware.device
        return replace(hardware, device=device, max_memory=self.max_memory)


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        job: the job.
        error: one-line message. None: the picture was made.
        sha256: hash of the photo's file. None: it could not be read.
        seconds: wall time including reading and writing. None: unknown, as are the values below.
        bytes, width, height: size of the output.
        worker: machine and process of the worker.
        full: the disk was full, so that no other picture would succeed either.
    """

    job: BatchJob
    error: str | None = None
    sha256: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    worker: str | None = None
    full: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the picture was made."""
        return self.error is None

    @property
    def event(self) -> Literal["done", "failed"]:
        """The name of the outcome in the record."""
        return "done" if self.is_done else "failed"

    def list_figures(self) -> dict[str, Any]:
        """List the known values under their names in the record."""
        figures = {
            "sha256": self.sha256,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "worker": self.worker,
            "error": self.error,
            "bytes": self.bytes,
            "width": self.width,
            "height": self.height,
        }
        return {name: figure for name, figure in figures.items() if figure is not None}


@dataclass(frozen=True)
class Probe:
    """A worker's estimate of what a job needs.

    Attributes:
        seconds: time with one CPU thread, or on a GPU.
        memory: bytes that the worker's process will use.
        comfort: bytes with which the worker can keep freed memory, which is faster.
        available: bytes that the worker may use, including those it uses already. None: unknown.
        width, height: size of the output in pixels.
        device: type of the device.
        devices: number of devices of this type.
    """

    seconds: float
    memory: int
    comfort: int
    available: int | None
    width: int
    height: int
    device: str
    devices: int
