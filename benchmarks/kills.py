"""Kill work at random moments, and check that nothing is lost and nothing is done twice.

    python benchmarks/kills.py --kills 50 --csv benchmarks/kills.csv

Each scenario of ``faults.py`` works in a process of its own, copied from one that has PyTorch
loaded, and is killed (SIGKILL) at a random moment of its work, up to three times in a row. Then it
works on to the end. In the studio's scenario the server and its worker are two processes; either of
them is killed, or both. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import faults
from faults import Batch, Film, Optimize, Report, Scenario, StudioJob, describe_machine

RELEASE_S = 20.0
"""Seconds until a copied worker has ended."""
IN_A_ROW = 3
"""Kills until the work may finish."""


class Promises(list[Any]):
    """What was acknowledged, in a file that survives the process."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        if file.exists():
            self.extend(tuple(json.loads(line)) for line in file.read_text().splitlines())

    def append(self, promise: Any) -> None:
        super().append(promise)
        with self._file.open("a") as file:
            file.write(json.dumps(promise) + "\n")


class Studio(StudioJob):
    """A server with a worker process of its own."""

    name = "studio"
    workers = 1

    def paint(self, client: Any) -> None:
        """Wait until the worker has done everything."""
        until = time.monotonic() + 90
        while time.monotonic() < until:
            states = {job["state"] for job in client.get("/v1/jobs").json()["jobs"]}
            if not states & {"queued", "running"}:
                return
            time.sleep(0.02)
        raise TimeoutError("the worker does not finish")

    def work(self) -> int:
        """Do the work; a copied worker holds the lock until it sees that its server died."""
        until = time.monotonic() + RELEASE_S
        while (code := super().work()) == 4 and time.monotonic() < until:
            time.sleep(0.2)
        return code

    def work_again(self) -> int:
        return self.work()

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        """See :class:`faults.Scenario`; the job must have been accepted and finished once."""
        yield from super().check(report, is_final=is_final)
        if is_final:
            with contextlib.closing(sqlite3.connect("data/queue.sqlite")) as base:
                totals = dict(base.execute("SELECT name, value FROM totals"))
            for name in ("accepted", "done"):
                if (count := round(totals.get(name, 0))) != 1:
                    yield f"{count} times {name}"


class KillTrial:
    """Kills of one scenario."""

    def __init__(self, scenario: Scenario, folder: Path, seed: int) -> None:
        self.scenario = scenario
        self.folder = folder
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.seconds = 1.0

    def prepare(self) -> None:
        """Do the work once without kills, and note its time and its results."""
        template = self.folder / "template"
        template.mkdir()
        faults.run_apart(lambda: self._prepare(template))
        place = self._copy()
        start = time.monotonic()
        report = faults.run_apart(lambda: self._finish(place))
        self.seconds = time.monotonic() - start
        if report.code or report.problems:
            raise SystemExit(f"{self.scenario.name}: {report}")
        for path in place.rglob("*"):
            if path.is_file():
                self.scenario.clean[str(path.relative_to(place))] = faults.hash_bytes(path)
        for kind, _, value in report.promises:
            if kind == "result":
                self.scenario.clean["result"] = value
        self._clear(place)

    def _prepare(self, template: Path) -> Report:
        self.scenario.prepare(template)
        return Report()

    def _copy(self) -> Path:
        place = self.folder / "case"
        shutil.copytree(self.folder / "template", place)
        return place

    def _clear(self, place: Path) -> None:
        shutil.rmtree(place)
        (self.folder / "promises").unlink(missing_ok=True)

    def run(self, kills: int) -> None:
        """Kill until there were enough kills."""
        while self.counts["kills"] < kills:
            place = self._copy()
            for _ in range(self.random.randint(1, IN_A_ROW)):
                if not self._kill_once(place):
                    break
            start = time.monotonic()
            report = faults.run_apart(partial(self._finish, place))
            self.seconds = 0.8 * self.seconds + 0.2 * (time.monotonic() - start)
            problems = list(report.problems)
            if report.code:
                problems.append(f"exit code {report.code}: {report.messages[-500:]}")
            self._count(problems)
            self._clear(place)

    def _kill_once(self, place: Path) -> bool:
        """Start the work and kill it at a random moment. False: it had ended before."""
        process = os.fork()
        if process == 0:
            os.setpgid(0, 0)
            with contextlib.suppress(BaseException):
                os.chdir(place)
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, 1)
                os.dup2(devnull, 2)
                self.scenario.promises = Promises(self.folder / "promises")
                self._choose_work(place)()
            os._exit(0)
        time.sleep(self.random.uniform(0.0, 1.1) * self.seconds)
        victims = self._choose_victims(process)
        for victim in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        if victims and process not in victims:  # the server goes on, and starts another worker
            self.counts["kills"] += 1
            self.counts["workers killed"] += 1
        _, status = os.waitpid(process, 0)
        was_killed = os.WIFSIGNALED(status)
        if was_killed:
            self.counts["kills"] += 1
            if isinstance(self.scenario, Studio):
                self.counts["servers killed"] += 1
        elif process in victims:
            self.counts["too late"] += 1
        return was_killed

    def _choose_victims(self, process: int) -> list[int]:
        """Choose what to kill: the process, its worker, or both."""
        if not isinstance(self.scenario, Studio):
            return [process]
        workers = list_children(process)
        return self.random.choice([[process], workers or [process], [*workers, process]])

    def _choose_work(self, place: Path) -> Any:
        is_new = not any(
            (place / name).exists()
            for name in ("checkpoint", "results", "data", "film.mp4.frames", "out.png")
        )
        return self.scenario.work if is_new else self.scenario.work_again

    def _finish(self, place: Path) -> Report:
        os.chdir(place)
        scenario = self.scenario
        scenario.promises = Promises(self.folder / "promises")
        report = Report()
        report.problems += self._check_promises()
        report = faults.do_work(scenario, self._choose_work(place), report, is_watched=False)
        if scenario.clean:  # known after the clean run
            report.problems += scenario.check(report, is_final=True)
        report.problems += self._check_promises()
        for name in ("photo.png", "painting.png"):
            if faults.hash_bytes(Path(name)) != faults.hash_bytes(self.folder / "template" / name):
                report.problems.append(f"the input {name} has changed")
        return report

    def _check_promises(self) -> Iterator[str]:
        """Yield the finished files and frames that are lost or changed.

        A finished film does not need its frames any more.
        """
        yield from self.scenario.check_promises(self.scenario.promises)
        film = Path("film.mp4")
        if film.exists() and faults.hash_bytes(film) == self.scenario.clean.get(film.name):
            return
        for kind, name, _ in self.scenario.promises:
            if kind == "frame" and Path(name).parent.is_dir() and not Path(name).exists():
                yield f"{name} was painted and is lost"

    def _count(self, problems: list[str]) -> None:
        self.counts["runs"] += 1
        self.counts["lost"] += sum(map(is_loss, problems))
        self.counts["doubled"] += sum(map(is_doubled, problems))
        self.counts["runs with problems"] += bool(problems)
        self.problems += problems
        for problem in problems:
            print(f"PROBLEM {self.scenario.name}: {problem}", flush=True)


