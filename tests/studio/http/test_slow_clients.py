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

from impasto.studio import studio as serving
from impasto.studio.http import connections
from impasto.studio.http.connections import ConnectionBook
from impasto.studio.http.conversions import RUNNING, WAITING, ConversionQueue
from impasto.studio.http.request import request_body
from impasto.studio.http.routes import picture_routes
from impasto.studio.server import StudioServer
from impasto.studio.settings import StudioSettings
from impasto.studio.studio import Studio
from studios import PHOTO, accepted, inside, post, refused, studio_of

PAUSE_S = 0.3


TOKEN = "correct-horse-battery"
BEARER = f"Authorization: Bearer {TOKEN}\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that waits for nothing for long, and asks for a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "HEAD_S", PAUSE_S)
        patch.setattr(connections, "SEND_S", PAUSE_S)
        settings = StudioSettings(data=tmp_path_factory.mktemp("slow"), workers=0, token=TOKEN)
        server = StudioServer(Studio(settings))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server.port = listening.getsockname()[1]
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            while not server.started:
                time.sleep(0.02)
            yield server
            server.should_exit = True
            thread.join()


@pytest.fixture
def impatient(server):
    wait_until(lambda: not server.server_state.connections)
    return server.port


def wait_until(is_so, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def connect(port: int, head: str = "", body: bytes = b"") -> socket.socket:
    """Send a request, if one is given, and read nothing."""
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    if head:
        client.sendall(f"{head}\r\nHost: localhost\r\n\r\n".encode() + body)
    return client


def read(client: socket.socket) -> bytes:
    """Read to the end of the connection."""
    data = b""
    with client:
        while part := client.recv(65_536):
            data += part
    return data


def test_who_reads_nothing_is_let_go(server, impatient):
    with connect(impatient) as client:
        client.setblocking(False)
        request = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with contextlib.suppress(OSError):
            for _ in range(400):  # more answers than the system keeps for a client
                client.sendall(request)
                if not server.server_state.connections:
                    time.sleep(0.001)
        wait_until(lambda: server.server_state.connections)
        wait_until(lambda: not server.server_state.connections)


def test_an_answer_that_waits_for_a_slow_reader_is_whole(impatient):
    with connect(impatient, "GET /docs HTTP/1.1\r\nConnection: close") as client:
        time.sleep(PAUSE_S / 2)
        answer = read(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"</html>\n") or b"</html>" in answer[-200:]


def test_one_connection_too_many_closes_the_oldest_without_a_token(server, impatient, monkeypatch):
    monkeypatch.setattr(connections, "STRANGERS", 3)
    get = "GET /v1/jobs HTTP/1.1\r\n"
    with contextlib.ExitStack() as clients:
        for _ in range(3):  # known, because the token is right
            client = clients.enter_context(connect(impatient, get + BEARER.strip()))
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        strangers = []
        for _ in range(3):  # a wrong token makes nobody known
            strangers.append(clients.enter_context(connect(impatient, get + "Authorization: x")))
            assert strangers[-1].recv(100).startswith(b"HTTP/1.1 401")
        assert len(server.server_state.connections) == 6
        last = connect(impatient, "GET /ping HTTP/1.1\r\nConnection: close")
        assert read(last).startswith(b"HTTP/1.1 ")
        with contextlib.suppress(ConnectionResetError):
            while strangers[0].recv(1000):  # ends, since the server has closed it
                pass
        wait_until(lambda: len(server.server_state.connections) == 5)
    wait_until(lambda: not server.server_state.connections)


def test_addresses_that_a_client_can_choose_count_as_one():
    book = ConnectionBook()
    closed = []

    def add(address):
        book.add((address, 1), lambda: closed.append(address))

    for number in range(connections.STRANGERS):
        add(f"2001:db8::{number:x}")
    add("2001:db8:0:1::1")
    for number in range(connections.STRANGERS):
        add(f"::ffff:10.0.0.{number}")
    assert closed == []
    book.trust(("2001:db8::0", 1))
    add("2001:db8::ffff:1")
    assert closed == []
    add("2001:db8::ffff:2")
    assert closed == ["2001:db8::1"]


@pytest.mark.parametrize(("size", "says"), [(1, b"HTTP/1.1 400"), (80, b"HTTP/1.1 422")])
def test_a_body_in_tiny_pieces_is_refused(impatient, size, says):
    pieces = b"%x\r\n%s\r\n" % (size, b" " * size) * 3000 + b"0\r\n\r\n"
    head = f"POST /v1/jobs HTTP/1.1\r\n{BEARER}Content-Type: application/json\r\n"
    client = connect(impatient)
    with contextlib.suppress(OSError):
        head += "Host: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head.encode() + b"2\r\n{}\r\n" + pieces)
    with client:
        assert client.recv(12) == says


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_who_does_not_say_what_he_wants_is_let_go(impatient, sent):
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(sent)
        assert client.recv(100) == b""


def test_who_has_been_answered_likewise_and_who_follows_a_job_is_not(impatient):
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nG")
        answer = b""
        while part := client.recv(65_536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 503")
    body = b"{}"
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += BEARER
    with socket.create_connection(("127.0.0.1", impatient), timeout=30) as client:
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n")
        time.sleep(3 * PAUSE_S)  # the head was there in time
        client.sendall(body)
        assert client.recv(100).startswith(b"HTTP/1.1 422")


def answered(app, path: str) -> dict:
    """What is answered to a request whose body never comes."""
    messages = []

    async def receive():
        await asyncio.sleep(600)

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "root_path": ""}
    kind = b"multipart/form-data; boundary=x"
    headers = [(b"host", b"localhost"), (b"content-type", kind), (b"content-length", b"9")]
    asyncio.run(app({**scope, "headers": headers}, receive, send))
    return json.loads(messages[-1]["body"]) | {"answered": messages[0]["status"]}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/restore"])
def test_an_upload_that_takes_too_long_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.setattr(request_body, "UPLOAD_S", 0.1)
    with inside(tmp_path) as client:
        problem = answered(client.app, path)
        assert (problem["code"], problem["answered"]) == ("slow_upload", 408)


def test_no_more_than_so_many_uploads_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "UPLOADS", 2)
    with inside(tmp_path) as client:
        with contextlib.ExitStack() as reservations:
            for _ in range(2):
                reservations.enter_context(studio_of(client).reserve_upload())
            answer = post(client)
            refused(answer, "too_many_uploads")
            assert int(answer.headers["retry-after"]) >= 1
            refused(client.post("/v1/restore", files={"picture": ("a", b"")}), "too_many_uploads")
            assert client.get("/v1/jobs").status_code == 200
        for _ in range(3):  # each gives its place back, refused or not
            accepted(post(client))
            refused(post(client, photo=b""), "not_a_picture")


@pytest.mark.timeout(30)
def test_conversions_of_results_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_routes, "has_result", lambda row, place: True)
    with inside(tmp_path) as client, contextlib.ExitStack() as reservations:
        job = accepted(post(client))["id"]
        (studio_of(client).folder.locate(job) / "result.png").write_bytes(PHOTO)
        places = studio_of(client).conversions
        for number in range(RUNNING):
            reservations.enter_context(places.reserve(tmp_path / str(number)))
        places._count += WAITING
        answer = client.get(f"/v1/jobs/{job}/result?format=tiff")
        refused(answer, "too_many_conversions")
        assert int(answer.headers["retry-after"]) >= 1
        places._count -= WAITING
        reservations.close()
        for _ in range(2):
            assert client.get(f"/v1/jobs/{job}/result?format=tiff").status_code == 200


def test_a_result_is_converted_once_however_many_ask(tmp_path):
    places, count, target = ConversionQueue(), [], tmp_path / "result.tif"

    def convert() -> None:
        with places.reserve(target):
            if not target.exists():
                count.append(1)
                time.sleep(0.02)
                target.touch()

    threads = [threading.Thread(target=convert) for _ in range(RUNNING + WAITING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert not places._targets
