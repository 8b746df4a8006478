"""The server's process: uvicorn around the application, ended cleanly by a signal."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from types import FrameType

import uvicorn

from impasto.studio import logs
from impasto.studio.http.app import create_app
from impasto.studio.http.connections import Impatient
from impasto.studio.studio import Studio

CONNECTIONS = 256
GOODBYE_S = 5
"""For answers under way when the server ends."""


class Server(uvicorn.Server):
    """Has those who follow jobs let go first, for they would keep it from ending."""

    def __init__(self, studio: Studio, page: str | None = None) -> None:
        """Note what is served, and the address to show in a browser, if any."""
        config = uvicorn.Config(
            create_app(studio),
            http=Impatient,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GOODBYE_S,
        )
        super().__init__(config)
        self._studio = studio
        self._page = page

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._page is not None:
            # A thread, for some browsers keep the one that starts them.
            threading.Thread(target=webbrowser.open, args=(self._page,), daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Not uvicorn's own, which raises the signal anew at the end: a clean end is no failure.
        self._studio.ending.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(studio: Studio, listening: socket.socket, page: str | None) -> None:
    """Serve until told to end.

    Args:
        studio: what is served.
        listening: the socket.
        page: address to show in a browser; none: in none.
    """
    logs.begin(studio.log_format)
    Server(studio, page).run(sockets=[listening])
