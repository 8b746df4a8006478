"""Let every file operation of impasto's work fail, and check that nothing is lost.

    python benchmarks/faults.py --csv benchmarks/faults.csv
    python benchmarks/faults.py --scenarios batch film --every 7

A clean run of each scenario is counted first. Then each of its N file operations fails in turn, in
a process of its own, with ENOSPC, EIO and EACCES; with a disk that stays full from there on; and
with a power failure in two models of what a disk keeps. After each, this must hold: a file under
its final name is complete; inputs are unchanged; what was acknowledged exists; the message is one
line with a documented exit code; and the next run finishes with the pictures of the clean run.
Linux with a C compiler only.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import errno
import hashlib
import io
import json
import logging
import multiprocessing
import os
import platform
import re
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from file_operations import (
    KINDS,
    DiskModel,
    Operations,
    is_preloaded,
    preload_operations,
    read_trace,
)

EXAMPLES = Path(__file__).parents[1] / "examples"
FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
READING = "rRL"
"""Operations that take no disk space, and for which ENOSPC means nothing. Permissions are checked
when a file is opened, and not when it is read."""
POWER_MODELS = ("power failure", "power failure, names kept")
FULL = "disk stays full"
PATIENCE_S = 120.0
TEMPORARY = ".impasto-"
TITLE = "a title that nobody may find"
TINY = """base = "sketch"
[style]
distance = "gram"
layers = { relu1_1 = 1.0, relu2_1 = 1.0 }
[content]
layers = { relu2_1 = 1.0 }
[schedule]
total = 2
"""
LOG = logging.getLogger("impasto.studio")


@dataclass
class Report:
    """What a run in a process of its own has to say.

    Attributes:
        code: exit code. None: the process died.
        said: what it wrote to standard error.
        promises: what it acknowledged, as (kind, name, hash or text).
        problems: what must not be.
        operations: number of file operations.
        kinds: the letters of the operations.
        faults: number of operations that failed on purpose.
    """

    code: int | None = 0
    messages: str = ""
    promises: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    operations: int = 0
    kinds: str = ""
    faults: int = 0


class NoOperations(Operations):
    """Takes the place of the library where nothing fails on purpose."""

    def __init__(self) -> None: ...

    def mark(self, text: str) -> None: ...

    def end_faults(self) -> None: ...


class Scenario:
    """Work of one kind in a folder, and what has to hold after it."""

    name = ""
    error_line: str | tuple[str, ...] = "impasto: error:"
    """How the line begins that says why the work ended."""

    def __init__(self) -> None:
        self.operations = Operations() if is_preloaded() else NoOperations()
        self.promises: list[tuple[str, str, str]] = []
        self.clean: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    def prepare(self, folder: Path) -> None:
        """Put the inputs into an empty folder."""
        for name in ("photo", "painting"):
            write_small(EXAMPLES / f"{name}.jpg", folder / f"{name}.png")
        (folder / "tiny.toml").write_text(TINY)

    def begin(self) -> None:
        """Read what only this script needs, before operations are counted."""
        self.files = {
            name: Path(name).read_bytes()
            for name in ("photo.png", "painting.png", "ids")
            if Path(name).exists()
        }

    def work(self) -> int:
        """Do the work in the current folder, and return the exit code."""
        raise NotImplementedError

    def work_again(self) -> int:
        """Do what a user does after a failure."""
        return self.work()

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        """Yield what is wrong in the current folder.

        Args:
            report: what the work has said.
            is_final: whether the work was done again, so that all results must exist.
        """
        raise NotImplementedError

    def promise(self, kind: str, name: str, value: str = "") -> None:
        """Note that something was acknowledged."""
        self.promises.append((kind, name, value))
        self.operations.mark(json.dumps([kind, name, value]))

    def check_promises(self, promises: Sequence[tuple[str, str, str]]) -> Iterator[str]:
        """Yield the finished files that are lost or changed."""
        for kind, name, _ in promises:
            if kind == "file" and self.clean:
                path = Path(name)
                if not path.exists() or hash_bytes(path) != self.clean[name]:
                    yield f"{name} was finished and is lost or changed"

    def may_fail_with(self) -> tuple[int, ...]:
        """Return the exit codes that are documented."""
        return (0, 1, 2, 4)

    def check_words(self, report: Report) -> Iterator[str]:
        """Yield what is wrong with the exit code and the messages."""
        if report.code not in self.may_fail_with():
            yield f"exit code {report.code}"
        if "Traceback" in report.messages:
            yield "a traceback"
        lines = [line for line in report.messages.splitlines() if line.startswith(self.error_line)]
        if report.code in (2, 4) and len(lines) != 1:
            yield f"{len(lines)} lines of error"


def write_small(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as image:
        image.thumbnail((48, 48))
        image.convert("RGB").save(target)


def hash_bytes(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_command(*arguments: str) -> int:
    from impasto.cli import main

    return main(arguments)


def check_complete(path: Path) -> str | None:
    """Say what is wrong with a file under its final name. None: it can be read to its end."""
    from PIL import Image

    try:
        if path.suffix in (".png", ".jpg", ".gif"):
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".mp4":
            import av

            with av.open(str(path)) as container:
                if not list(container.decode(video=0)):
                    return "no frames"
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".svg":
            if not path.read_text().rstrip().endswith("</svg>"):
                return "cut short"
        elif path.name == "checkpoint":
            from impasto.optimize.checkpoint import load_state

            load_state(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def check_files(names: Sequence[str]) -> Iterator[str]:
    """Check the files of the current folder, at any depth.

    Args:
        names: files that are no inputs and may be incomplete, such as a journal.
    """
    for path in sorted(Path().rglob("*")):
        if path.is_file() and not path.name.startswith(TEMPORARY) and path.name not in names:
            wrong = check_complete(path)
            if wrong:
                yield f"{path} is half a file: {wrong}"


def find_temporary() -> list[str]:
    """List temporary files that are left in the current folder."""
    return [
        str(path)
        for path in Path().rglob(f"{TEMPORARY}*")
        if path.is_file() and re.fullmatch(r"\.impasto-[0-9a-f]{8}-\d+-[0-9a-f]{16}", path.name)
    ]


class Optimize(Scenario):
    """A picture by the optimizer, with everything that such a run can write."""

    name = "optimize"
    outputs = ("out.png", "steps/step-00001.png", "steps/step-00002.png", "run.gif")

    def work(self) -> int:
        return self._run()

    def work_again(self) -> int:
        resume = ["--resume", "checkpoint"] if Path("checkpoint").exists() else []
        return self._run(*resume, "--force")

    def _run(self, *more: str) -> int:
        code = run_command(
            "photo.png",
            "--style",
            "painting.png",
            "-o",
            "out.png",
            "--recipe",
            "tiny.toml",
            "--size",
            "32",
            "--quiet",
            "--checkpoint",
            "checkpoint",
            "--snapshots",
            "steps",
            "--snapshot-every",
            "1",
            "--timelapse",
            "run.gif",
            *more,
        )
        if code == 0:
            self.promise("file", "out.png")
        return code

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:  # noqa: ARG002
        yield from check_files(())
        out = Path("out.png")
        if out.exists() and hash_bytes(out) != self.clean["out.png"]:
            yield "out.png differs from the clean run's"
        if is_final and not out.exists():
            yield "no out.png at the end"


class Batch(Scenario):
    """Three photos in one process."""

    name = "batch"
    error_line = ("impasto: error:", "impasto: the disk is full:")

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        (folder / "photos").mkdir()
        for place, source in enumerate(("photo", "painting", "cat")):
            write_small(EXAMPLES / f"{source}.jpg", folder / "photos" / f"{place}.png")

    def work(self) -> int:
        from impasto.batch.batch_record import BatchRecord

        note_end = BatchRecord.note_end

        def note_and_promise(record: BatchRecord, outcome: Any) -> None:
            note_end(record, outcome)
            if outcome.is_done:
                self.promise("file", f"results/{outcome.job.key}")

        with mock.patch.object(BatchRecord, "note_end", note_and_promise):
            return run_command(
                "batch",
                "photos",
                "--style",
                "painting.png",
                "-o",
                "results",
                "--recipe",
                "tiny.toml",
                "--size",
                "32",
                "--quiet",
                "--executor",
                "serial",
            )

    def _list_done(self) -> list[str]:
        """List the outputs that the record has as done."""
        record = Path("results/impasto-batch.jsonl")
        outputs = []
        for line in record.read_text().splitlines() if record.exists() else ():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry["event"] == "done":
                    outputs.append(entry["output"])
        return outputs

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:  # noqa: ARG002
        yield from check_files(("impasto-batch.jsonl",))
        outputs = self._list_done()
        for name in outputs:
            path = Path("results", name)
            if not path.exists() or hash_bytes(path) != self.clean[str(path)]:
                yield f"{path} is done in the record and lost or changed"
        if len(set(outputs)) != len(outputs):
            yield "a picture was made and recorded twice"
        if is_final and len(outputs) != 3:
            yield f"{len(outputs)} of 3 pictures in the record"


class Film(Scenario):
    """A film of three frames."""

    name = "film"

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        write_clip(folder / "clip.mp4")

    def work(self) -> int:
        from impasto.video.job.frame_store import FrameStore

        save = FrameStore.save

        def save_and_promise(store: FrameStore, index: int, *arguments: Any, **more: Any) -> None:
            save(store, index, *arguments, **more)
            self.promise("frame", f"{store.folder}/{index:08d}.png")

        is_done = Path("film.mp4").exists() and not Path("film.mp4.frames/part.json").exists()
        with mock.patch.object(FrameStore, "save", save_and_promise):
            code = run_command(
                "video",
                "clip.mp4",
                "--style",
                "painting.png",
                "-o",
                "film.mp4",
                "--recipe",
                "tiny.toml",
                "--size",
                "48",
                "--quiet",
                *["--force"] * is_done,
            )
        if code == 0:
            self.promise("file", "film.mp4")
        return code

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        yield from check_files(())
        film = Path("film.mp4")
        if film.exists() and hash_bytes(film) != self.clean["film.mp4"]:
            yield "film.mp4 differs from the clean run's"
        if is_final and not film.exists():
            yield "no film.mp4 at the end"
        if not film.exists() and not is_final:
            for kind, name, _ in report.promises:
                if kind == "frame" and not Path(name).exists():
                    yield f"{name} was painted and is lost"


def write_clip(target: Path) -> None:
    import av
    import numpy as np

    with av.open(str(target), "w") as container:
        stream: Any = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        ramp = np.linspace(0, 255, 48, dtype=np.uint8)
        for number in range(3):
            frame = np.stack(np.broadcast_arrays(ramp[None], ramp[:, None], ramp[None]), -1)
            pixels = np.ascontiguousarray(np.roll(frame, 3 * number, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


class RepairedDisk(threading.Event):
    """An event of a worker that waits: meanwhile an operator repairs the disk."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002 -- no time passes
        self._operations.end_faults()
        return self.is_set()


