"""Studios to test: one inside the test, whose worker is called by hand, and real servers."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

import forks
from conftest import synthetic_painting, synthetic_photo
from impasto.studio.decoding.conversation import ForkLauncher
from impasto.studio.http.app import create_app
from impasto.studio.problems import CODES
from impasto.studio.queue.job_rows import ENDED
from impasto.studio.settings import StudioSettings
from impasto.studio.studio import Studio
from impasto.studio.workers.job_context import EngineShelf
from impasto.studio.workers.studio_worker import StudioWorker
from processes import is_spawned

SMALL = {"size": 32, "schedule.total": 5}


def png(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


PHOTO, PAINTING = png(synthetic_photo()), png(synthetic_painting())


def parts(
    *others: tuple[str, Any], photo: bytes = PHOTO, styles: tuple[bytes, ...] = (PAINTING,), **job
) -> list[tuple[str, Any]]:
    """Of a multipart request; ``job`` are the fields of its JSON."""
    job = {"recipe": "sketch", "set": SMALL, **job}
    request: list[tuple[str, Any]] = [("photo", ("holiday.png", photo, "image/png"))]
    request += [("style", (f"wall-{n}.png", data, "image/png")) for n, data in enumerate(styles)]
    return [*request, ("job", (None, json.dumps(job))), *others]


HOST = "http://localhost"
LIMITS = {"workers": 0, "max_upload": 300_000, "max_pixels": 300_000, "max_result": 100_000}


class SharedLauncher(ForkLauncher):
    """Starts the decoders of all studios inside tests, and ends with the tests."""

    def __init__(self) -> None:
        super().__init__()
        atexit.register(super().close)

    def close(self) -> None:
        """Leave it to the next studio."""


LAUNCHER = SharedLauncher() if forks.POSSIBLE else None


def inside(folder: Path, **settings: Any) -> TestClient:
    """A studio inside the test; nobody works on its jobs but :func:`work`."""
    studio = Studio(StudioSettings(data=folder, **{**LIMITS, **settings}))
    if LAUNCHER is not None:
        studio.decoder._launcher = LAUNCHER
    return TestClient(create_app(studio), base_url=HOST, raise_server_exceptions=False)


def studio_of(client) -> Studio:
    return client.app.state.studio


def refused(answer, code: str):
    assert answer.status_code == CODES[code][0], answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == answer.status_code
    assert set(body) == {"type", "title", "status", "detail", "code", "field"}
    assert "\n" not in body["detail"]
    return body["detail"]


def post(client, *others, headers=None, **fields):
    return client.post("/v1/jobs", files=parts(*others, **fields), headers=headers)


def accepted(answer) -> dict:
    assert answer.status_code == 201, answer.text
    return answer.json()


class Server:
    """``impasto serve`` as a user starts it."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.command = [sys.executable, "-m", "impasto", "serve", "--no-open", "--port", "0"]
        self.command += ["--data", str(data), "--threads", "1", "--log", "json", *flags]
        self.lines: list[str] = []
        self.address = ""
        self.process: subprocess.Popen[str]
        self.client: httpx2.Client
        self.reader: threading.Thread

    def start(self) -> Server:
        self.process = forks.Popen(self.command, stderr=subprocess.PIPE, text=True)
        match = None
        for line in self.process.stderr or ():
            self.lines.append(line)
            match = re.search(r"the studio is at (http://[^\s;]+)", line)
            if match:
                break
        assert match, self.lines
        # Read on, for a pipe that is full would stop the server.
        self.reader = threading.Thread(target=self._drain, daemon=True)
        self.reader.start()
        self.address = match[1]
        self.client = httpx2.Client(base_url=match[1].partition("#")[0], timeout=60)
        self.wait(lambda: self.client.get("/healthz").status_code == 200)
        return self

    def _drain(self) -> None:
        self.lines.extend(self.process.stderr or ())

    def wait(self, condition: Any, seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(httpx2.TransportError):
                if condition():
                    return
            time.sleep(0.1)
        raise AssertionError(f"waited for {seconds} s:\n" + "".join(self.lines[-20:]))

    def post(self, **job: Any) -> str:
        answer = self.client.post("/v1/jobs", files=parts(**job))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def job(self, id: str) -> dict[str, Any]:  # noqa: A002
        return self.client.get(f"/v1/jobs/{id}").json()

    def until(self, id: str, *states: str) -> dict[str, Any]:  # noqa: A002
        self.wait(lambda: self.job(id)["state"] in (states or ENDED))
        return self.job(id)

    def until_iteration(self, id: str, iteration: int) -> None:  # noqa: A002
        self.wait(lambda: ((self.job(id)["progress"] or {}).get("iteration", 0)) >= iteration)

    def result(self, id: str) -> bytes:  # noqa: A002
        answer = self.client.get(f"/v1/jobs/{id}/result")
        assert answer.status_code == 200, answer.text
        return answer.content

    def workers(self) -> list[int]:
        """Processes that make pictures."""
        return [child for child in children(self.process.pid) if is_spawned(child)]

    def kill(self) -> None:
        self.process.kill()
        self._ended()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        self.client.close()
        code = self.process.wait(60)
        self.reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def children(process: int) -> list[int]:
    path = Path(f"/proc/{process}/task/{process}/children")
    ids = []
    for task in path.parent.parent.iterdir():  # those of the server's other threads as well
        with contextlib.suppress(OSError):
            ids += [int(child) for child in (task / "children").read_text().split()]
    return ids


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def serving(data: Path, *flags: str, of: type[S] = Server) -> Iterator[S]:
    server = of(data, *flags)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


SHELVES: dict[str, EngineShelf] = {}
"""Of all tests with an encoder, for loading one takes longer than most of their jobs."""


@contextlib.contextmanager
def worker_of(
    client: TestClient, ending: threading.Event | None = None, *, cold: bool = False
) -> Iterator[StudioWorker]:
    """A worker of a studio inside the test, in the test's own process."""
    worker = StudioWorker(studio_of(client).settings, "tester", ending or threading.Event())
    services = worker.services
    own, services.decoder = services.decoder, studio_of(client).decoder
    if not cold:
        services.engines = SHELVES.setdefault(forks.encoder, services.engines)
    try:
        yield worker
    finally:
        services.decoder = own
        worker.close()


def work(client: TestClient, *, cold: bool = False) -> None:
    """Do everything that waits."""
    with worker_of(client, cold=cold) as worker:
        while worker.take():
            pass
