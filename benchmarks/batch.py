"""Pictures an hour: a batch against a shell loop, processes against threads, Ray; and kills.

Run on an idle machine: ``python benchmarks/batch.py [--quality sketch standard] [--photos 8]``, and
``python benchmarks/batch.py --kills 50`` (``--ray`` wants the extra). Every way makes the same
photos with the same recipe at ``--size`` (512). CPU seconds are those of all processes that a
command starts, found by a mark in their environment and read from /proc twice a second; pictures an
hour are of wall time, which counts only on an idle machine.
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
    """Print Markdown tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quality", nargs="*", default=["sketch", "standard"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--ways", nargs="*", help="of the table's first column; default: all")
    parser.add_argument("--ray", action="store_true", help="as well")
    parser.add_argument("--kills", type=int, default=0, help="trials, in place of the rest")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.kills:
            print(kills(Path(folder), options.kills))
        else:
            print("| recipe | way | pictures | wall s | CPU s a picture | pictures an hour |")
            print("| --- | --- | --- | --- | --- | --- |")
            for quality in options.quality:
                compare(Path(folder) / quality, quality, options)


def compare(folder: Path, quality: str, options: argparse.Namespace) -> None:
    """A row for each way of making some photos."""
    photos, painting = pictures(folder / "photos", options.photos)
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
        wall, cpu = measured([*command, *output], environment)
        rate = 3600 * len(photos) / wall
        cells = [quality, name, len(photos), f"{wall:.0f}", f"{cpu / len(photos):.1f}"]
        print(f"| {' | '.join(map(str, cells))} | {rate:.0f} |", flush=True)


def pictures(folder: Path, count: int) -> tuple[list[Path], Path]:
    """So many photos of 3:2, and a painting."""
    folder.mkdir(parents=True)
    found = sorted((DATA / "photos").glob("*.jpg")) or [ROOT / "examples" / "photo.jpg"]
    written = []
    for number in range(count):
        image = read_picture(found[number % len(found)]).resize(768, 512).to_pil()
        path = folder / f"{number:03d}.png"
        image.convert("RGB").save(path)
        written.append(path)
    return written, ROOT / "examples" / "painting.jpg"


def measured(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the command and all that it started."""
    mark = str(random.getrandbits(64))
    began, cpu = time.monotonic(), dict[int, float]()
    with subprocess.Popen(command, env={**os.environ, **environment, MARK: mark}) as process:
        while process.poll() is None:
            cpu |= cpu_of(mark)
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.monotonic() - began, sum(cpu.values())


def cpu_of(mark: str) -> dict[int, float]:
    """Seconds by process, of those that have a mark in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, ValueError):  # gone, not a process, or another user's
            continue
    return found


def kills(folder: Path, trials: int) -> str:
    """Kill the parent, a worker or both at random moments, go on until all is made, and count."""
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
                    strike(process, mark, chance, counts)
            while cpu_of(mark):
                time.sleep(0.05)
            if process.returncode == 0:
                break
        check(out, len(list(photos.iterdir())), counts)
    shown = ", ".join(f"{name} {counts[name]}" for name in COUNTED)
    return f"{rounds} batches of 24 pictures: {shown}"


COUNTED = (
    *("kills", "of the parent", "of a worker", "of all", "pictures made", "begun again"),
    *("lost", "made twice", "damaged"),
)


def wait_for_lines(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    """Until so many lines more are in the record, or the process has ended."""
    record = out / "impasto-batch.jsonl"

    def lines() -> int:
        return record.read_bytes().count(b"\n") if record.exists() else 0

    wanted = lines() + count
    while lines() < wanted and process.poll() is None:
        time.sleep(0.01)


def strike(
    process: subprocess.Popen[bytes], mark: str, chance: random.Random, counts: Counter[str]
) -> None:
    """Kill -9 the parent, one of its processes, or all of them; wait for what is left."""
    workers = [pid for pid in cpu_of(mark) if is_worker(pid)]
    match chance.choice(["of the parent", "of a worker", "of all"]):
        case "of a worker" if workers:
            counts["of a worker"] += 1
            kill(chance.choice(workers))
        case "of all":
            counts["of all"] += 1
            for pid in (process.pid, *workers):
                kill(pid)
        case _:
            counts["of the parent"] += 1
            kill(process.pid)
    process.wait()


def is_worker(pid: int) -> bool:
    """Rather than the parent, or what multiprocessing keeps track of semaphores with."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill(pid: int) -> None:
    """If it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def check(out: Path, photos: int, counts: Counter[str]) -> None:
    """Every picture there and whole, and said once to be done."""
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