class StudioJob(Scenario):
    """A job of the studio from its upload to its result, and the server's start and end."""

    name = "studio job"
    workers = 0

    def work(self) -> int:
        with self.serve() as client:
            if client is None:
                return 4
            job = self.post(client)
            if job is not None:
                self.paint(client)
                self.take_result(client, job)
        return 0

    def post(self, client: Any) -> str | None:
        """Post the job, and return its id. None: the server refused it."""
        files = [
            ("photo", ("photo.png", self.files["photo.png"])),
            ("style", ("painting.png", self.files["painting.png"])),
            ("job", (None, json.dumps(self.describe_job()))),
        ]
        answer = client.post("/v1/jobs", files=files, headers={"idempotency-key": "the same"})
        if answer.status_code not in (200, 201):
            self.check_problem(answer)
            return None
        job = str(answer.json()["id"])
        self.promise("job", job)
        return job

    def describe_job(self) -> dict[str, Any]:
        layers = {"relu1_1": 1.0, "relu2_1": 1.0}
        change = {"size": 32, "schedule.total": 2, "style.distance": "gram"}
        change |= {"style.layers": layers, "content.layers": {"relu2_1": 1.0}}
        return {"recipe": "sketch", "set": change, "title": TITLE}

    def paint(self, client: Any) -> None:
        """Do all jobs that wait, as a worker."""
        from impasto.studio.workers.studio_worker import StudioWorker

        studio = client.app.state.studio.studio
        ending = RepairedDisk(self.operations)
        try:
            worker = StudioWorker(studio.settings, "worker", ending)
        except Exception as error:
            LOG.info("the worker did not start: %s", error)
            self.operations.end_faults()
            worker = StudioWorker(studio.settings, "worker", ending)
        worker.services.engines = find_shelf(studio.settings)
        try:
            for _ in range(4):
                with contextlib.suppress(*find_passing_errors()):
                    if not worker.take():
                        break
                ending.wait()
        finally:
            worker.close()

    def take_result(self, client: Any, job: str) -> None:
        answer = client.get(f"/v1/jobs/{job}")
        if answer.status_code != 200:
            self.check_problem(answer)
            return
        state = answer.json()
        if state["state"] == "failed":
            LOG.info("the job failed: %s", state["problem"])
            if state["problem"]["code"] == "internal":
                self.promise("wrong", f"the job failed as internal: {state['problem']}")
        if state["state"] == "done":
            result = client.get(f"/v1/jobs/{job}/result")
            if result.status_code == 200:
                self.promise("result", job, hashlib.sha256(result.content).hexdigest())
            else:
                self.check_problem(result)

    def check_problem(self, answer: Any) -> None:
        """Note an answer that is no documented problem."""
        LOG.info("refused: %s", answer.text)
        is_problem = answer.headers["content-type"] == "application/problem+json"
        if not is_problem or answer.json()["code"] == "internal":
            self.promise("wrong", f"answer {answer.status_code} {answer.text}")

    @contextlib.contextmanager
    def serve(self) -> Iterator[Any]:
        """Run a server in this process. Yields None if it cannot start."""
        from fastapi.testclient import TestClient

        from impasto.errors import ImpastoError
        from impasto.studio.settings import StudioSettings
        from impasto.studio.studio import Studio

        settings = StudioSettings(data=Path("data").absolute(), workers=self.workers)
        try:
            studio = Studio(settings)
        except ImpastoError as error:
            print(f"impasto: error: {error}", file=sys.stderr)
            yield None
            return
        app = find_app()
        app.state.studio.studio = studio
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        try:
            client.__enter__()
        except ImpastoError as error:
            print(f"impasto: error: {error}", file=sys.stderr)
            with contextlib.suppress(Exception):
                studio.close()
            yield None
            return
        try:
            yield client
        finally:
            client.__exit__(None, None, None)

    def work_again(self) -> int:
        with self.serve() as client:
            if client is None:
                return 4
            for job in client.get("/v1/jobs").json()["jobs"]:
                if job["state"] in ("failed", "stopped", "cancelled"):
                    client.post(f"/v1/jobs/{job['id']}/resume")
            job = self.post(client)
            if job is not None:
                self.paint(client)
                self.take_result(client, job)
        return 0

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        names = ("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm", "lock", "checkpoint")
        yield from check_files(names)
        yield from (what for kind, what, _ in report.promises if kind == "wrong")
        if is_final:
            jobs = {name for kind, name, _ in report.promises if kind == "job"}
            if len(jobs) != 1:
                yield f"{len(jobs)} jobs for one request"
            results = {value for kind, _, value in report.promises if kind == "result"}
            if results != {self.clean["result"]}:
                yield f"{len(results)} results, or another one than the clean run's"
            if len(list(Path("data/jobs").iterdir())) != 1:
                yield f"{len(list(Path('data/jobs').iterdir()))} folders of jobs"
            if list(Path("data/staging").iterdir()):
                yield "an upload is left over"


