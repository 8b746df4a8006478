"""The studio: a real server on a data folder of impasto 0.1, used over HTTP.

The cases share one session of one server, for it takes seconds to start.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import numpy as np
from harness import FILES, Case, Facts, environment, read_pixels, steady
from inputs import make_frames, make_hard_mask, make_other_painting, make_painting, make_photo
from PIL import Image

WAIT_S = 240.0
ENDED = ("done", "failed", "cancelled", "stopped")
SMALL = {"precision": "float32", "size": 32}
ADDED = {"ProblemDetails": {"field"}}
"""Fields that were added to schemas since the references were recorded."""


class Client:
    """Requests to one server."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(
        self, path: str, body: Any = None, *, method: str | None = None, kind: str | None = None
    ) -> tuple[int, bytes, str]:
        """Send a request.

        Args:
            path: of the address.
            body: bytes of the media type ``kind``, or anything else to be sent as JSON.
            method: GET, or POST where there is a body.
            kind: media type of bytes.

        Returns:
            Status, body and media type of the answer.
        """
        data = body if body is None or kind else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method)
        if data is not None:
            request.add_header("content-type", kind or "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers.get_content_type()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read(), answer.headers.get_content_type()

    def get(self, path: str) -> Any:
        """JSON of the server's."""
        return json.loads(self.ask(path)[1])

    def finish(self, job: str) -> Facts:
        """Wait until a job has ended."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            state = self.get(f"/v1/jobs/{job}")
            if state["state"] in ENDED:
                return state
            time.sleep(0.1)
        raise TimeoutError(f"job {job} has not ended")


@contextlib.contextmanager
def serve(data: Path) -> Iterator[Client]:
    """``impasto serve`` as a process, at a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "impasto", "serve", "--no-open", "--port", str(port)]
    command += ["--data", str(data), "--threads", "1", "--keep", "0"]
    with (
        tempfile.TemporaryFile() as log,
        harness.start_process(command, stderr=log, env=environment()) as server,
    ):
        try:
            client = Client(f"http://127.0.0.1:{port}")
            _wait_for(client, server)
            yield client
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-3000:])
            raise
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_for(client: Client, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError):
            if client.ask("/healthz")[0] == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("the server has not come up")


def encode(pixels: np.ndarray) -> Facts:
    """A picture for JSON."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"data": base64.b64encode(stream.getvalue()).decode()}


def clip() -> bytes:
    """A GIF of four frames."""
    frames = [Image.fromarray(frame) for frame in make_frames()]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return stream.getvalue()


def requests() -> dict[str, Facts]:
    """The jobs that are made."""
    photo, painting = encode(make_photo()), encode(make_painting())
    other = encode(make_other_painting())
    return {
        "sketch": {
            "recipe": "sketch",
            "set": {**SMALL, "schedule.total": 3},
            "photo": photo,
            "styles": [painting],
            "title": "a sketch",
        },
        "draft": {
            "draft": True,
            "set": {**SMALL, "strength": 0.8},
            "photo": photo,
            "styles": [painting, other],
            "masks": [encode(make_hard_mask())],
        },
        "regions": {
            "recipe": "tf-vgg19",
            "set": {**SMALL, "schedule.total": 2, "colors": "content"},
            "photo": photo,
            "styles": [painting, other],
            "masks": [{"word": "rect:22,3,21,19"}],
            "style_masks": [None, encode(make_hard_mask(48, 40))],
        },
        "clip": {
            "recipe": "draft",
            "set": SMALL,
            "clip": {"data": base64.b64encode(clip()).decode()},
            "styles": [painting],
            "stability": 0.5,
        },
    }


REFUSED: dict[str, Any] = {
    "no photo": {"styles": [{"style_name": "x"}]},
    "an unknown field": {"recipy": "sketch"},
    "an unknown recipe": {"recipe": "standrad"},
    "an unknown setting": {"set": {"style.wieght": 1}},
    "a photo that is none": {"photo": {"data": base64.b64encode(b"nothing").decode()}},
    "a path": {"set": {"start.image": "/etc/passwd", "start.base": "image"}},
    "an unknown word": {"masks": [{"word": "sky"}]},
    "an unknown style": {"styles": [{"style_name": "nobody"}]},
    "another job that is not there": {"photo": {"job": "0" * 32, "what": "result"}},
}


def multipart(fields: dict[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form with files: its body and media type."""
    lines = []
    for name, (file, data) in fields.items():
        named = f'; filename="{file}"' if file else ""
        head = f'--golden\r\ncontent-disposition: form-data; name="{name}"{named}\r\n\r\n'
        lines.append(head.encode() + data + b"\r\n")
    return b"".join(lines) + b"--golden--\r\n", "multipart/form-data; boundary=golden"


@functools.cache
def session() -> dict[str, Facts]:
    """What the cases need, from one server on a copy of the old data folder; or ``error``."""
    parts = {"old": _read_old, "new": _make_new, "refused": _be_refused, "catalog": _read_catalog}
    facts: dict[str, Facts] = {}
    with tempfile.TemporaryDirectory(prefix="impasto-golden-") as folder:
        data = Path(folder) / "studio"
        with zipfile.ZipFile(FILES / "studio.zip") as archive:
            archive.extractall(data)
        with serve(data) as client:
            for name, part in parts.items():
                try:
                    facts[name] = part(client)
                except (OSError, LookupError, ValueError, TypeError) as error:
                    facts[name] = {"error": f"{type(error).__name__}: {error}"}
    return facts


