"""Check every request: who may ask, how much may be sent; and set the headers of answers.

The checks follow from what a foreign web page can make a browser do: it can send simple requests to
a server on the same machine, under a host name of its own (DNS rebinding), and embed its pictures.
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

from impasto.studio.http.connections import ConnectionBook
from impasto.studio.problems import MEDIA_TYPE, Problem, make_problem
from impasto.studio.settings import StudioSettings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = re.compile(r"/|/favicon\.ico|/static/.*|/docs|/openapi\.json|/healthz|/v1/exchange")
"""Paths that need no token, because they hold no secrets, or check a secret of their own."""
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
LogRequest = Callable[[Scope, int, float], None]
"""Takes the scope, the status and the seconds of an answered request."""


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        settings: StudioSettings,
        connections: ConnectionBook,
        log_request: LogRequest,
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            settings: the server's settings.
            connections: the connections of clients that no request was accepted from.
            log_request: called after each answer.
        """
        self._connections = connections
        self._app = app
        self._settings = settings
        self._log_request = log_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, has_started = time.monotonic(), 500, False
        method, has_ended = scope["method"], False
        if method == "HEAD":  # answered like GET, without the body
            scope = {**scope, "method": "GET"}

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_started, has_ended
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            elif method == "HEAD":
                if has_ended:
                    raise ClientDisconnect
                message, has_ended = {"type": message["type"]}, True
            await send(message)

        try:
            try:
                self._check(scope)
                await self._app(scope, self._count_bytes(receive), send_with_headers)
            except ClientDisconnect:
                status = status if has_started else 400  # for the log
            except Exception as error:
                problem = make_problem(error, self._settings.data)
                if problem.code == "internal":
                    log.exception("request failed", extra={"path": scope["path"]})
                if has_started:
                    raise
                await _refuse(problem, send_with_headers)
        finally:
            self._log_request({**scope, "method": method}, status, time.monotonic() - start)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own_host(host):
            raise Problem(
                "foreign_host", "unknown host name; allow it when you start `impasto serve`"
            )
        if scope["path"].startswith("/v1/") or scope["method"] not in SAFE_METHODS:
            _check_origin(headers, host)
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,15}", length) or int(length) > self._settings.max_upload:
            raise self._make_too_large_problem()
        if OPEN_PATHS.fullmatch(scope["path"]):
            return
        if self._settings.token:
            _check_token(headers.get("authorization", ""), self._settings.token)
        if scope.get("client"):
            self._connections.trust(scope["client"])

    def _is_own_host(self, host: str) -> bool:
        match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]@/]+)(:\d{1,5})?", host)
        if not match:
            return False
        name = match[1].strip("[]").rstrip(".").lower()
        if name in self._settings.hosts:
            return True
        # A numeric address cannot be made to point elsewhere.
        return "*" in self._settings.hosts and _is_address(name)

    def _count_bytes(self, receive: Receive) -> Receive:
        count = 0

        async def receive_and_count() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self._settings.max_upload:
                raise self._make_too_large_problem()
            return message

        return receive_and_count

    def _make_too_large_problem(self) -> Problem:
        limit = self._settings.max_upload / 2**20
        detail = f"the request exceeds the limit of {limit:g} MiB"
        return Problem("too_large", detail, {"connection": "close"})


def _check_token(authorization: str, token: str) -> None:
    kind, _, value = authorization.partition(" ")
    is_bearer, value = kind.lower() == "bearer", value.strip()
    if is_bearer and hmac.compare_digest(value.encode(), token.encode()):
        return
    where, challenge = "`impasto serve` prints where it is", 'Bearer realm="impasto"'
    if not (is_bearer and value):
        detail = f"send Authorization: Bearer TOKEN; {where}"
        raise Problem("no_token", detail, {"www-authenticate": challenge})
    challenge += ', error="invalid_token"'
    raise Problem("no_token", f"the token is wrong; {where}", {"www-authenticate": challenge})


def _check_origin(headers: Headers, host: str) -> None:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        raise Problem(
            "foreign_origin", "in a browser, only the studio's own page may send requests"
        )
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(
            "foreign_origin", "in a browser, only the studio's own page may send requests"
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(problem: Problem, send: Send) -> None:
    body = json.dumps(problem.to_body()).encode()
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
