"""Open the page in a browser that is already logged in, without showing anybody the token.

The arguments of a browser can be read by every user of the machine. So it is given the name of a
file that only its owner can read, which leads to the page with a code, and the page exchanges the
code for the token. A code works once, and not for long.
"""

from __future__ import annotations

import contextlib
import hmac
import html
import os
import secrets
import threading
import time
import webbrowser
from pathlib import Path

from impasto.errors import ResourceError

CODE_S = 120.0
"""Seconds in which a code works."""


class CodeExchange:
    """The latest code."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._code = ""
        self._end = 0.0

    def issue(self) -> str:
        """Return a new code; an earlier one stops working."""
        with self._lock:
            self._code, self._end = secrets.token_urlsafe(32), time.monotonic() + CODE_S
            return self._code

    def redeem(self, code: str) -> bool:
        """Use a code up, and tell whether it was valid."""
        with self._lock:
            is_valid = bool(self._code) and time.monotonic() < self._end
            if not is_valid or not hmac.compare_digest(code.encode(), self._code.encode()):
                return False
            self._code = ""
            return True


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an earlier one of this name is removed.

    Raises:
        ResourceError: it cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ResourceError(f"cannot be written ({error.strerror})", where=path) from None


def open_page(address: str, exchange: CodeExchange | None, folder: Path) -> None:
    """Open the page, and wait until the browser has had time to read what it was given.

    Args:
        address: address of the page.
        exchange: issues the code. None: no token is needed.
        folder: where the file for the browser is written.
    """
    if exchange is None:
        webbrowser.open(address)
        return
    path = folder / f".impasto-open-{secrets.token_hex(8)}.html"
    target = html.escape(f"{address}#code={exchange.issue()}", quote=True)
    try:
        write_secret(
            path,
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0;url={target}"><title>impasto studio</title>'
            f'<a href="{target}">Open the studio</a>\n',
        )
        webbrowser.open(path.resolve().as_uri())
        time.sleep(CODE_S)
    except ResourceError:  # the page asks for the token
        webbrowser.open(address)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_openers(folder: Path) -> None:
    """Remove the files for browsers that a server has left."""
    for path in folder.glob(".impasto-open-*.html"):
        with contextlib.suppress(OSError):
            path.unlink()
