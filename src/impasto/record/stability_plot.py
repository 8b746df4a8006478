"""Plot the stability of films against their style.

Neither says much alone: a plain gray film is perfectly stable.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from impasto.errors import InputError
from impasto.image.files.result_file import ResultFile

MARGIN = 1.25
"""Axis length over the largest value, which leaves room for the labels of the points."""


def check_plot_target(target: Path) -> None:
    """Check the extension of a plot.

    Raises:
        InputError: neither .png nor .svg.
    """
    if target.suffix.lower() not in (".png", ".svg"):
        raise InputError("unknown extension; a plot is written as .png or .svg", where=target)


def write_stability_plot(
    target: Path,
    films: Mapping[str, Mapping[str, float]],
    floor: Mapping[str, float],
    *,
    overwrite: bool = True,
    notice: Callable[[str], None] | None = None,
) -> None:
    """Plot warped RMSE (x) against ``style_gram`` (y): a panel per distance, a point per film.

    Args:
        target: file to write, .png or .svg.
        films: name of the film -> its figures ``rmse_1`` and so on, and ``style_gram``.
        floor: figures ``rmse_1`` and so on of the clip itself, drawn as lines.
        overwrite: replace a file of this name.
        notice: called with one line if such a file is kept, and the plot has another name.

    Raises:
        ResourceError: the disk is full or the folder is not writable.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = list(floor)
    figure = Figure(figsize=(5 * max(1, len(keys)), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, max(1, len(keys)), squeeze=False, sharey=True)[0]
    for axes, key in zip(panels, keys, strict=False):
        axes.axvline(floor[key], color="0.6", linestyle="--", linewidth=1)
        axes.annotate(
            "the clip itself",
            (floor[key], 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -12),
            textcoords="offset points",
            fontsize=8,
            color="0.4",
        )
        for name, values in films.items():
            if key in values:
                axes.plot(values[key], values["style_gram"], "o")
                axes.annotate(
                    Path(name).stem,
                    (values[key], values["style_gram"]),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=8,
                )
        axes.set_xlabel(
            f"warped RMSE at a distance of {key.removeprefix('rmse_')} (left: more stable)"
        )
        errors = [values[key] for values in films.values() if key in values]
        axes.set_xlim(0, MARGIN * max([floor[key], *errors]) or 1)
        axes.set_ylim(0, MARGIN * max(values["style_gram"] for values in films.values()) or 1)
    panels[0].set_ylabel("style_gram (down: closer to the painting)")
    stream = io.BytesIO()
    figure.savefig(stream, format=target.suffix[1:].lower(), dpi=110)
    file = ResultFile(target, overwrite=overwrite, notice=notice, what="the plot")
    file.write_bytes(stream.getvalue())
