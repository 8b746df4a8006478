"""Measure pictures an hour in a batch, a shell loop and Ray; and count what kills cost.

Run on an idle machine: ``python benchmarks/batch.py [--quality sketch standard] [--photos 8]``, and
``python benchmarks/batch.py --kills 50``. ``--ray`` needs the extra. Every way makes the same
photos with the same recipe at ``--size`` (512). CPU seconds are those of all processes that a
command starts; they are found by a mark in their environment and read from /proc twice a second.
Pictures an hour are of wall time, which is meaningful only on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from peers import DATA, ROOT
from PIL import Image

from impasto.image.files.decode import read_picture

IMPASTO = [sys.executable, "-m", "impasto"]
MARK = "IMPASTO_BENCHMARK"
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quality", nargs="*", default=["sketch", "standard"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--ways", nargs="*", help="names in the second column (default: all)")
    parser.add_argument("--ray", action="store_true", help="measure Ray too")
    parser.add_argument(
        "--kills",
        type=int,
        default=0,
        help="count what so many kills cost, and measure nothing else",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.kills:
            print(try_kills(Path(folder), options.kills))
        else:
            print("| recipe | way | pictures | wall s | CPU s a picture | pictures an hour |")
            print("| --- | --- | --- | --- | --- | --- |")
            for quality in options.quality:
                compare_ways(Path(folder) / quality, quality, options)


def compare_ways(folder: Path, quality: str, options: argparse.Namespace) -> None:
    """Print a row for each way of making some photos."""
    photos, painting = write_photos(folder / "photos", options.photos)
    rest = ["--style", str(painting), "--recipe", quality, "--size", str(options.size), "--quiet"]
    cores = len(os.sched_getaffinity(0))
    threads = {"OMP_NUM_THREADS": str(cores)}
    loop = " && ".join(
        " ".join([*IMPASTO, str(photo), *rest, "-o", str(folder / f"loop-{photo.stem}.png")])
        for photo in photos
    )
    batch = [*IMPASTO, "batch", str(folder / "photos"), *rest]
    ways = {
        "shell loop": (["sh", "-c", loop], threads),
        "batch, 1 worker with all threads": ([*batch, "--workers", "1"], threads),
        f"batch, {cores} workers": (batch, {}),
    }
    if options.ray:
        ways[f"batch, {cores} Ray workers"] = ([*batch, "--executor", "ray"], {})
    for name, (command, environment) in ways.items():
        if options.ways and name not in options.ways:
            continue
        output = ["-o", str(folder / name.replace(" ", "-"))] if "batch" in name else []
        wall, cpu = measure_command([*command, *output], environment)
        rate = 3600 * len(photos) / wall
        cells = [quality, name, len(photos), f"{wall:.0f}", f"{cpu / len(photos):.1f}"]
        print(f"| {' | '.join(map(str, cells))} | {rate:.0f} |", flush=True)


def write_photos(folder: Path, count: int) -> tuple[list[Path], Path]:
    """Write photos of 3:2 and find a painting."""
    folder.mkdir(parents=True)
    paths = sorted((DATA / "photos").glob("*.jpg")) or [ROOT / "examples" / "photo.jpg"]
    written = []
    for number in range(count):
        image = read_picture(paths[number % len(paths)]).resize(768, 512).to_pil()
        path = folder / f"{number:03d}.png"
        image.convert("RGB").save(path)
        written.append(path)
    return written, ROOT / "examples" / "painting.jpg"


def measure_command(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Measure wall seconds, and CPU seconds of the command and everything it started."""
    mark = str(random.getrandbits(64))
    began, cpu = time.monotonic(), dict[int, float]()
    with subprocess.Popen(command, env={**os.environ, **environment, MARK: mark}) as process:
        while process.poll() is None:
            cpu |= read_cpu_seconds(mark)
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.monotonic() - began, sum(cpu.values())


