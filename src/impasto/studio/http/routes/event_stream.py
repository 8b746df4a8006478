"""Send a job's events to a client, from its latest state to its end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from impasto.studio.http.routes.job_views import describe_preview
from impasto.studio.problems import Problem
from impasto.studio.queue.job_rows import ENDED, JobRow

LOOK_S = 0.15
QUIET_S = 15.0
"""Seconds of silence after which a comment keeps the connection open."""

ReadJob = Callable[[], tuple[JobRow, dict[str, Any]]]


async def follow_job(read: ReadJob, is_ending: Callable[[], bool]) -> AsyncIterator[str]:
    """Yield the text of the stream.

    Args:
        read: returns the job, and what clients see of it.
        is_ending: tells whether the server is about to end.
    """
    last_version = last_preview = -1
    last_state: tuple[Any, ...] = ()
    last_text = time.monotonic()
    yield "retry: 1000\n\n"
    while not is_ending():
        try:
            row, job = await run_in_threadpool(read)
        except Problem:  # the job was removed
            return
        lines = []
        if row.version != last_version and row.progress is not None and row.state == "running":
            lines.append(_format_event("step", row.version, row.progress))
        if row.preview is not None and row.preview != last_preview and row.state != "queued":
            last_preview = row.preview
            lines.append(_format_event("preview", row.version, describe_preview(row)))
        if (row.state, job["position"]) != last_state:
            last_state = (row.state, job["position"])
            # A final state comes last, because clients stop listening then.
            place = len(lines) if row.state in ENDED else 0
            lines.insert(place, _format_event("job", row.version, job))
        last_version = row.version
        if lines:
            last_text = time.monotonic()
            yield "".join(lines)
        elif time.monotonic() > last_text + QUIET_S:
            last_text = time.monotonic()
            yield ": still here\n\n"
        if row.state in ENDED:
            return
        await asyncio.sleep(LOOK_S)


def _format_event(name: str, version: int, data: dict[str, Any]) -> str:
    return f"id: {version}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


class EventResponse(StreamingResponse):
    """A stream of events that releases its place among the streams, however it ends."""

    def __init__(self, lines: AsyncIterator[str], release: Callable[[], None]) -> None:
        super().__init__(lines, media_type="text/event-stream")
        self.headers["x-accel-buffering"] = "no"
        self._release = release

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
