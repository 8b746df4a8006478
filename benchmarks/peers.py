"""Compare pastiche and impasto on the same pairs: time, memory, metrics and pictures.

Run: ``python benchmarks/peers.py --pastiche PATH``. PATH is the command of an environment with
``pip install pastiche==1.6.0``, by default the one beside this Python. Both tools run at 512 px in
processes of their own, measured by wait4. pastiche runs with its defaults for 500 steps, about a
quarter of an hour a pair on two cores, so its results are kept in ``benchmarks/.cache``.

Wall times are comparable only on an idle machine; CPU seconds (user + system, both cores) nearly
always. Results go to ``benchmarks/peers.json`` and, with ``--sheets DIR``, pictures to DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gallery import draw_sheet

from impasto.evaluate.compare import compare, load_reference_encoder
from impasto.image.files.decode import read_picture

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "eval" / "dev"
CACHE = ROOT / "benchmarks" / ".cache"
PAIRS = (
    ("dahlia", "vangogh_starry_night"),
    ("boats_sunset", "monet_water_lilies"),
    ("canyon", "munch_scream"),
    ("kodim04_portrait", "vangogh_self_portrait"),
    ("skyscraper", "kandinsky_composition_vii"),
    ("forest_path", "vangogh_wheat_field"),
)
JUDGED = {"style_gram": -1, "style_w2": -1, "content_ssim": 1}
"""Metrics of the aim, with the sign of what is better."""


def measure_command(command: list[str], log: Path) -> dict[str, Any]:
    """Run a command; measure wall and CPU seconds and peak resident memory."""
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise SystemExit(f"{' '.join(command)} failed, see {log}")
    return {
        "command": command,
        "wall_s": time.monotonic() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_mb": usage.ru_maxrss / 1024,
        "date": datetime.now(UTC).date().isoformat(),
    }


def find_pair(photo: str, painting: str) -> tuple[Path, Path]:
    """Find the files of a pair."""
    return DATA / "photos" / f"{photo}.jpg", DATA / "paintings" / f"{painting}.jpg"


def run_pastiche(
    binary: str | None, photo: str, painting: str, steps: int = 500
) -> dict[str, Any] | None:
    """Take pastiche's figures from the cache or run it; None: there is no command for it."""
    folder = CACHE / "pastiche"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{photo}-{painting}.json"
    if not record.exists():
        if not binary:
            return None
        content, style = find_pair(photo, painting)
        command = [binary, "--content", str(content), "--styles", str(style), "--size", "512"]
        command += ["--seed", "0", "--num-steps", str(steps)]
        command += ["--output", str(record.with_suffix(".png"))]
        figures = measure_command(command, record.with_suffix(".log"))
        record.write_text(json.dumps({**figures, "steps": steps}, indent=1))
    result: dict[str, Any] = json.loads(record.read_text())
    return result


def run_impasto(photo: str, painting: str, quality: str) -> dict[str, Any]:
    """Run impasto on a pair; it is always run anew."""
    folder = CACHE / "impasto"
    folder.mkdir(parents=True, exist_ok=True)
    content, style = find_pair(photo, painting)
    out = folder / f"{photo}-{painting}-{quality}.png"
    command = [sys.executable, "-m", "impasto", str(content), "--style", str(style)]
    command += ["--size", "512", "--quality", quality, "-o", str(out), "--force", "--quiet"]
    return {**measure_command(command, out.with_suffix(".log")), "picture": str(out)}


def measure_pictures(
    photo: str, painting: str, pictures: dict[str, Path], encoder: Any
) -> dict[str, Any]:
    """Measure each tool's saved picture."""
    content, style = (read_picture(path) for path in find_pair(photo, painting))
    return {
        tool: compare(content, style, read_picture(path), encoder)
        for tool, path in pictures.items()
    }


def main() -> None:
    """Run every pair and print a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pastiche", default=str(Path(sys.executable).with_name("pastiche")))
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--sheets", type=Path)
    parser.add_argument(
        "--cached-only", action="store_true", help="only pairs that pastiche has finished"
    )
    options = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"no evaluation pictures in {DATA}")
    encoder, rows = load_reference_encoder(), []
    for photo, painting in PAIRS[: options.pairs]:
        binary = None if options.cached_only else options.pastiche
        theirs = run_pastiche(binary, photo, painting)
        if theirs is None:
            continue
        ours = run_impasto(photo, painting, options.quality)
        pictures = {
            "pastiche": CACHE / "pastiche" / f"{photo}-{painting}.png",
            "impasto": Path(ours["picture"]),
        }
        metrics = measure_pictures(photo, painting, pictures, encoder)
        rows.append({"pair": [photo, painting], "pastiche": theirs, "impasto": ours, **{
            f"{tool}_metrics": values for tool, values in metrics.items()
        }})  # fmt: skip
        print(render_rows(rows[-1]), flush=True)
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            cells = list(zip(("photo", "painting"), find_pair(photo, painting), strict=True))
            cells += list(pictures.items())
            draw_sheet(cells).save(options.sheets / f"{photo}-{painting}.png")
    if not rows:
        raise SystemExit("pastiche has done none of the pairs yet: run without --cached-only")
    result = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    (ROOT / "benchmarks" / "peers.json").write_text(json.dumps({**result, "rows": rows}, indent=1))
    print(summarize_rows(rows))


def render_rows(row: dict[str, Any]) -> str:
    """Render two Markdown rows, one for each tool."""
    lines = []
    for tool in ("pastiche", "impasto"):
        run, metrics = row[tool], row[f"{tool}_metrics"]
        figures = [f"{run['wall_s']:.0f}", f"{run['cpu_s']:.0f}", f"{run['peak_rss_mb']:.0f}"]
        figures += [f"{value:.4f}" for value in metrics.values()]
        lines.append(f"| {' / '.join(row['pair'])} | {tool} | {' | '.join(figures)} |")
    return "\n".join(lines)


def summarize_rows(rows: list[dict[str, Any]]) -> str:
    """Tell on how many pairs impasto is not worse, and the ratios of CPU seconds."""
    lines = []
    for metric, sign in JUDGED.items():
        better = sum(
            sign * row["impasto_metrics"][metric] >= sign * row["pastiche_metrics"][metric]
            for row in rows
        )
        lines.append(f"{metric}: not worse on {better} of {len(rows)} pairs")
    together = sum(
        all(s * r["impasto_metrics"][m] >= s * r["pastiche_metrics"][m] for m, s in JUDGED.items())
        for r in rows
    )
    lines.append(f"all three: not worse on {together} of {len(rows)} pairs")
    ratios = sorted(row["pastiche"]["cpu_s"] / row["impasto"]["cpu_s"] for row in rows)
    lines.append(f"CPU seconds, pastiche over impasto: {', '.join(f'{r:.1f}' for r in ratios)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
