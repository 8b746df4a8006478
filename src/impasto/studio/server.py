"""Run the server's process: uvicorn around the application, which signals end cleanly."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from impasto.errors import ImpastoError
from impasto.studio.decoding.linux_calls import set_not_dumpable
from impasto.studio.http.app import create_app
from impasto.studio.http.connections import ImpatientProtocol
from impasto.studio.log_lines import start_logging
from impasto.studio.page.browser_opening import open_page, remove_openers
from impasto.studio.studio import Studio

CONNECTIONS = 256
GOODBYE_S = 5
"""Seconds for running answers when the server ends."""

log = logging.getLogger("impasto.studio")


class StudioServer(uvicorn.Server):
    """Releases clients that follow jobs before it ends; they would keep it from ending."""

    def __init__(self, studio: Studio, page: str | None = None) -> None:
        """Prepare to serve.

        Args:
            studio: what is served.
            page: address to open in a browser. None: no browser is opened.
        """
        config = uvicorn.Config(
            create_app(studio),
            http=cast(Any, partial(ImpatientProtocol, book=studio.connections)),
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
        if self.started:
            threading.Thread(target=_report_sandbox, args=(self._studio,), daemon=True).start()
        if self.started and self._page is not None:
            exchange = None if self._studio.settings.token is None else self._studio.exchange
            arguments = (self._page, exchange, self._studio.folder.path)
            # In a thread, because some browsers block the one that opens them.
            threading.Thread(target=open_page, args=arguments, daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Uvicorn raises the signal again at the end, but a clean end is no failure.
        self._studio.ending.set()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _report_sandbox(studio: Studio) -> None:
    """Log which restrictions of the processes that decode are in force, and which are not."""
    try:
        confinement = studio.decoder.examine()
    except (ImpastoError, OSError) as error:  # the next upload reports it to its client
        log.warning("sandbox", extra={"reason": str(error)})
        return
    level = logging.WARNING if confinement.missing else logging.INFO
    missing = ", ".join(confinement.missing) or None
    log.log(
        level, "sandbox", extra={"in_force": ", ".join(confinement.in_force), "missing": missing}
    )


def serve(studio: Studio, listener: socket.socket, page: str | None) -> None:
    """Serve until a signal ends it.

    Args:
        studio: what is served.
        listener: the socket.
        page: address to open in a browser. None: no browser is opened.
    """
    set_not_dumpable()
    start_logging(studio.log_format)
    try:
        studio.start()  # here, where what is wrong with the data folder is reported in a line
        StudioServer(studio, page).run(sockets=[listener])
    finally:
        remove_openers(studio.folder.path)