def _read_old(client: Client) -> Facts:
    page = client.get("/v1/jobs")
    jobs = {job["title"]: job for job in page["jobs"]}
    facts: Facts = {}
    for title, job in sorted(jobs.items()):
        ended = client.finish(job["id"])
        facts[title] = _job(ended)
        if ended["links"]["result"]:
            facts[f"{title}: result"] = read_pixels(client.ask(ended["links"]["result"])[1])
    return facts


def _job(job: Facts) -> Facts:
    """A job without what is not the same every time."""
    facts = steady(job)
    facts["title"] = job["title"]
    facts["links"] = {key: job["links"][key] is not None for key in job["links"]}
    facts["problem"] = job["problem"] and [job["problem"]["code"], job["problem"]["status"]]
    facts["recipe"] = job["recipe"]["name"]
    return facts


def _make_new(client: Client) -> Facts:
    facts: Facts = {}
    ids: dict[str, str] = {}
    for name, request in requests().items():
        status, body, _ = client.ask("/v1/jobs", request)
        job = json.loads(body)
        facts[f"{name}: accepted"] = [status, sorted(job), job.get("state"), job.get("code")]
        ids[name] = job["id"]
    fields = {
        "photo": ("p.png", base64.b64decode(encode(make_photo())["data"])),
        "style": ("s.png", base64.b64decode(encode(make_painting())["data"])),
        "job": ("", json.dumps({"draft": True, "set": SMALL, "depth": 16}).encode()),
    }
    body, kind = multipart(fields)
    ids["form"] = json.loads(client.ask("/v1/jobs", body, kind=kind)[1])["id"]
    for name, job in ids.items():
        ended = client.finish(job)
        facts[name] = _job(ended)
        status, data, kind = client.ask(ended["links"]["result"])
        facts[f"{name}: result"] = [status, kind]
        if name != "clip":
            facts[f"{name}: pixels"] = read_pixels(data)
        status, data, kind = client.ask(ended["links"]["thumbnail"])
        facts[f"{name}: thumbnail"] = [status, kind]
    again = {"recipe": "draft", "set": SMALL, "photo": {"job": ids["sketch"], "what": "result"}}
    again["styles"] = [{"job": ids["draft"], "what": "style/1"}]
    job = client.finish(json.loads(client.ask("/v1/jobs", again)[1])["id"])
    facts["of another job"] = read_pixels(client.ask(job["links"]["result"])[1])
    jpeg = client.ask(job["links"]["self"] + "/result?format=jpeg")
    facts["as JPEG"] = [jpeg[0], jpeg[2]]
    facts["removed"] = [
        client.ask(job["links"]["self"], method="DELETE")[0],
        client.ask(job["links"]["self"] + "?forget=true", method="DELETE")[0],
        client.ask(job["links"]["self"])[0],
    ]
    return facts


def _be_refused(client: Client) -> Facts:
    good = {"recipe": "sketch", "photo": encode(make_photo()), "styles": [encode(make_painting())]}
    facts: Facts = {}
    for name, change in REFUSED.items():
        body = change if name == "no photo" else {**good, **change}
        facts[name] = _problem(client.ask("/v1/jobs", body))
    facts["another type"] = _problem(client.ask("/v1/jobs", b"x", kind="text/plain"))
    facts["no such job"] = _problem(client.ask("/v1/jobs/" + "0" * 32))
    facts["no such page"] = _problem(client.ask("/v1/nothing"))
    facts["another method"] = _problem(client.ask("/v1/recipes", method="DELETE"))
    return facts


def _problem(answer: tuple[int, bytes, str]) -> list[Any]:
    status, body, kind = answer
    return [
        status,
        kind,
        json.loads(body).get("code"),
        sorted(json.loads(body).keys() - ADDED["ProblemDetails"]),
    ]


def _read_catalog(client: Client) -> Facts:
    recipes = client.get("/v1/recipes")["recipes"]
    document = client.get("/openapi.json")
    styles = client.get("/v1/styles")["styles"]
    return {
        "health": steady(client.get("/healthz")),
        "recipes": {each["name"]: steady(each["recipe"]) for each in recipes},
        "schema": sorted(client.get("/v1/recipes/schema")["properties"]),
        "styles": sorted(style["name"] for style in styles),
        "a style": client.ask(styles[0]["url"])[::2],
        "page": client.ask("/")[::2],
        "paths": {path: sorted(methods) for path, methods in sorted(document["paths"].items())},
        "schemas": {
            name: sorted(schema.get("properties", {}).keys() - ADDED.get(name, set()))
            for name, schema in sorted(document["components"]["schemas"].items())
            if name in ("Job", "JobRequest", "Progress", "Health", "Restored", "ProblemDetails")
        },
        "metrics": client.ask("/metrics")[::2],
    }


def _part(name: str) -> Callable[[], Facts]:
    def run() -> Facts:
        facts = session()[name]
        if "error" in facts:
            raise AssertionError(facts["error"])
        return facts

    return run


STUDIO_CASES = {
    "studio: jobs of 0.1": Case(_part("old")),
    "studio: new jobs": Case(_part("new")),
    "studio: what is refused": Case(_part("refused")),
    "studio: what it offers": Case(_part("catalog")),
}
