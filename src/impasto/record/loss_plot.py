"""Plot the losses over the iterations."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import InputError
from impasto.image.files.result_file import ResultFile

if TYPE_CHECKING:
    from impasto.engine.step import Step


class LossPlot:
    """Collects the losses of a run and plots them on a logarithmic axis."""

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = True,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        """Check the extension.

        Args:
            target: file to write, .png or .svg.
            overwrite: replace a file that exists when this one is written.
            notice: called with one line if such a file is kept, and this one has another name.

        Raises:
            InputError: another extension.
        """
        if target.suffix.lower() not in (".png", ".svg"):
            raise InputError(
                "unknown extension; a loss plot is written as .png or .svg", where=target
            )
        self._target = target
        self._file = ResultFile(target, overwrite=overwrite, notice=notice, what="the plot")
        self._iterations: list[int] = []
        self._losses: dict[str, list[float]] = {}
        self._scales: list[tuple[int, str]] = []

    def record(self, step: Step) -> None:
        """Add the losses of a step."""
        if not self._scales or self._scales[-1][1] != f"{step.width}x{step.height}":
            self._scales.append((step.iteration, f"{step.width}x{step.height}"))
        self._iterations.append(step.iteration)
        for term, loss in step.losses.items():
            self._losses.setdefault(term, []).append(loss)

    def write(self) -> None:
        """Draw the plot and write it atomically. Without any steps, nothing is written.

        Raises:
            ResourceError: the disk is full or the folder is not writable.
        """
        if not self._iterations:
            return
        # Matplotlib's object interface, because pyplot keeps global state.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for term, values in self._losses.items():
            if any(value > 0 for value in values):
                axes.semilogy(self._iterations, values, label=term, linewidth=1.4)
        for iteration, size in self._scales:
            axes.axvline(iteration, color="0.8", linewidth=0.8, zorder=0)
            axes.annotate(
                size,
                (iteration, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -10),
                textcoords="offset points",
                fontsize=8,
                color="0.4",
            )
        axes.set_xlabel("iteration (one evaluation of the objective)")
        axes.set_ylabel("weighted loss")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        stream = io.BytesIO()
        figure.savefig(stream, format=self._target.suffix[1:].lower(), dpi=110)
        self._file.write_bytes(stream.getvalue())
