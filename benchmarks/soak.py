"""Test the studio under load while its workers and the server are killed at random.

    python benchmarks/soak.py --jobs 300 --clients 4 --kill-every 20 --kill-server 3
    python benchmarks/soak.py --drafts --jobs 1000 --clients 8 --kill-every 0 --kill-server 0
    python benchmarks/soak.py --drafts --jobs 300 --clients 8 --delete 0.5

Clients post small jobs of a few kinds, each with an idempotency key; some post again as if the
answer had been lost. At the end every job must be done once, and all results of a kind must be
equal. Memory of server and workers is sampled; without kills, the last quarter may take a tenth
more than the second. With ``--delete``, a share of the jobs is forgotten at a random moment:
nothing of them may be left at the end. ``--csv`` adds a row to a file. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx2
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
KINDS: tuple[dict[str, Any], ...] = (
    {"recipe": "sketch", "set": {"size": 48, "schedule.total": 6}},
    {"recipe": "draft", "set": {"size": 64}, "draft": True},
    {"recipe": "standard", "set": {"size": 56, "schedule.total": 5, "strength": 0.6}},
    {"recipe": "sketch", "set": {"size": 40, "schedule.total": 3}, "depth": 16},
)
DRAFT = {"recipe": "draft", "set": {"size": 64}, "draft": True}
SIDE = 96
"""Longer side of the uploads in pixels: what is tested is the studio, not the decoders."""
MOST_GROWTH = 1.1
PATIENCE_S = 120.0


class Soak:
    """A server, its clients, and what kills it."""

    def __init__(self, options: argparse.Namespace, data: Path) -> None:
        self.options = options
        self.random = random.Random(options.seed)
        self.data = data
        data.mkdir()
        self.port = options.port
        self.began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.jobs: dict[str, int] = {}
        self.results: defaultdict[int, set[str]] = defaultdict(set)
        self.quarters: dict[str, tuple[float, float]] = {}
        self.memory: list[tuple[float, int, list[int]]] = []
        self.deleted: set[str] = set()
        self.photo, self.painting = map(read_small, ("cat.jpg", "painting.jpg"))
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.problems: list[str] = []
        self.process = self.start_server()

    def start_server(self) -> subprocess.Popen[bytes]:
        """Start the server and wait until it answers."""
        command = [sys.executable, "-m", "impasto", "serve", "--no-open", "--threads", "1"]
        command += ["--port", str(self.port), "--data", str(self.data), "--log", "json"]
        command += ["--workers", str(self.options.workers), "--max-queue", "12"]
        with (self.data.parent / "soak.log").open("ab") as log:
            process = subprocess.Popen(command, stderr=log)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(self.make_url("/healthz"), timeout=5).status_code == 200:
                    return process
            time.sleep(0.2)
        raise SystemExit("the server does not answer")

    def make_url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Repeat a request until it is answered, as a patient client does."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = httpx2.request(method, self.make_url(path), timeout=30, **options)
            except httpx2.HTTPError:
                self.counts["requests that met no server"] += 1
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
                continue
            if answer.status_code == 429:
                self.counts["answers of 429"] += 1
                time.sleep(min(2.0, float(answer.headers["retry-after"])))
                continue
            return answer

    def run_client(self, numbers: list[int]) -> None:
        """Post jobs and wait for each."""
        try:
            for number in numbers:
                self.run_one(number)
        except Exception as error:
            self.problems.append(f"a client: {error!r}")

    def run_one(self, number: int) -> None:
        kind = 0 if self.options.drafts else number % len(KINDS)
        request = DRAFT if self.options.drafts else KINDS[kind]
        files = [
            ("photo", ("cat.jpg", self.photo)),
            ("style", ("night.jpg", self.painting)),
            ("job", (None, json.dumps(request).encode())),
        ]
        key = {"idempotency-key": f"soak-{self.options.seed}-{number}"}
        answers = [self.ask("POST", "/v1/jobs", files=files, headers=key)]
        if self.random.random() < 0.2:
            answers.append(self.ask("POST", "/v1/jobs", files=files, headers=key))
            self.counts["jobs posted twice"] += 1
        jobs = {answer.json()["id"] for answer in answers}
        if len(jobs) != 1 or any(answer.status_code not in (200, 201) for answer in answers):
            self.problems.append(f"job {number}: {[answer.text for answer in answers]}")
            return
        (job,) = jobs
        with self.lock:
            self.jobs[job] = kind
        if self.random.random() < self.options.delete:
            time.sleep(self.random.uniform(0, 1.0))
            answer = self.ask("DELETE", f"/v1/jobs/{job}?forget=true")
            if answer.status_code == 204:
                with self.lock:
                    self.deleted.add(job)
                self.counts["deleted"] += 1
                return
            self.problems.append(f"deletion of {job}: {answer.text}")
        self.follow(job)

    def follow(self, job: str) -> None:
        """Wait for the end of a job and take its result."""
        while True:
            state = self.ask("GET", f"/v1/jobs/{job}").json()
            if state["state"] not in ("queued", "running"):
                break
            time.sleep(0.3)
        if state["state"] != "done":
            self.problems.append(f"job {job} is {state['state']}: {state['problem']}")
            return
        result = self.ask("GET", f"/v1/jobs/{job}/result").content
        with self.lock:
            self.results[self.jobs[job]].add(hashlib.sha256(result).hexdigest())
            self.counts["done"] += 1

    def find_workers(self) -> list[int]:
        """Find the server's child processes that have loaded PyTorch."""
        workers = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                workers += [int(child) for child in task.read_text().split() if holds_torch(child)]
        return workers

    def watch_and_kill(self) -> None:
        """Sample the memory of all processes, and kill some."""
        options = self.options
        next_kill = time.monotonic() + options.kill_every
        every = options.jobs // (options.kill_server + 1)
        while not self.over.wait(2.0):
            workers = self.find_workers()
            own = read_resident_bytes(self.process.pid)
            self.memory.append(
                (time.monotonic(), own, [read_resident_bytes(each) for each in workers])
            )
            if options.kill_every and workers and time.monotonic() > next_kill:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.random.choice(workers), signal.SIGKILL)
                self.counts["workers killed"] += 1
                next_kill = time.monotonic() + options.kill_every * self.random.uniform(0.5, 1.5)
            if self.counts["servers killed"] < options.kill_server and self.counts["done"] >= (
                every * (self.counts["servers killed"] + 1)
            ):
                self.process.kill()
                self.process.wait()
                self.counts["servers killed"] += 1
                self.process = self.start_server()

    def run(self) -> bool:
        """Run everything; return whether there was no problem."""
        options = self.options
        numbers = list(range(options.jobs))
        shares = [numbers[place :: options.clients] for place in range(options.clients)]
        clients = [threading.Thread(target=self.run_client, args=(share,)) for share in shares]
        watcher = threading.Thread(target=self.watch_and_kill)
        for thread in (*clients, watcher):
            thread.start()
        for thread in clients:
            thread.join()
        if self.deleted:
            self.check_deletions()
        self.over.set()
        watcher.join()
        self.report()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        if code:
            self.problems.append(f"the server ended with {code}")
        for problem in self.problems:
            print("PROBLEM", problem)
        if options.csv:
            self.add_row(options.csv)
        return not self.problems

    def check_deletions(self) -> None:
        """Check that nothing of the deleted jobs is left."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            left = {path.name for path in (self.data / "jobs").iterdir()} & self.deleted
            left |= {path.name[-32:] for path in (self.data / "trash").iterdir()} & self.deleted
            if not left:
                break
            time.sleep(1.0)
        else:
            self.problems.append(f"{len(left)} deleted jobs have folders")
        for job in self.deleted:
            if self.ask("GET", f"/v1/jobs/{job}").status_code != 404:
                self.problems.append(f"the deleted job {job} is listed")

    def report(self) -> None:
        """Print what happened, and record what should not have."""
        options = self.options
        expected_done = options.jobs - len(self.deleted)
        figures = self.ask("GET", "/metrics").text
        ended = read_figure(figures, 'impasto_jobs_ended_total{state="done"}')
        for what, figure, expected in (
            ("jobs that clients saw done", self.counts["done"], expected_done),
            ("ids that clients were given", len(self.jobs), options.jobs),
            # A job may be done before its client deletes it.
            ("jobs that the queue has done", min(ended, expected_done), expected_done),
            (
                "jobs that the queue accepted",
                read_figure(figures, "impasto_jobs_accepted_total"),
                options.jobs,
            ),
            ("folders of jobs", len(list((self.data / "jobs").iterdir())), expected_done),
            ("uploads left over", len(list((self.data / "staging").iterdir())), 0),
        ):
            print(f"{what:34} {figure:g} of {expected}")
            if figure != expected:
                self.problems.append(f"{what}: {figure:g}, not {expected}")
        for kind, hashes in sorted(self.results.items()):
            print(f"different results of kind {kind:8} {len(hashes)}")
            if len(hashes) != 1:
                self.problems.append(f"kind {kind} has {len(hashes)} results")
        for name in sorted(self.counts):
            print(f"{name:34} {self.counts[name]}")
        lost = read_figure(figures, "impasto_workers_lost_total")
        print(f"workers lost according to the server {lost:g}")
        print(f"wall seconds                        {time.monotonic() - self.began:.0f}")
        quarter = max(1, len(self.memory) // 4)
        for name, part in (
            ("second", self.memory[quarter : 2 * quarter]),
            ("last", self.memory[-quarter:]),
        ):
            server = [own for _, own, _ in part]
            most = [max(all_) for _, _, all_ in part if all_]
            if server and most:
                self.quarters[name] = (fmean(server), fmean(most))
                sizes = f"server {format_mib(server)}, largest worker {format_mib(most)}"
                print(f"MiB in the {name:6} quarter: {sizes}")
        self.check_growth()

    def check_growth(self) -> None:
        """Check that the memory of server and workers has stayed flat, unless some were killed."""
        second, last = self.quarters.get("second"), self.quarters.get("last")
        if self.counts["workers killed"] or second is None or last is None:
            return
        for name, before, after in zip(("server", "worker"), second, last, strict=True):
            if after > MOST_GROWTH * before:
                self.problems.append(f"the {name} grew by {100 * (after / before - 1):.0f} %")

    def add_row(self, target: Path) -> None:
        """Append the counts to a CSV file."""
        second, last = self.quarters.get("second", (0, 0)), self.quarters.get("last", (0, 0))
        row = {
            "jobs": self.options.jobs,
            "clients": self.options.clients,
            "done": self.counts["done"],
            "deleted": self.counts["deleted"],
            "workers killed": self.counts["workers killed"],
            "servers killed": self.counts["servers killed"],
            "server MiB, second quarter": round(second[0] / 2**20),
            "server MiB, last quarter": round(last[0] / 2**20),
            "worker MiB, second quarter": round(second[1] / 2**20),
            "worker MiB, last quarter": round(last[1] / 2**20),
            "problems": len(self.problems),
            "seconds": round(time.monotonic() - self.began),
            "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
            "date": time.strftime("%Y-%m-%d"),
            "command": " ".join(["benchmarks/soak.py", *sys.argv[1:]]),
        }
        is_new = not target.exists()
        with target.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(row)


def read_small(name: str) -> bytes:
    """Return an example at the size of the uploads, as JPEG."""
    stream = io.BytesIO()
    with Image.open(EXAMPLES / name) as image:
        image.thumbnail((SIDE, SIDE))
        image.save(stream, "JPEG")
    return stream.getvalue()


def format_mib(values: list[int]) -> str:
    return f"{sum(values) / len(values) / 2**20:.0f} (at most {max(values) / 2**20:.0f})"


def read_figure(text: str, name: str) -> float:
    match = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(match[1]) if match else 0.0


def read_resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def holds_torch(process: str) -> bool:
    return "libtorch" in Path(f"/proc/{process}/maps").read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds, a worker; 0: none")
    parser.add_argument("--kill-server", type=int, default=3, help="times")
    parser.add_argument("--drafts", action="store_true", help="all jobs are drafts")
    parser.add_argument("--delete", type=float, default=0.0, help="share of jobs to be forgotten")
    parser.add_argument("--csv", type=Path, help="file that receives a row")
    parser.add_argument("--port", type=int, default=8499)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="impasto-soak-") as folder:
        return 0 if Soak(options, Path(folder) / "data").run() else 1


if __name__ == "__main__":
    sys.exit(main())
