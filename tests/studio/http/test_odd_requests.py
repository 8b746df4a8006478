"""Requests that no honest client sends: each is answered with a problem, never with a 500."""

from __future__ import annotations

import json
import logging

import pytest

pytest.importorskip("fastapi")

from starlette.requests import Request

from impasto.studio.problems import hide_folders
from studios import PAINTING, PHOTO, SMALL, accepted, inside, studio_of

FORM = "multipart/form-data; boundary=b"


def make_part(disposition: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n" + more + b"\r\n" + body + b"\r\n"


def make_form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


STYLE = make_part(b'form-data; name="style"; filename="a.png"', PAINTING)
JOB = make_part(b'form-data; name="job"', json.dumps({"recipe": "sketch", "set": SMALL}).encode())


def make_upload(name: bytes, more: bytes = b"") -> bytes:
    photo = make_part(b'form-data; name="photo"; filename="' + name + b'"', PHOTO, more)
    return make_form(photo, STYLE, JOB)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("odd"), max_queue=1000) as client:
        yield client


def check(client, answer):
    """No 500, no plain text, and no folder of the server."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert "\n" not in answer.json()["detail"]
    for secret in ("staging", str(studio_of(client).settings.data)):
        assert secret not in answer.text
    return answer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"x" * 5000 + b".png", None),
        (b"x" * 3000 + b".png", "x" * 100),
        (b"\xff\xfe\xed\xa0\x80.png", None),
        ("\u202egnp.exe".encode(), "gnp.exe"),
        (b"../../etc/passwd", "passwd"),
        (b"C:\\Windows\\a.png", None),
        (b"", None),
        (b"\xc3\xa9" * 1500, "\xe9" * 100),
    ],
    ids=lambda value: str(value)[:12],
)
def test_names_that_are_odd(client, name, expected):
    answer = check(client, client.post("/v1/jobs", content=make_upload(name), headers=kind(FORM)))
    if expected is not None:
        row = studio_of(client).queue.get(accepted(answer)["id"])
        assert row.spec.names[0] == expected


def kind(text: str | bytes) -> dict[str, str | bytes]:
    return {"content-type": text}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/restore"])
@pytest.mark.parametrize(
    "charset",
    ["undefined", "punycode", "idna", "rot13", "zlib", "utf-16", "none-such", "x" * 999],
    ids=lambda value: value[:12],
)
def test_character_sets_other_than_utf_8(client, path, charset):
    data = make_upload(b"\xff\xe9.png").replace(b'"photo"', b'"picture"')
    answer = client.post(path, content=data, headers=kind(f"{FORM}; charset={charset}"))
    assert check(client, answer).json()["detail"] == "charset: expected utf-8"


def test_a_form_whose_text_cannot_be_decoded(client, monkeypatch):
    def fail(*_, **__):
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(Request, "form", fail)
    for path in ("/v1/jobs", "/v1/restore"):
        answer = check(client, client.post(path, files={"picture": b"a"}))
        assert answer.json()["code"] == "bad_request"


def test_utf_8_may_be_named(client):
    for name in ("utf-8", '"UTF-8"'):
        headers = kind(f"{FORM}; charset={name}")
        accepted(client.post("/v1/jobs", content=make_upload(b"a.png"), headers=headers))


@pytest.mark.parametrize(
    "header",
    [
        *(b"multipart/form-data; boundary=", b"multipart/form-data;;;;=", b"\xff/\xfe"),
        *(b"multipart/form-data; boundary=\xff", b"multipart/form-data; boundary=" + b"b" * 5000),
        *(b"multipart/form-data; boundary*=undefined''b", b"application/json; charset=undefined"),
        *(b"multipart/form-data\0; boundary=b", b'multipart/form-data; boundary="b'),
    ],
)
def test_types_that_are_odd(client, header):
    check(client, client.post("/v1/jobs", content=make_upload(b"a"), headers=kind(header)))


@pytest.mark.parametrize(
    "more",
    [
        *(b"Content-Type: image/png; charset=undefined\r\n", b"Content-Type: \xff\r\n", b"a\r\n"),
        *(b"X: " + b"y" * 100_000 + b"\r\n", b": b\r\n", b"Content-Transfer-Encoding: x\r\n"),
    ],
)
def test_headers_of_parts_that_are_odd(client, more):
    data = make_upload(b"a.png", more)
    check(client, client.post("/v1/jobs", content=data, headers=kind(FORM)))


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"\xff\xfe",
            b'{"title": "\\ud800"}',
            b'{"title": "\xed\xa0\x80"}',
            b'{"set": {"\\ud800": 1}}',
        ),
        *(
            b'{"recipe": "\\ud800"}',
            b'{"recipe": {"description": "\\udc80"}}',
            b'{"title": "\\u0000"}',
        ),
        *(b'{"styles": [{"style_name": "\\ud800"}]}', b'{"masks": [{"word": "\\ud800"}]}'),
        *(
            b'{"photo": {"data": "\\ud800"}}',
            b'{"photo": {"file": 1e400}}',
            b'{"photo": {"file": -1}}',
        ),
    ],
)
def test_text_that_is_odd(client, text):
    job = make_part(b'form-data; name="job"', text)
    photo = make_part(b'form-data; name="photo"; filename="a"', PHOTO)
    check(client, client.post("/v1/jobs", content=text, headers=kind("application/json")))
    data = make_form(photo, STYLE, job)
    check(client, client.post("/v1/jobs", content=data, headers=kind(FORM)))


@pytest.mark.parametrize("path", ["/", "/static/js/api.js"])
@pytest.mark.parametrize(
    "value", [b"bytes=\xff", b"bytes=-", b"bytes=1-0", b"bytes=99999999999-", b"x", b"bytes=-0"]
)
def test_ranges_that_are_odd(client, path, value):
    answer = check(client, client.get(path, headers={"range": value}))
    assert answer.json()["code"] == "bad_range"


@pytest.mark.parametrize(
    "path",
    [
        *("/static/" + "x" * 5000, "/static/%00", "/static/%ff", "/v1/styles/%00", "/%ff%fe"),
        *("/v1/jobs?limit=%ff", "/v1/jobs?before=%00", "/v1/jobs/" + "x" * 5000),
        *("/v1/jobs/%0d%0aX:%20y", "/v1/jobs?" + "a=b&" * 5000),
    ],
)
def test_addresses_that_are_odd(client, path):
    for method in ("GET", "POST", "DELETE", "FOO"):
        check(client, client.request(method, path))


@pytest.mark.parametrize(
    "name",
    [
        "if-range",
        "if-none-match",
        "if-modified-since",
        "idempotency-key",
        "last-event-id",
        "origin",
    ],
)
def test_headers_that_are_odd(client, name):
    for value in (b"\xff", b"x" * 5000, b""):
        check(client, client.get("/", headers={name: value}))
        check(client, client.post("/v1/jobs", content=b"{}", headers={name: value, **kind("x")}))


def test_nothing_was_logged_as_a_failure(client, caplog):
    with caplog.at_level(logging.ERROR):
        client.post(
            "/v1/jobs", content=make_upload(b"a"), headers=kind(f"{FORM}; charset=undefined")
        )
    assert not caplog.records


def test_messages_hide_the_folders_of_jobs(tmp_path):
    job = "0123456789abcdef" * 2
    for message in (
        f"{tmp_path}/staging/{job}/photo: damaged",
        f"staging/{job}/photo: damaged",
        f"jobs/{job}/photo: damaged",
        f"trash/20260101T000000Z-{job}/photo: damaged",
    ):
        assert hide_folders(message, tmp_path) == "photo: damaged"
