"""Show the progress of a run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

    from impasto.engine.step import Step

LINE_EVERY_S = 5.0
"""Seconds between plain lines. A new scale is reported at once."""


class Display:
    """Something that is shown while a ``with`` statement runs."""

    def start(self) -> None:
        """Begin to show it."""

    def stop(self) -> None:
        """Show it no longer."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class SilentProgress(Display):
    """Progress that shows nothing, for ``--quiet``."""

    def update(self, step: Step) -> None:
        """Show the progress after a step."""


class ProgressLines(SilentProgress):
    """Progress as a line every few seconds, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0
        self._scale = -1

    def update(self, step: Step) -> None:
        now = time.monotonic()
        due = now - self._last >= LINE_EVERY_S or step.scale != self._scale
        if due or step.last:
            self._last, self._scale = now, step.scale
            print(
                f"{step.iteration:5d}/{step.total}  {step.width}x{step.height}  "
                f"{format_losses(step)}  {format_duration(step.eta_s)} left",
                file=self._stream,
                flush=True,
            )


class ProgressBar(SilentProgress):
    """Progress as a live bar with losses and the remaining time."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar: Progress = Progress(
            TextColumn("{task.fields[size]:>9}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[losses]}"),
            TextColumn("{task.fields[left]} left"),
            console=Console(file=stream),
        )
        self._task = self._bar.add_task("", total=1, size="", losses="", left="", visible=False)

    def start(self) -> None:
        self._bar.start()

    def stop(self) -> None:
        self._bar.stop()

    def update(self, step: Step) -> None:
        self._bar.update(
            self._task,
            visible=True,
            total=step.total,
            completed=step.iteration,
            size=f"{step.width}x{step.height}",
            losses=format_losses(step),
            left=format_duration(step.eta_s),
        )


def choose_progress(stream: TextIO, *, quiet: bool) -> SilentProgress:
    """Return the progress display that suits a stream."""
    if quiet:
        return SilentProgress()
    return ProgressBar(stream) if stream.isatty() else ProgressLines(stream)


def format_losses(step: Step) -> str:
    """Write the most important losses of a step."""
    names = (name for name in ("total", "content", "style") if name in step.losses)
    return "  ".join(f"{name} {step.losses[name]:.4g}" for name in names)


def format_duration(seconds: float) -> str:
    """Write a duration as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
