"""A job followed: server-sent events, from its latest state to its end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool

from impasto.studio.problems import Problem
from impasto.studio.queue.rows import ENDED, Row

LOOK_S = 0.15
QUIET_S = 15.0
"""Until a comment keeps the line open."""

Read = Callable[[], tuple[Row, dict[str, Any]]]


async def followed(
    read: Read, preview: Callable[[Row], dict[str, Any]], ended: Callable[[], bool]
) -> AsyncIterator[str]:
    """The text of the stream.

    Args:
        read: the job, and what is told of it.
        preview: what is told of its picture so far.
        ended: whether the server is about to end.
    """
    version = shown = -1
    state: tuple[Any, ...] = ()
    spoke = time.monotonic()
    yield "retry: 1000\n\n"
    while not ended():
        try:
            row, job = await run_in_threadpool(read)
        except Problem:  # removed
            return
        now = (row.state, job["position"])
        lines = []
        if row.version != version and row.progress is not None and row.state == "running":
            lines.append(_event("step", row.version, row.progress))
        if row.preview is not None and row.preview != shown and row.state not in ("queued",):
            shown = row.preview
            lines.append(_event("preview", row.version, preview(row)))
        if now != state:
            state = now
            # Last where it is final, for a client that stops listening then.
            place = len(lines) if row.state in ENDED else 0
            lines.insert(place, _event("job", row.version, job))
        version = row.version
        if lines:
            spoke = time.monotonic()
            yield "".join(lines)
        elif time.monotonic() > spoke + QUIET_S:
            spoke = time.monotonic()
            yield ": still here\n\n"
        if row.state in ENDED:
            return
        await asyncio.sleep(LOOK_S)


def _event(name: str, version: int, data: dict[str, Any]) -> str:
    return f"id: {version}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
