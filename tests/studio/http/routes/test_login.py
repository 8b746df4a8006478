"""How a browser gets the token, and who else can see it: nobody."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from impasto.studio.page import browser_opening
from impasto.studio.page.browser_opening import CodeExchange, open_page
from studios import accepted, inside, post, refused, studio_of

TOKEN = "correct-horse-battery"
QUIET = """
import ctypes, os, pathlib, sys
from impasto.cli import main
from impasto.studio.workers.supervisor import Supervisor
def look(self):
    value = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
    pathlib.Path(os.environ["DUMPABLE"]).write_text(str(value))
Supervisor._check_workers = look
sys.exit(main(sys.argv[1:]))
"""
"""A server without workers, which take long to start; it writes down whether it is dumpable."""


def exchange(client, code: str):
    return client.post("/v1/exchange", json={"code": code})


def test_a_code_works_once_and_not_for_long(tmp_path, monkeypatch):
    with inside(tmp_path, token=TOKEN) as client:
        codes = studio_of(client).exchange
        refused(exchange(client, ""), "no_token")
        code = codes.issue()
        refused(exchange(client, "x" * len(code)), "no_token")
        refused(exchange(client, "\xe9"), "no_token")
        answer = exchange(client, code)
        assert answer.json() == {"token": TOKEN}
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        refused(exchange(client, code), "no_token")
        first, second = codes.issue(), codes.issue()
        refused(exchange(client, first), "no_token")
        foreign = {"origin": "http://evil.com"}
        answer = client.post("/v1/exchange", json={"code": second}, headers=foreign)
        refused(answer, "foreign_origin")
        assert exchange(client, second).status_code == 200
        monkeypatch.setattr(browser_opening, "CODE_S", 0.0)
        refused(exchange(client, codes.issue()), "no_token")
        refused(exchange(client, "x" * 101), "bad_parameter")


def test_without_a_token_there_is_nothing_to_exchange(tmp_path):
    with inside(tmp_path) as client:
        refused(exchange(client, studio_of(client).exchange.issue()), "no_token")
        accepted(post(client))


def test_a_browser_is_given_a_file_that_only_its_owner_can_read(tmp_path, monkeypatch):
    codes, opened = CodeExchange(), []

    def open_address(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        opened.append((address, path.read_text(), stat.S_IMODE(path.stat().st_mode)))
        return True

    monkeypatch.setattr(browser_opening.webbrowser, "open", open_address)
    monkeypatch.setattr(browser_opening.time, "sleep", lambda seconds: None)
    open_page("http://localhost:8484/", codes, tmp_path)
    ((address, text, mode),) = opened
    code = re.search(r"url=http://localhost:8484/#code=([\w-]{43})\"", text)[1]
    assert code not in address
    assert (mode, list(tmp_path.iterdir())) == (0o600, [])
    assert codes.redeem(code)


def test_without_a_token_the_address_itself_is_opened(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(browser_opening.webbrowser, "open", opened.append)
    open_page("http://localhost:8484/", None, tmp_path)
    assert opened == ["http://localhost:8484/"]


def start(tmp_path: Path, *flags: str, **environment: str) -> subprocess.Popen[str]:
    """Start a server, whose browser writes down what it was given."""
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/given.new\nenv >> {tmp_path}/given.new\n'
        f"cp {tmp_path}/data/.impasto-open-*.html {tmp_path}/page\n"
        f"mv {tmp_path}/given.new {tmp_path}/given\n"
    )
    browser.chmod(0o700)
    command = [sys.executable, "-c", QUIET, "serve", "--port", "0", "--data"]
    command += [str(tmp_path / "data"), "--log", "json", *flags]
    variables = (
        os.environ | {"BROWSER": f"{browser} %s", "DUMPABLE": f"{tmp_path}/dumpable"} | environment
    )
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)


def stop(server: subprocess.Popen[str]) -> str:
    server.terminate()
    return server.communicate(timeout=60)[1]


def list_secrets_of_processes(parent: int) -> str:
    """The arguments and the first environments of a process and its children."""
    text = ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            if process.name == str(parent) or f"PPid:\t{parent}\n" in status:
                text += (process / "cmdline").read_text()
            if f"PPid:\t{parent}\n" in status:
                text += (process / "environ").read_text()
        except OSError:
            continue
    return text


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_nobody_else_sees_the_token(tmp_path, how):
    flags = ("--token", TOKEN) if how == "flag" else ()
    environment = {} if how == "flag" else {"IMPASTO_TOKEN": TOKEN}
    server = start(tmp_path, *flags, **environment)
    try:
        lines = [server.stderr.readline() for _ in range(3)]
        until = time.monotonic() + 60
        while not (tmp_path / "given").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert TOKEN not in list_secrets_of_processes(server.pid)
        assert (tmp_path / "dumpable").read_text() == "0"
        address = re.search(r"the studio is at (http://\S+/);", "".join(lines))[1]
        (code,) = set(re.findall(r"#code=([\w-]+)", (tmp_path / "page").read_text()))
        body = f'{{"code": "{code}"}}'.encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}v1/exchange", body, headers)
        with urllib.request.urlopen(request) as answer:
            assert TOKEN in answer.read().decode()
    finally:
        rest = stop(server)
    opened = (tmp_path / "given").read_text()
    assert opened.startswith("file:///")
    for text in (*lines, rest, opened):
        assert TOKEN not in text
        assert code not in text
    assert "log in with the token" in lines[2]
    assert not list((tmp_path / "data").glob(".impasto-[ot]*"))


def test_a_token_that_the_server_made_is_in_a_file(tmp_path):
    server = start(tmp_path, "--host", "0.0.0.0", "--no-open")
    try:
        lines = [server.stderr.readline() for _ in range(3)]
        path = tmp_path / "data" / ".impasto-token"
        assert f"log in with the token in {path}" in lines[2]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = path.read_text().strip()
        assert len(token) >= 24
        while "started" not in server.stderr.readline():
            pass
        time.sleep(0.2)  # the signals are handled from then on
    finally:
        rest = stop(server)
    assert token not in "".join(lines) + rest
    assert not path.exists()


def test_a_token_comes_from_a_file(tmp_path):
    from impasto.cli.commands.serve_command import build_parser, build_settings

    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    options = build_parser().parse_args(["--token-file", str(path)])
    assert build_settings(options).token == TOKEN