class Deletion(StudioJob):
    """Three finished jobs, of which one is deleted, and one that waits is forgotten."""

    name = "deletion"

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        with inside(folder):
            ids = []
            with self.serve() as client:
                for place in range(3):
                    files = [
                        ("photo", ("photo.png", Path("photo.png").read_bytes())),
                        ("style", ("painting.png", Path("painting.png").read_bytes())),
                        (
                            "job",
                            (
                                None,
                                json.dumps({**self.describe_job(), "title": f"{TITLE} {place}"}),
                            ),
                        ),
                    ]
                    ids.append(client.post("/v1/jobs", files=files).json()["id"])
                    if place < 2:
                        self.paint(client)
            Path("ids").write_text("\n".join(ids))
            # Whatever the log still says is no input of the scenario.
            with self.serve() as client:
                client.app.state.studio.queue.clear_log()

    def work(self) -> int:
        first, _, third = self.files["ids"].decode().split()
        with self.serve() as client:
            if client is None:
                return 4
            for job, query in ((first, ""), (third, "?forget=true")):
                answer = client.delete(f"/v1/jobs/{job}{query}")
                if answer.status_code == 204:
                    self.promise("deleted", job)
                else:
                    self.check_problem(answer)
        return 0

    def work_again(self) -> int:
        first, second, third = self.files["ids"].decode().split()
        with self.serve() as client:
            if client is None:
                return 4
            states = {job["id"]: job["state"] for job in client.get("/v1/jobs").json()["jobs"]}
            self.promise("listed", " ".join(sorted(states)))
            for job, query in ((first, ""), (third, "?forget=true")):
                answer = client.delete(f"/v1/jobs/{job}{query}")
                if answer.status_code not in (204, 404):
                    self.promise("wrong", f"{answer.status_code} for a deletion: {answer.text}")
            if states.get(second) != "done":
                self.promise("wrong", f"the other job is {states.get(second)}")
            elif client.get(f"/v1/jobs/{second}/result").status_code != 200:
                self.promise("wrong", "the other job's result is lost")
            from impasto.studio.queue.housekeeping import sweep

            studio = client.app.state.studio
            sweep(studio.settings, studio.folder, studio.queue, studio.supervisor._clock)
        return 0

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        names = ("queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm", "lock", "checkpoint")
        yield from check_files(names)
        yield from (what for kind, what, _ in report.promises if kind == "wrong")
        _, second, _ = Path("ids").read_text().split()
        deleted = {name for kind, name, _ in report.promises if kind == "deleted"}
        for kind, listed, _ in report.promises:
            if kind == "listed" and deleted & set(listed.split()):
                yield "a deleted job was listed again"
        if is_final:
            if {path.name for path in Path("data/jobs").iterdir()} != {second}:
                yield f"folders of jobs: {len(list(Path('data/jobs').iterdir()))}, not 1"
            if list(Path("data/trash").iterdir()):
                yield "a deleted job is in the trash"
            for path in Path("data").rglob("*"):
                if path.is_file():
                    data = path.read_bytes()
                    if f"{TITLE} 0".encode() in data or f"{TITLE} 2".encode() in data:
                        yield f"{path} holds the title of a deleted job"