def is_loss(problem: str) -> bool:
    """Tell whether a problem means that something acknowledged is gone, or that work never ends."""
    counted = re.match(r"(\d+) (jobs|results|folders|times)\b", problem)
    if counted is not None:
        return int(counted[1]) == 0 or problem.startswith("1 results")  # another one
    return bool(re.search(r"\blost\b|^no \S+ at the end|^[0-2] of 3 pictures", problem))


def is_doubled(problem: str) -> bool:
    """Tell whether a problem means that something was accepted, made or kept more than once."""
    counted = re.match(r"(\d+) (jobs|results|folders|times)\b", problem)
    return "twice" in problem or (counted is not None and int(counted[1]) > 1)


def list_children(process: int) -> list[int]:
    """List the processes that a process has started."""
    children = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += [int(child) for child in task.read_text().split()]
    return children


def copy_processes() -> None:
    """Let the studio copy this process for its workers, which have everything loaded already."""
    import multiprocessing

    from impasto.studio.workers.studio_worker import StudioWorker

    context = multiprocessing.get_context("fork")
    mock.patch.object(StudioWorker, "warm_up", return_value=None).start()
    mock.patch.object(multiprocessing, "get_context", return_value=context).start()


SCENARIOS: dict[str, type[Scenario]] = {kind.name: kind for kind in (Optimize, Batch, Film, Studio)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--kills", type=int, default=50, help="of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--csv", type=Path, help="file of the counts")
    options = parser.parse_args()
    faults.warm_up()
    copy_processes()
    rows = []
    problems = []
    for name in options.scenarios:
        scenario = SCENARIOS[name]()
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="impasto-kills-") as folder:
            trial = KillTrial(scenario, Path(folder).resolve(), options.seed)
            trial.prepare()
            trial.run(options.kills)
        counts = trial.counts
        print(f"{name}: {dict(counts)}, {time.monotonic() - start:.0f} s", flush=True)
        problems += [f"{name}: {each}" for each in trial.problems]
        rows.append(
            {
                "scenario": name,
                "kills": counts["kills"],
                "runs": counts["runs"],
                "workers killed": counts["workers killed"],
                "servers killed": counts["servers killed"],
                "lost": counts["lost"],
                "doubled": counts["doubled"],
                "runs with problems": counts["runs with problems"],
                "machine": describe_machine(),
                "date": time.strftime("%Y-%m-%d"),
                "command": " ".join(["benchmarks/kills.py", *sys.argv[1:]]),
            }
        )
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