def read_cpu_seconds(mark: str) -> dict[int, float]:
    """Read CPU seconds by process, for processes with a mark in their environment."""
    seconds = {}
    for entry in Path("/proc").iterdir():
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, ValueError):  # gone, not a process, or another user's
            continue
    return seconds


def try_kills(folder: Path, trials: int) -> str:
    """Kill the parent, a worker or both at random, resume until all is made, and count."""
    chance, counts = random.Random(0), Counter[str]()
    photos = folder / "photos"
    photos.mkdir()
    for number in range(24):
        image = Image.effect_mandelbrot((96, 64), (-2, -1, 1, 1), 20 + number).convert("RGB")
        image.save(photos / f"{number}.png")
    out, rounds = folder / "out", 0
    command = [*IMPASTO, "batch", str(photos), "--style", str(ROOT / "examples" / "painting.jpg")]
    command += ["--size", "64", "--iterations", "6", "--quiet", "--workers", "2"]
    while counts["kills"] < trials:
        out = folder / f"out{(rounds := rounds + 1)}"
        target = [*command, "-o", str(out)]
        while True:
            mark = str(random.getrandbits(64))
            with subprocess.Popen(target, env={**os.environ, MARK: mark}) as process:
                wait_for_lines(process, out, chance.randrange(1, 25))
                time.sleep(chance.uniform(0, 0.5))
                if process.poll() is None:
                    counts["kills"] += 1
                    kill_some(process, mark, chance, counts)
            while read_cpu_seconds(mark):
                time.sleep(0.05)
            if process.returncode == 0:
                break
        check_pictures(out, len(list(photos.iterdir())), counts)
    figures = ", ".join(f"{name} {counts[name]}" for name in COUNTED)
    return f"{rounds} batches of 24 pictures: {figures}"


COUNTED = (
    *("kills", "of the parent", "of a worker", "of all", "pictures made", "begun again"),
    *("lost", "made twice", "damaged"),
)


def wait_for_lines(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    """Wait until the record has so many more lines, or the process has ended."""
    record = out / "impasto-batch.jsonl"

    def lines() -> int:
        return record.read_bytes().count(b"\n") if record.exists() else 0

    goal = lines() + count
    while lines() < goal and process.poll() is None:
        time.sleep(0.01)


def kill_some(
    process: subprocess.Popen[bytes], mark: str, chance: random.Random, counts: Counter[str]
) -> None:
    """Kill the parent, one of its processes, or all of them, and wait for the rest."""
    workers = [pid for pid in read_cpu_seconds(mark) if is_worker(pid)]
    match chance.choice(["of the parent", "of a worker", "of all"]):
        case "of a worker" if workers:
            counts["of a worker"] += 1
            kill_process(chance.choice(workers))
        case "of all":
            counts["of all"] += 1
            for pid in (process.pid, *workers):
                kill_process(pid)
        case _:
            counts["of the parent"] += 1
            kill_process(process.pid)
    process.wait()


def is_worker(pid: int) -> bool:
    """Tell workers from the parent and from multiprocessing's tracker of semaphores."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill_process(pid: int) -> None:
    """Kill a process if it still exists."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def check_pictures(out: Path, photos: int, counts: Counter[str]) -> None:
    """Count pictures that are missing, damaged, or reported done more than once."""
    events: dict[str, Counter[str]] = {"begun": Counter(), "done": Counter(), "failed": Counter()}
    for line in (out / "impasto-batch.jsonl").read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "output" in entry:
            events[entry["event"]][entry["output"]] += 1
    counts["begun again"] += sum(events["begun"].values()) - photos
    counts["made twice"] += sum(times > 1 for times in events["done"].values())
    counts["lost"] += photos - len(events["done"])
    for number in range(photos):
        path = out / f"{number}.png"
        if not path.exists():
            continue
        counts["pictures made"] += 1
        picture = read_picture(path)
        counts["damaged"] += (picture.width, picture.height) != (64, 43)


if __name__ == "__main__":
    main()