class Storage(Scenario):
    """What all of this is stored with, without any picture being painted: the tests run it."""

    name = "storage"

    def prepare(self, folder: Path) -> None:
        (folder / "photo.png").write_bytes(b"a photo")

    def work(self) -> int:
        from impasto.errors import ImpastoError
        from impasto.image.files.atomic import write_atomically

        try:
            write_atomically(Path("out.bin"), bytes(5000))
            self.promise("file", "out.bin")
            self._keep_record()
            self._store_frames()
            self._use_queue()
        except (ImpastoError, OSError) as error:
            print(f"impasto: error: {error}", file=sys.stderr)
            return getattr(error, "exit_code", 4)
        return 0

    def _keep_record(self) -> None:
        from impasto.batch.batch_job import BatchJob, Outcome
        from impasto.batch.batch_record import BatchRecord
        from impasto.image.files.atomic import write_atomically
        from impasto.recipe.recipe import load_recipe

        with contextlib.closing(BatchRecord(Path("results/record.jsonl"))) as record:
            for name in ("0.bin", "1.bin"):
                entry = record.find_entry(name)
                if entry is not None and entry.event == "done":
                    continue
                recipe = load_recipe("sketch")
                job = BatchJob(name, "photo.png", (), f"results/{name}", recipe, "identity", None)
                record.note_start(job)
                write_atomically(Path("results", name), name.encode())
                record.note_end(Outcome(job, bytes=5))
                self.promise("file", f"results/{name}")

    def _store_frames(self) -> None:
        from fractions import Fraction

        import numpy as np

        from impasto.video.job.frame_store import FrameStore, StoredFrame

        pixels = np.zeros((4, 4, 3), np.uint8)
        store = FrameStore(Path("frames"), {"what": "test"})
        for index in range(store.frame_count, 2):
            store.save(index, StoredFrame(Fraction(index), 0, pixels, "0" * 16), pixels)
            self.promise("file", f"frames/{index:08d}.png")

    def _use_queue(self) -> None:
        """Accept two jobs, and delete one of them."""
        import sqlite3

        from impasto.errors import ResourceError
        from impasto.studio.queue.data_folder import DataFolder
        from impasto.studio.queue.housekeeping import finish_deletions
        from impasto.studio.queue.job_queue import JobQueue, NewJob
        from impasto.studio.queue.job_rows import JobSpec

        folder = DataFolder(Path("data").absolute())
        try:
            queue = JobQueue(folder.table)
            try:
                for key in ("one", "two"):
                    with folder.stage() as (job, place):
                        (place / "photo").write_bytes(b"a photo")
                        folder.accept(job)
                        spec = JobSpec({}, ("a.png",), (), ((1, 1),))
                        row, _ = queue.add(NewJob(job, spec, key=key), max_queue=9)
                    if row.id == job:
                        self.promise("job", row.id)
                    else:
                        folder.delete(job)
                    if key == "one":
                        queue.begin_deletion(row.id, in_any_state=True)
                        self.promise("deleted", row.id)
                        finish_deletions(folder, queue)
            finally:
                queue.close()
        except sqlite3.Error as error:
            raise ResourceError(str(error)) from None

    def check(self, report: Report, *, is_final: bool) -> Iterator[str]:
        yield from self.check_promises(report.promises)
        if is_final:
            jobs = {name for kind, name, _ in report.promises if kind == "job"}
            jobs -= {name for kind, name, _ in report.promises if kind == "deleted"}
            folders = {path.name for path in Path("data/jobs").iterdir()}
            if not jobs <= folders:
                yield "an accepted job is lost"


