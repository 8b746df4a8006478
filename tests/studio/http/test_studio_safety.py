"""Who may ask, how much may be sent, what every answer carries."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from impasto.studio.http.guard import HEADERS
from impasto.studio.queue.job_queue import JobQueue
from studios import PHOTO, accepted, inside, parts, post, refused, studio_of

TOKEN = "correct-horse-battery"
ANY = {"hosts": ("localhost", "127.0.0.1", "::1", "studio.example", "*")}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("studio"), max_queue=1000) as client:
        yield client


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("locked"), token=TOKEN, **ANY) as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/openapi.json", "/healthz", "/v1/jobs", "/v1/jobs/nothing", "/nowhere", "/v1/"],
)
def test_every_answer_carries_the_headers(client, path):
    headers = client.get(path).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_the_policy_allows_no_foreign_and_no_inline_code(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    for evil in ("unsafe-inline", "unsafe-eval", "http:", "https:", "*"):
        assert evil not in policy


@pytest.mark.parametrize(
    "host",
    [
        *("evil.com", "evil.com:8484", "localhost.evil.com", "127.0.0.1.nip.io", "192.168.1.5"),
        *("", "localhost@evil.com", "localhost:80:80", "[::1", "LOCALHOST.evil.com", "a/localhost"),
    ],
)
def test_a_name_that_is_not_ours_gets_nothing(client, host):
    for path in ("/", "/v1/jobs", "/healthz"):
        refused(client.get(path, headers={"host": host}), "foreign_host")


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8484", "127.0.0.1:1", "[::1]:8484", "localhost."]
)
def test_names_of_this_machine_are_ours(client, host):
    assert client.get("/v1/jobs", headers={"host": host}).status_code == 200


def test_a_server_for_others_answers_to_its_addresses_and_names(locked):
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host in ("192.168.1.5:8484", "[fe80::1]:8484", "studio.example", "STUDIO.example:443"):
        assert locked.get("/v1/jobs", headers={"host": host, **bearer}).status_code == 200
    refused(locked.get("/v1/jobs", headers={"host": "evil.com", **bearer}), "foreign_host")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.com"},
        {"origin": "http://localhost:9999"},
        {"origin": "https://evil.com/localhost"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_page_can_do_nothing(client, headers):
    job = accepted(post(client))["links"]["self"]
    refused(post(client, headers=headers), "foreign_origin")
    refused(client.delete(job, headers=headers), "foreign_origin")
    refused(client.post(f"{job}/stop", headers=headers), "foreign_origin")
    refused(client.get(f"{job}/photo", headers=headers), "foreign_origin")
    assert client.get(job).json()["state"] == "queued"
    answer = client.options("/v1/jobs", headers=headers | {"access-control-request-method": "POST"})
    assert answer.status_code in (403, 405)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_our_own_page_can(client):
    for headers in (
        {"origin": "http://localhost", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ):
        accepted(post(client, headers=headers))
    # Behind a proxy that ends TLS, which is asked under its own scheme.
    accepted(post(client, headers={"origin": "https://localhost"}))


def test_a_token_guards_everything_but_the_page(locked):
    for path in ("/v1/jobs", "/v1/recipes", "/v1/styles", f"/v1/jobs/{'0' * 32}", "/metrics"):
        answer = locked.get(path)
        refused(answer, "no_token")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/", "/healthz", "/docs", "/openapi.json", "/static/reference.css"):
        assert locked.get(path).status_code in (200, 503)
    refused(locked.post("/v1/jobs", files=parts()), "no_token")
    refused(locked.get("/static/../v1/jobs"), "no_token")


@pytest.mark.parametrize(
    "header",
    [
        *(TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer"),
        f"Bearer {TOKEN.upper()}",
        "Bearer \xe9\xe9\xe9",
    ],
)
def test_a_wrong_token_is_none(locked, header):
    answer = locked.get("/v1/jobs", headers={"authorization": header.encode("latin-1")})
    refused(answer, "no_token")
    is_wrong = "error" in answer.headers["www-authenticate"]
    assert is_wrong == answer.json()["detail"].startswith("the token is wrong")
    assert is_wrong == (header.startswith("Bearer") and len(header) > len("Bearer "))


def test_the_right_token_opens(locked):
    for header in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Bearer  {TOKEN} "):
        assert locked.get("/v1/jobs", headers={"authorization": header}).status_code == 200
    refused(locked.get(f"/v1/jobs?token={TOKEN}"), "no_token")


# --- how much ----------------------------------------------------------------------------------


def test_a_request_that_says_it_is_too_large_is_not_read(client):
    def body():
        raise AssertionError("read all the same")
        yield b""

    headers = {"content-length": "300001", "content-type": "application/json"}
    refused(client.post("/v1/jobs", content=body(), headers=headers), "too_large")
    for length in ("-1", "1e3", "9" * 5000, "\u0663"):
        headers["content-length"] = length.encode("utf-8")
        refused(client.post("/v1/jobs", content=b"", headers=headers), "too_large")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_a_request_that_does_not_say_is_counted(client, kind):
    head = b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'

    def endless():
        yield head if "form" in kind else b'{"photo": {"data": "'
        for _ in range(1000):
            yield b"A" * 10_000

    answer = client.post("/v1/jobs", content=endless(), headers={"content-type": kind})
    refused(answer, "too_large")
    assert not list(studio_of(client).folder.staging.iterdir())


def test_too_many_or_unknown_parts(client):
    for name, count in (("photo", 2), ("init", 2), ("style", 9), ("mask", 9), ("nonsense", 1)):
        many = [(name, ("a.png", PHOTO))] * count
        refused(client.post("/v1/jobs", files=parts(*many)), "bad_input")
    refused(client.post("/v1/jobs", files=parts(("weights", (None, "/etc/passwd")))), "bad_input")
    refused(client.post("/v1/jobs", files=[("style", ("a.png", PHOTO))] * 33), "bad_request")
    refused(client.post("/v1/jobs", files=[("job", (None, "{}"))] * 33), "bad_request")
    refused(client.post("/v1/jobs", files=[("job", (None, " " * 270_000))]), "bad_request")


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("text/plain", b"hello", "wrong_type"),
        ("", b"", "wrong_type"),
        ("application/x-www-form-urlencoded", b"a=b", "wrong_type"),
        ("application/json", b"{", "bad_request"),
        ("application/json", b"\xff\xfe", "bad_request"),
        ("application/json", b"[" * 100_000, "bad_request"),
        ("application/json", b"[]", "bad_parameter"),
        ("application/json", b'{"photo": null}', "bad_input"),
        ("application/json", b'{"title": "\\ud800"}', "bad_request"),
        ("multipart/form-data", b"", "bad_request"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\nnonsense", "bad_request"),
    ],
)
def test_what_cannot_be_read(client, kind, body, code):
    refused(client.post("/v1/jobs", content=body, headers={"content-type": kind}), code)


@pytest.mark.parametrize(
    "id",
    [
        *("..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f" * 3, "/etc/passwd", "a" * 31),
        *(
            "A" * 32,
            "0" * 33,
            "\\\\server\\share",
            "C:%5CWindows",
            "0" * 31 + "g",
            "0" * 31 + "%00",
        ),
        *("' OR 1=1 --", "0" * 31 + "\u0660", "queue.sqlite", "*"),
    ],
)
def test_only_ids_of_the_servers_own_are_looked_for(client, id):  # noqa: A002
    for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/result", f"/v1/jobs/{id}/photo"):
        answer = client.get(path)
        assert answer.status_code in (404, 422), path
        assert answer.json()["code"] in ("not_found", "bad_parameter")


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"recipe": "../../etc/passwd"}, "bad_recipe", "recipe: unknown"),
        ({"recipe": "/tmp/mine.toml"}, "bad_recipe", "recipe: unknown"),
        ({"recipe": "evil.safetensors"}, "bad_recipe", "recipe: unknown"),
        ({"recipe": {"engine": {"kind": "network", "file": "/x"}}}, "path_refused", "engine.file"),
        ({"set": {"engine.kind": "network", "engine.file": "/x"}}, "path_refused", "engine.file"),
        ({"set": {"start.base": "image", "start.image": "/etc/passwd"}}, "path_refused", "init"),
        ({"recipe": {"strength": 2}}, "bad_recipe", "strength"),
        ({"set": {"strength": -1}}, "bad_recipe", "strength"),
        ({"set": {"schedule.total": 10**9}}, "bad_recipe", "schedule.total"),
        ({"set": {"size": 10**30}}, "bad_recipe", "size"),
        ({"set": {"content.weight": "1e309"}}, "bad_recipe", "content.weight"),
        ({"set": {"nonsense": 1}}, "bad_recipe", "no such field"),
        ({"set": {"": 1}}, "bad_recipe", "no such field"),
        ({"set": {"__class__.__init__": 1}}, "bad_recipe", "no such field"),
        ({"recipe": {"version": 99}}, "bad_recipe", "newer impasto"),
        ({"recipe": {"nonsense": {"a": 1}}}, "bad_recipe", "no such field"),
        ({"recipe": {"description": "x" * 70_000}}, "bad_recipe", "exceeds the limit"),
        ({"set": {"style.weights": [1, 2]}}, "bad_input", "2 style weights"),
        ({"set": {"size": 400}}, "over_limit", "400x300"),
        ({"depth": 9}, "bad_parameter", "depth"),
        ({"title": "x" * 201}, "bad_parameter", "title"),
        ({"nonsense": 1}, "bad_parameter", "nonsense"),
        ({"draft": "perhaps"}, "bad_parameter", "draft"),
        ({"masks": "sky"}, "bad_parameter", "masks"),
    ],
)
def test_a_job_that_is_refused(client, fields, code, says):
    assert says in refused(post(client, **fields), code)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"depth": 9}, "depth"),
        ({"recipe": "gone"}, "recipe"),
        ({"set": {"schedule.total": 10**9}}, "schedule.total"),
        ({"set": {"style.weights": [1, 2]}}, "style.weights"),
        ({"set": {"start.base": "image", "start.image": "/a"}}, "start.image"),
        ({"recipe": {"description": "x" * 70_000}}, None),
    ],
)
def test_a_refusal_names_the_field(client, fields, field):
    answer = post(client, **fields)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e309", "-1e309"])
@pytest.mark.parametrize("field", ["content.weight", "solver.learning_rate", "strength"])
def test_numbers_that_are_none(client, number, field):
    request = [*parts()[:-1], ("job", (None, f'{{"set": {{"{field}": {number}}}}}'))]
    answer = client.post("/v1/jobs", files=request)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("bad_recipe", "bad_parameter", "bad_request")


def test_a_recipe_as_deep_as_it_likes(client):
    deep = '{"a":' * 5000 + "1" + "}" * 5000
    for job in (f'{{"recipe": {deep}}}', f'{{"set": {{"size": {deep}}}}}'):
        answer = client.post("/v1/jobs", files=[*parts()[:-1], ("job", (None, job))])
        assert answer.status_code in (400, 422), answer.text


def test_a_file_that_is_no_network_is_no_picture_either(client):
    import pickle

    for data in (pickle.dumps({"a": 1}), b'\x08\0\0\0\0\0\0\0{"a":{}}'):
        refused(post(client, photo=data), "not_a_picture")


def test_an_error_of_ours_tells_nothing(client, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("secret /home/me")

    monkeypatch.setattr(studio_of(client).intake, "stage", broken)
    answer = post(client)
    assert "secret" not in refused(answer, "internal")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not list(studio_of(client).folder.staging.iterdir())


def test_a_full_disk_is_told_as_such(client, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "/home/me")

    monkeypatch.setattr(studio_of(client).intake, "stage", full)
    assert "/home/me" not in refused(post(client), "no_resources")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_is_accepted_is_on_the_disk(client, monkeypatch):
    names, add = [], JobQueue.add

    def flushed(file):
        names.append(Path(f"/proc/self/fd/{file}").readlink().name)

    def added(*arguments, **fields):
        names.append("the queue")
        return add(*arguments, **fields)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(JobQueue, "add", added)
    job = accepted(post(client))["id"]
    end = names.index("the queue") + 1
    assert set(names[: end - 3]) >= {"photo", "style-0", "studio.json"}
    assert names[end - 3 : end] == [job, "jobs", "the queue"]


def test_what_is_kept_is_for_its_owner_only(tmp_path):
    tmp_path.chmod(0o755)
    for place in (tmp_path, tmp_path / "made"):
        with inside(place) as client:
            accepted(post(client))
            paths = [path for path in place.iterdir() if path.name not in ("made", "lock")]
            assert len(paths) >= 3
            for path in paths:
                assert path.stat().st_mode & 0o077 == 0, path.name
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


# --- the command -------------------------------------------------------------------------------


def settings_of(*flags):
    from impasto.cli.commands.serve_command import build_parser, build_settings

    return build_settings(build_parser().parse_args(list(flags)))


def test_by_default_only_this_machine_is_served_and_needs_no_token():
    settings = settings_of()
    assert settings.token is None
    assert set(settings.hosts) == {"localhost", "127.0.0.1", "::1"}


def test_a_server_for_others_has_a_token_even_if_none_was_given():
    first, second = settings_of("--host", "0.0.0.0"), settings_of("--host", "192.168.1.5")
    assert len(first.token) >= 24
    assert first.token != second.token
    assert socket.gethostname().lower() in first.hosts
    assert settings_of("--host", "0.0.0.0", "--token", TOKEN).token == TOKEN


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--token", "short"], "--token: expected at least 8"),
        (["--token", "wörterbuch"], "--token: expected at least 8"),
        (["--token-file", "/nowhere"], "/nowhere: cannot be read (No such file"),
        (["--token-file", "/dev/null"], "/dev/null: expected at least 8"),
        (["--token-file", "/dev/null", "--token", TOKEN], "--token-file cannot be combined"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid port"),
        (["--data", "/proc/nothing"], "cannot be used as data folder"),
        (["--data", __file__], "is a file; expected a folder for --data"),
        (["--data", f"{__file__}/below"], "is a file; expected a folder for --data"),
    ],
)
def test_a_server_that_cannot_start_says_why(flags, says, capsys):
    from impasto.cli import main

    code = main(["serve", "--no-open", "--port", "0", *flags])
    assert code == (4 if flags[1] in ("/proc/nothing", "no.such.host.invalid") else 2)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("impasto: error: ")
    assert says in line


def test_a_port_that_is_taken_is_told(capsys):
    from impasto.cli import main

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        assert main(["serve", "--no-open", "--port", port]) == 4
    message = f"127.0.0.1 port {port}: cannot be used (Address already in use); --port 0 chooses a"
    assert message in capsys.readouterr().err


def test_the_log_is_lines_of_json():
    import logging

    from impasto.studio import log_lines

    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "path": "/a\nb"})
    line = log_lines.LogFormatter("json").format(record)
    entry = json.loads(line)
    assert (entry["event"], entry["path"], entry["level"]) == ("request", "/a\nb", "INFO")
    assert "\n" not in log_lines.LogFormatter("text").format(record)
    assert io.StringIO(line).readlines() == [line]


@pytest.mark.parametrize("address", ["/", "/docs", "/static/mark.svg", "/v1/jobs"])
def test_head_is_get_without_a_body(client, address):
    whole, head = client.get(address), client.head(address)
    assert head.status_code == whole.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-security-policy"):
        assert head.headers[name] == whole.headers[name]
    refused(client.get("/v1/jobs/1"), "bad_parameter")
    assert client.head("/v1/jobs/1").status_code == 422


def test_head_of_pictures_and_events_ends_at_once(client, monkeypatch):
    monkeypatch.setattr(studio_of(client), "streams", threading.BoundedSemaphore(1))
    job = accepted(post(client))
    photo = client.get(job["links"]["photo"])
    head = client.head(job["links"]["photo"])
    assert head.headers["content-length"] == str(len(photo.content))
    assert head.content == b""
    for _ in range(3):  # of a job that waits for ever; each gives its place back
        assert client.head(job["links"]["events"]).status_code == 200
    client.delete(f"/v1/jobs/{job['id']}")
