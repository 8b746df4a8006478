"""Bound connections: how long each may do nothing, and how many an address may have."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""Seconds for the head of a request, from the start of the connection or from the last answer."""
SEND_S = 20.0
"""Seconds in which a client has to take a part of an answer."""
STRANGERS = 32
"""Connections of one address without an accepted request. A browser opens six. One more closes the
oldest of them, so that slow clients do not lock out others at their address."""
PIECES, PIECE_BYTES = 2000, 64
"""A body of more pieces than this must have as many bytes a piece on average."""
Client = tuple[str, int]


class ConnectionBook:
    """Counts the connections of each address that have not sent an accepted request yet."""

    def __init__(self) -> None:
        self._strangers: dict[str, dict[Client, Callable[[], None]]] = {}

    def add(self, client: Client, close: Callable[[], None]) -> None:
        """Note a new connection, and close the oldest of its address if it has too many.

        Args:
            client: address and port.
            close: closes the connection.
        """
        strangers = self._strangers.setdefault(_get_network(client[0]), {})
        if len(strangers) >= STRANGERS:
            strangers.pop(next(iter(strangers)))()
        strangers[client] = close

    def trust(self, client: Client) -> None:
        """Stop counting a connection: its request was accepted, or it has ended."""
        network = _get_network(client[0])
        strangers = self._strangers.get(network, {})
        strangers.pop(client, None)
        if not strangers:
            self._strangers.pop(network, None)


def _get_network(address: str) -> str:
    """Return an IPv4 address, or the part of an IPv6 address that a client cannot choose."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed), 64), strict=False))


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections of clients that send or read nothing for too long."""

    _deadline: asyncio.TimerHandle | None = None
    _send_deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, book: ConnectionBook, **fields: Any) -> None:
        """Prepare.

        Args:
            arguments, fields: as for the base class.
            book: counts the connections.
        """
        super().__init__(*arguments, **fields)
        self.conn = _CoarseConnection(h11.SERVER, self.conn._max_incomplete_event_size)
        self._book = book

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_deadline()
        if self.client is not None:
            self._book.add(self.client, transport.abort)

    def on_response_complete(self) -> None:
        self._start_deadline()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_deadline = self.loop.call_later(SEND_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_send_deadline()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._stop_send_deadline()
        if self.client is not None:
            self._book.trust(self.client)
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(HEAD_S, self._close_if_idle)

    def _stop_send_deadline(self) -> None:
        if self._send_deadline is not None:
            self._send_deadline.cancel()
            self._send_deadline = None

    def _close_if_idle(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            return
        if self.transport.get_write_buffer_size():  # to close it would wait for the client
            self.transport.abort()
        else:
            self.transport.close()


class _CoarseConnection(h11.Connection):
    """Refuses bodies in many tiny pieces, each of which takes the server's time."""

    _pieces = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > PIECES and self._bytes < self._pieces * PIECE_BYTES:
                raise h11.RemoteProtocolError("the body comes in too many small pieces")
        return event