class StudioPlace:
    """Stands for the studio of a case in the application, which takes long to make."""

    def __init__(self, settings: Any) -> None:
        from impasto.studio.http.connections import ConnectionBook

        self.settings = settings
        self.connections = ConnectionBook()
        self.studio: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.studio, name)


@lru_cache(maxsize=1)
def find_app() -> Any:
    """Return the application, which all cases share."""
    from impasto.studio.http.app import create_app
    from impasto.studio.settings import StudioSettings

    return create_app(StudioPlace(StudioSettings(data=Path("data"))))  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def find_shelf(settings: Any) -> Any:
    """Return the engines of all workers, whose networks were loaded before any fault."""
    from impasto.studio.workers.job_context import EngineShelf

    return EngineShelf(settings)


def find_passing_errors() -> tuple[type[Exception], ...]:
    """Return the errors after which a worker goes on."""
    import sqlite3

    from impasto.errors import ImpastoError

    return (sqlite3.Error, OSError, ImpastoError)


SCENARIOS: dict[str, type[Scenario]] = {
    kind.name: kind for kind in (Optimize, Batch, Film, StudioJob, Deletion, Storage)
}


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_apart(action: Callable[[], Report]) -> Report:
    """Do something in a process of its own, and return its report."""
    receive, send = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.close(receive)
        try:
            text = json.dumps(asdict(action()))
        except BaseException:
            text = json.dumps(asdict(Report(code=None, problems=[traceback.format_exc()])))
        with open(send, "w", encoding="utf-8") as pipe:  # noqa: PTH123
            pipe.write(text)
        os._exit(0)
    os.close(send)
    parts = []
    until = time.monotonic() + PATIENCE_S
    with open(receive, "rb", buffering=0) as pipe:  # noqa: PTH123
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            part = pipe.read(1 << 16) if ready else b""
            if not part:
                break
            parts.append(part)
    if time.monotonic() > until:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    try:
        data = json.loads(b"".join(parts))
    except ValueError:
        return Report(code=None, problems=["the process hung or died"])
    data["promises"] = [tuple(each) for each in data["promises"]]
    return Report(**data)


