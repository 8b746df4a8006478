"""Clients that are slow, on purpose or not: others are served all the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time

import pytest

pytest.importorskip("fastapi")

from impasto.studio import server as serving_process
from impasto.studio import studio as serving
from impasto.studio.http.request import request_body
from impasto.studio.server import StudioServer
from impasto.studio.settings import StudioSettings
from impasto.studio.studio import Studio
from studios import accepted, inside, post, refused, studio_of

PAUSE_S = 0.3


@pytest.fixture
def impatient(tmp_path, monkeypatch):
    """The port of a server that waits for no head for long."""
    monkeypatch.setattr(serving_process, "HEAD_S", PAUSE_S)
    server = StudioServer(Studio(StudioSettings(data=tmp_path, workers=0)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_who_does_not_say_what_he_wants_is_let_go(impatient, sent):
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(sent)
        assert client.recv(100) == b""


def test_who_has_been_answered_likewise_and_who_follows_a_job_is_not(impatient):
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nG")
        told = b""
        while part := client.recv(65_536):
            told += part
        assert told.startswith(b"HTTP/1.1 503")
    body = b"{}"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n")
        time.sleep(3 * PAUSE_S)  # the head was there in time
        client.sendall(body)
        assert client.recv(100).startswith(b"HTTP/1.1 422")


def answered(app, path: str) -> dict:
    """What is answered to a request whose body never comes."""
    told = []

    async def receive():
        await asyncio.sleep(600)

    async def send(message):
        told.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "root_path": ""}
    kind = b"multipart/form-data; boundary=x"
    headers = [(b"host", b"localhost"), (b"content-type", kind), (b"content-length", b"9")]
    asyncio.run(app({**scope, "headers": headers}, receive, send))
    return json.loads(told[-1]["body"]) | {"answered": told[0]["status"]}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/restore"])
def test_an_upload_that_takes_too_long_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.setattr(request_body, "UPLOAD_S", 0.1)
    with inside(tmp_path) as client:
        problem = answered(client.app, path)
        assert (problem["code"], problem["answered"]) == ("slow_upload", 408)


def test_no_more_than_so_many_uploads_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "UPLOADS", 2)
    with inside(tmp_path) as client:
        with contextlib.ExitStack() as taken:
            for _ in range(2):
                taken.enter_context(studio_of(client).reserve_upload())
            answer = post(client)
            refused(answer, "too_many_uploads")
            assert int(answer.headers["retry-after"]) >= 1
            refused(client.post("/v1/restore", files={"picture": ("a", b"")}), "too_many_uploads")
            assert client.get("/v1/jobs").status_code == 200
        for _ in range(3):  # each gives its place back, refused or not
            accepted(post(client))
            refused(post(client, photo=b""), "not_a_picture")
