"""JSON that is large, deep or slow to parse: it is refused early, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading

import pytest

pytest.importorskip("fastapi")

import numpy as np

from impasto.studio.http.request import request_body
from impasto.studio.http.request.request_body import JSON_BYTES, JsonMeter
from impasto.studio.problems import Problem
from studios import PAINTING, PHOTO, accepted, inside, parts, png, refused, studio_of

DATA = {
    "photo": {"data": base64.b64encode(PHOTO).decode()},
    "styles": [{"data": base64.b64encode(PAINTING).decode()}],
    "recipe": "sketch",
    "set": {"size": 32, "schedule.total": 5},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("studio"), max_upload=8 << 20) as client:
        yield client


def send(client, body):
    return client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})


def never(*_):
    raise AssertionError("parsed all the same")


def in_pieces(body: bytes, size: int = 10_000):
    for place in range(0, len(body), size):
        yield body[place : place + size]


@pytest.mark.parametrize(
    "body",
    [
        b'{"recipe": {"a": [' + b"[]," * 90_000 + b"[]]}}",
        b'{"recipe": {"description": "' + b"x" * 3_000_000 + b'"}}',
        b'{"title": "\\"data\\": \\"' + b"x" * 400_000 + b'"}',
        b'{"styles": [' + b'{"data": ""},' * 30_000 + b"{}]}",
        b" " * 4_000_000 + b"{}",
        b'{"recipe": {"data": "' + "\U0001f3a8".encode() + b"x" * 400_000 + b'"}}',
        b'{"recipe": {"data": "\\u4e00' + b"x" * 400_000 + b'"}}',
    ],
    ids=[
        *("brackets", "description", "quoted key", "many empty pictures", "spaces"),
        *("text as a picture", "escaped text as a picture"),
    ],
)
def test_json_without_pictures_is_limited_before_it_is_parsed(client, monkeypatch, body):
    monkeypatch.setattr(request_body, "parse_job", never)
    assert "256 KiB" in refused(send(client, body), "too_large")
    refused(send(client, in_pieces(body)), "too_large")
    assert not list(studio_of(client).folder.staging.iterdir())


def test_json_that_is_too_large_is_read_to_its_end_so_that_the_answer_arrives():
    left = [b"x" * JSON_BYTES] * 8

    class Request:
        async def stream(self):
            while left:
                yield left.pop()

    with pytest.raises(Problem, match="256 KiB"):
        asyncio.run(request_body._read_json(Request()))
    assert not left


def test_slashes_of_pictures_may_be_escaped_in_any_pieces():
    text = b'{"data": "' + rb"\/" * JSON_BYTES + b'"}'
    for size in (9_999, 10_000):
        meter = JsonMeter()
        for piece in in_pieces(text, size):
            meter.feed(piece)
        assert meter.count == len(b'{"data": ""}')


def test_pictures_in_json_may_be_larger(client):
    noise = png(np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8))
    assert len(noise) > JSON_BYTES
    job = DATA | {"photo": {"data": base64.b64encode(noise).decode()}}
    assert accepted(send(client, json.dumps(job)))["photo"]["width"] == 400
    assert accepted(send(client, in_pieces(json.dumps(job, indent=8).encode(), 7)))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"recipe": {"data": "x" * 2_000_000}}, "bad_recipe"),
        ({"set": {"data": "x" * 2_000_000}}, "bad_recipe"),
        ({"data": "x" * 2_000_000}, "bad_parameter"),
        ({"init": {"data": "x" * 2_000_001}}, "bad_input"),
    ],
)
def test_what_only_looks_like_a_picture_has_limits_too(client, fields, code):
    detail = refused(send(client, json.dumps({**DATA, **fields})), code)
    assert len(detail) < 500


def test_the_limit_of_a_recipe_holds_after_its_changes(client):
    long = {**DATA, "set": {**DATA["set"], "description": "x" * 70_000}}
    assert "exceeds the limit" in refused(send(client, json.dumps(long)), "bad_recipe")
    form = parts(set={"description": "x" * 70_000})
    assert "exceeds the limit" in refused(client.post("/v1/jobs", files=form), "bad_recipe")
    short = {**DATA, "set": {**DATA["set"], "description": "x" * 6_000}}
    assert len(accepted(send(client, json.dumps(short)))["recipe"]["description"]) == 6_000


@pytest.mark.parametrize("kind", ["json", "form"])
def test_requests_are_parsed_beside_the_event_loop(client, monkeypatch, kind):
    threads, parse = [], request_body.parse_job

    def parse_and_note(text):
        threads.append(threading.current_thread())
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return parse(text)

    monkeypatch.setattr(request_body, "parse_job", parse_and_note)
    if kind == "json":
        accepted(send(client, json.dumps(DATA)))
    else:
        accepted(client.post("/v1/jobs", files=parts()))
    assert len(threads) == 1


def test_a_count_does_not_depend_on_the_pieces():
    text = json.dumps(DATA, indent=2).encode()
    text += b'{"data" \n:\t "abc", "datum": "data", "data": 7, "a": "\\"data\\": \\""}'
    pictures = sum(len(each["data"]) for each in (DATA["photo"], DATA["styles"][0])) + len("abc")
    for size in (1, 2, 3, 7, 50, 1000, len(text)):
        meter = JsonMeter()
        for piece in in_pieces(text, size):
            meter.feed(piece)
        assert meter.count == len(text) - pictures, size
