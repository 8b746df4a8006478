"""The losses over the iterations, as a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import InputError
from impasto.image.files.atomic import write_atomically

if TYPE_CHECKING:
    from impasto.engine.step import Step


class LossPlot:
    """Collects the losses; ``write`` draws them on a logarithmic axis."""

    def __init__(self, target: Path) -> None:
        """Check the extension.

        Raises:
            InputError: not .png or .svg.
        """
        if target.suffix.lower() not in (".png", ".svg"):
            raise InputError(f"{target}: a loss plot is written as .png or .svg, by extension")
        self._target = target
        self._iterations: list[int] = []
        self._losses: dict[str, list[float]] = {}
        self._scales: list[tuple[int, str]] = []

    def see(self, step: Step) -> None:
        """Note the step's losses."""
        if not self._scales or self._scales[-1][1] != f"{step.width}x{step.height}":
            self._scales.append((step.iteration, f"{step.width}x{step.height}"))
        self._iterations.append(step.iteration)
        for term, loss in step.losses.items():
            self._losses.setdefault(term, []).append(loss)

    def write(self) -> None:
        """Draw and write atomically; nothing if no step was seen.

        Raises:
            ResourceError: the disk is full or the folder not writable.
        """
        if not self._iterations:
            return
        # The object interface: pyplot would keep global state.
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
        write_atomically(self._target, stream.getvalue())