def do_work(
    scenario: Scenario,
    work: Callable[[], int],
    report: Report,
    *,
    is_watched: bool = True,
    **watching: Any,
) -> Report:
    """Do the work in the current folder, and gather what it says.

    Args:
        scenario: whose work it is.
        work: does it, and returns the exit code.
        report: receives everything.
        is_watched: whether file operations are counted.
        watching: the other arguments of :meth:`Operations.watch`.
    """
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    scenario.begin()
    with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(io.StringIO()):
        if is_watched:
            scenario.operations.watch(Path.cwd(), **watching)
        try:
            report.code = work()
        except SystemExit as error:
            report.code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            report.code = 1
            traceback.print_exc(file=stream)
    if is_watched:
        report.operations = scenario.operations.count()
        report.kinds = scenario.operations.list_kinds()
        report.faults = scenario.operations.count_faults()
        scenario.operations.end()
    LOG.removeHandler(handler)
    report.messages, report.promises = stream.getvalue(), list(scenario.promises)
    return report


class Trial:
    """All faults of one scenario."""

    def __init__(self, scenario: Scenario, folder: Path, file: Path | None = None) -> None:
        """Prepare without doing anything.

        Args:
            scenario: the work.
            folder: an empty folder for its copies.
            file: receives the cases with problems. None: they are not written.
        """
        self.scenario = scenario
        self.file = file
        self.folder = folder
        self.template = folder / "template"
        self.counts: Counter[tuple[str, str]] = Counter()
        self.problems: list[dict[str, Any]] = []
        self.kinds = ""
        self.inputs: dict[str, str] = {}

    def prepare(self) -> Report:
        """Do the work once without faults, with a trace."""
        self.template.mkdir()
        prepared = run_apart(self._prepare)
        if prepared.problems:
            raise SystemExit(f"{self.scenario.name}: {prepared.problems}")
        self.inputs = {
            str(path.relative_to(self.template)): hash_bytes(path)
            for path in self.template.rglob("*")
            if path.is_file() and "data" not in path.parts
        }
        place = self.copy_template("case")  # where all cases work, for some files hold its path
        report = run_apart(lambda: self._work_cleanly(place))
        if report.code or report.problems:
            raise SystemExit(
                f"{self.scenario.name}: {report.code} {report.messages} {report.problems}"
            )
        self.kinds = report.kinds
        for path in place.rglob("*"):
            if path.is_file():
                self.scenario.clean[str(path.relative_to(place))] = hash_bytes(path)
        for kind, _, value in report.promises:
            if kind == "result":
                self.scenario.clean["result"] = value
        shutil.rmtree(place)
        return report

    def _prepare(self) -> Report:
        self.scenario.prepare(self.template)
        return Report()

    def _work_cleanly(self, place: Path) -> Report:
        os.chdir(place)
        trace = os.open(self.folder / "trace", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        return do_work(self.scenario, self.scenario.work, Report(), trace=trace)

    def copy_template(self, name: str) -> Path:
        place = self.folder / name
        shutil.copytree(self.template, place)
        return place

    def fail_once(self, at: int, fault: str) -> None:
        """Let one operation fail, and check everything."""
        place = self.copy_template("case")
        error = FAULTS.get(fault, errno.ENOSPC)
        first = run_apart(lambda: self._work_with_fault(place, at, error, fault == FULL))
        self.finish(place, first, at, fault)

    def _work_with_fault(self, place: Path, at: int, error: int, full: bool) -> Report:
        os.chdir(place)
        scenario = self.scenario
        report = do_work(scenario, scenario.work, Report(), at=at, error=error, full=full)
        report.problems += scenario.check_words(report)
        report.problems += scenario.check(report, is_final=False)
        report.problems += scenario.check_promises(report.promises)
        kind = self.kinds[at - 1]
        if kind != "u" and (left := find_temporary()):
            report.problems.append(f"temporary files are left: {len(left)}")
        report.problems += self._check_inputs()
        return report

    def _check_inputs(self) -> Iterator[str]:
        for name, digest in self.inputs.items():
            if not Path(name).exists() or hash_bytes(Path(name)) != digest:
                yield f"the input {name} is lost or changed"

    def finish(self, place: Path, first: Report, at: int, fault: str) -> None:
        """Do the work again after a fault, check it, and count."""
        again = run_apart(lambda: self._work_again(place, first))
        problems = [*first.problems, *(f"next run: {each}" for each in again.problems)]
        shutil.rmtree(place)
        self.counts[fault, "cases"] += 1
        self.counts[fault, "reached"] += bool(first.faults) or fault in POWER_MODELS
        self.counts[fault, f"exit {first.code}"] += 1
        if problems:
            self.counts[fault, "problems"] += 1
            self.note_problem(
                {
                    "scenario": self.scenario.name,
                    "fault": fault,
                    "at": at,
                    "operation": KINDS[self.kinds[at - 1]] if at else "",
                    "problems": problems,
                    "said": first.messages[-3000:],
                    "said again": again.messages[-1500:],
                }
            )

    def note_problem(self, problem: dict[str, Any]) -> None:
        self.problems.append(problem)
        if self.file is not None:
            with self.file.open("a") as file:
                file.write(json.dumps(problem) + "\n")

    def _work_again(self, place: Path, first: Report) -> Report:
        os.chdir(place)
        scenario = self.scenario
        scenario.promises = list(first.promises)
        scenario.promises = [each for each in scenario.promises if each[0] != "wrong"]
        report = do_work(scenario, scenario.work_again, Report())
        if report.code:
            report.problems.append(f"exit code {report.code}: {report.messages[-300:]}")
        report.problems += scenario.check(report, is_final=True)
        report.problems += self._check_inputs()
        return report

    def fail_power(self, every: int) -> None:
        """Cut the power after each operation, and check everything."""
        model = DiskModel(self.template)
        model._root_path = str(self.folder / "case")
        promises: list[tuple[str, str, str]] = []
        finished: set[tuple[str, str, int]] = set()
        events = list(read_trace(self.folder / "trace"))
        for index, event in enumerate(events):
            if event.kind == "!":
                promises.append(tuple(json.loads(event.one)))
            else:
                model.apply(event)
            for name in POWER_MODELS:
                state = model.describe(keeps_names=name != POWER_MODELS[0])
                if (name, state, len(promises)) in finished or index % every:
                    continue
                finished.add((name, state, len(promises)))
                place = self.folder / "case"
                model.write(place, keeps_names=name != POWER_MODELS[0])
                first = run_apart(partial(self._check_after_power, place, list(promises)))
                self.finish(place, first, min(event.place, len(self.kinds)), name)

    def _check_after_power(self, place: Path, promises: list[tuple[str, str, str]]) -> Report:
        os.chdir(place)
        report = Report(code=0, promises=promises)
        if not isinstance(self.scenario, StudioJob):
            report.problems += self.scenario.check_promises(promises)
            report.problems += self.scenario.check(report, is_final=False)
        report.problems += self._check_inputs()
        return report


def import_storage() -> None:
    """Load what the scenario without pictures needs."""
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
        scenario = Storage()
        scenario.prepare(Path(folder))
        scenario.work()


def warm_up() -> None:
    """Load what all cases share, so that each of them is a cheap copy of this process."""
    import torch
    from fastapi.testclient import TestClient  # noqa: F401

    from impasto.batch.sources import places
    from impasto.encoders import weights
    from impasto.optimize import checkpoint
    from impasto.studio.decoding import decoder, decoder_process
    from impasto.studio.decoding.sandbox import Confinement
    from impasto.studio.http import app  # noqa: F401
    from impasto.studio.workers import film_job, picture_job, studio_worker  # noqa: F401

    torch.set_num_threads(1)
    # A copy of a process has none of its threads.
    mock.patch.object(torch, "set_num_threads", return_value=None).start()
    checkpoint.FIRST_S = checkpoint.EVERY_S = 0.0  # a checkpoint at every step
    weights.load_parameters = lru_cache(maxsize=2)(weights.load_parameters)
    mock.patch.object(places, "read_place_stamp", read_settable_stamp).start()
    mock.patch.object(decoder, "choose_launcher", ThreadLauncher).start()
    mock.patch.object(decoder_process, "confine", return_value=Confinement((), ())).start()
    with tempfile.TemporaryDirectory() as folder:
        for kind in (Optimize, Batch, Film):
            scenario = kind()
            place = Path(folder).resolve() / kind.name
            place.mkdir()
            scenario.prepare(place)
            with inside(place), contextlib.redirect_stderr(io.StringIO()) as stream:
                if scenario.work():
                    raise SystemExit(stream.getvalue())
    from impasto.recipe.recipe import load_recipe
    from impasto.studio.settings import StudioSettings

    find_app().openapi()
    find_shelf(StudioSettings(data=Path())).load(load_recipe("sketch"))
    shelf = find_shelf(StudioSettings(data=Path()))
    globals()["find_shelf"] = lambda _: shelf
    studio_worker.IDLE_S = 0.0


def read_settable_stamp(place: str) -> str | None:
    """Return a stamp without the time of the inode's change, which the model cannot restore."""
    path = Path(place)
    return f"{path.stat().st_size}-{path.stat().st_mtime_ns}" if path.exists() else None


class ThreadLauncher:
    """Runs decoders in threads of this process, so that their file operations count as well."""

    def launch(self, limits: Any, restrictions: Any) -> Any:
        """See :class:`impasto.studio.decoding.conversation.Launcher`."""
        from impasto.studio.decoding.decoder_process import answer_questions

        ours, theirs = multiprocessing.Pipe()
        thread = threading.Thread(
            target=answer_questions, args=(theirs, limits, restrictions), daemon=True
        )
        thread.start()
        return ThreadProcess(ours, thread)

    def close(self) -> None: ...


class ThreadProcess:
    """A decoder in a thread."""

    def __init__(self, line: Any, thread: threading.Thread) -> None:
        self.line = line
        self._thread = thread

    def end(self) -> int:
        self.line.close()
        self._thread.join()
        return 0


def run_trial(name: str, folder: Path, options: argparse.Namespace) -> Trial:
    trial = Trial(SCENARIOS[name](), folder, options.problems)
    trial.prepare()
    began = time.monotonic()
    print(
        f"{name}: {len(trial.kinds)} operations: "
        + ", ".join(f"{n} {KINDS[k]}" for k, n in Counter(trial.kinds).most_common()),
        flush=True,
    )
    for at, kind in enumerate(trial.kinds, 1):
        if (at - 1) % options.every:
            continue
        for fault in [*FAULTS, FULL]:
            if kind in READING and (fault in ("ENOSPC", FULL) or kind + fault == "REACCES"):
                continue
            trial.fail_once(at, fault)
    trial.fail_power(options.every)
    cases = sum(count for (_, what), count in trial.counts.items() if what == "cases")
    print(
        f"{name}: {cases} cases, {len(trial.problems)} with problems, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return trial


def list_rows(trial: Trial, command: str) -> Iterator[dict[str, Any]]:
    for fault in [*FAULTS, FULL, *POWER_MODELS]:
        if trial.counts[fault, "cases"]:
            yield {
                "scenario": trial.scenario.name,
                "operations": len(trial.kinds),
                "fault": fault,
                "cases": trial.counts[fault, "cases"],
                "faults injected": trial.counts[fault, "reached"],
                "exit 0": trial.counts[fault, "exit 0"],
                "exit 1": trial.counts[fault, "exit 1"],
                "exit 2": trial.counts[fault, "exit 2"],
                "exit 4": trial.counts[fault, "exit 4"],
                "cases with problems": trial.counts[fault, "problems"],
                "machine": describe_machine(),
                "date": time.strftime("%Y-%m-%d"),
                "command": command,
            }


def describe_machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--every", type=int, default=1, help="only every n-th operation fails")
    parser.add_argument("--csv", type=Path, help="file of the counts")
    parser.add_argument("--problems", type=Path, help="JSON Lines of all cases with problems")
    options = parser.parse_args()
    preload_operations()
    if options.scenarios == [Storage.name]:
        import_storage()
    else:
        warm_up()
    rows: list[dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    for name in options.scenarios:
        with tempfile.TemporaryDirectory(prefix="impasto-faults-") as folder:
            trial = run_trial(name, Path(folder).resolve(), options)
        rows += list_rows(trial, " ".join(["benchmarks/faults.py", *sys.argv[1:]]))
        problems += trial.problems
        if options.csv:
            with options.csv.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    summary = Counter((each["scenario"], each["problems"][0][:150]) for each in problems)
    for (name, what), count in summary.most_common(40):
        print(f"{count:5d}  {name}: {what}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
