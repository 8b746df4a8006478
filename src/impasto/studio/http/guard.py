"""What every request passes: who may ask, how much may be sent, what every answer carries.

The checks follow from what a web page of somebody else's can make a browser do: ask a server on the
same machine, under a name of its own (DNS rebinding), with any simple method, and show pictures.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.studio.problems import MEDIA_TYPE, Problem, problem_of
from impasto.studio.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = re.compile(r"/|/favicon\.ico|/static/.*|/docs|/openapi\.json|/healthz")
"""What holds no secrets and needs no token."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=(), microphone=()",
}
log = logging.getLogger("impasto.studio")
Seen = Callable[[Scope, int, float], None]


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings, seen: Seen) -> None:
        """``seen`` is told the scope, the status and the seconds of each request."""
        self._app = app
        self._settings = settings
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, started = time.monotonic(), 500, False
        method, ended = scope["method"], False
        if method == "HEAD":  # as GET is answered, but for the body
            scope = {**scope, "method": "GET"}

        async def sent(message: Message) -> None:
            nonlocal status, started, ended
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            elif method == "HEAD":
                if ended:
                    raise ClientDisconnect
                message, ended = {"type": message["type"]}, True
            await send(message)

        try:
            try:
                self._check(scope)
                await self._app(scope, self._counted(receive), sent)
            except ClientDisconnect:
                status = status if started else 400  # that nobody sees
            except Exception as error:
                problem = problem_of(error)
                if problem.code == "internal":
                    log.exception("request failed", extra={"path": scope["path"]})
                if started:
                    raise
                await _refuse(problem, sent)
        finally:
            self._seen({**scope, "method": method}, status, time.monotonic() - began)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            raise Problem(
                "foreign_host", "start `impasto serve` with this name among its allowed hosts"
            )
        if scope["path"].startswith("/v1/") or scope["method"] not in SAFE:
            _check_origin(headers, host)
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,15}", length) or int(length) > self._settings.max_upload:
            raise self._too_large()
        if self._settings.token and not OPEN.fullmatch(scope["path"]):
            kind, _, given = headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode(), self._settings.token.encode())
            if kind.lower() != "bearer" or not right:
                raise Problem(
                    "no_token",
                    "send Authorization: Bearer TOKEN; `impasto serve` prints it",
                    {"www-authenticate": 'Bearer realm="impasto"'},
                )

    def _knows(self, host: str) -> bool:
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@/]+)(:\d{1,5})?", host)
        if not found:
            return False
        name = found[1].strip("[]").rstrip(".").lower()
        if name in self._settings.hosts:
            return True
        # An address in digits cannot be made to point elsewhere.
        return "*" in self._settings.hosts and _is_address(name)

    def _counted(self, receive: Receive) -> Receive:
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._settings.max_upload:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Problem:
        limit = self._settings.max_upload / 2**20
        return Problem("too_large", f"a request may have {limit:g} MiB", {"connection": "close"})


def _check_origin(headers: Headers, host: str) -> None:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise Problem("foreign_origin", "only the studio's own page may ask from a browser")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem("foreign_origin", "only the studio's own page may ask from a browser")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(problem: Problem, send: Send) -> None:
    body = json.dumps(problem.body()).encode()
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
