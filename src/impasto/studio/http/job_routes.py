"""The routes of jobs."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from impasto.studio.http.events import followed
from impasto.studio.http.forms import Asked, received
from impasto.studio.http.routes import TheId, TheStudio, problems
from impasto.studio.http.schema import Job, JobId, JobPage
from impasto.studio.http.views import preview_view
from impasto.studio.problems import Problem
from impasto.studio.queue.rows import ENDED, Row
from impasto.studio.settings import MOST_PICTURES
from impasto.studio.studio import Studio

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
log = logging.getLogger("impasto.studio")
Key = Annotated[str | None, Header(min_length=1, max_length=200)]

_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "maxItems": MOST_PICTURES, "items": _FILE}
_NAMES = {"type": "array", "maxItems": MOST_PICTURES, "items": {"type": "string"}}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "photo": _FILE,
                        "clip": _FILE,
                        "style": _FILES,
                        "style_name": _NAMES,
                        "mask": _FILES,
                        "mask_word": _NAMES,
                        "style_mask": _FILES,
                        "init": _FILE,
                        "job": {"type": "string", "description": "a JobRequest as JSON"},
                    },
                    "additionalProperties": False,
                }
            },
            "application/json": {"schema": {"$ref": "#/components/schemas/JobRequest"}},
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=Job,
    openapi_extra=BODY,
    responses={
        200: {"model": Job, "description": "The job that came with this key before"},
        **problems(
            *("bad_request", "not_found", "no_result", "slow_upload", "too_large", "over_limit"),
            *("not_a_picture", "not_a_clip", "wrong_type", "bad_recipe", "bad_input"),
            *("bad_parameter", "path_refused", "no_mask_network", "key_reused", "queue_full"),
            *("too_many_uploads", "no_resources"),
        ),
    },
)
async def create(
    request: Request, response: Response, studio: TheStudio, idempotency_key: Key = None
) -> Job:
    """Put a job into the queue."""
    await run_in_threadpool(_check_room, studio, idempotency_key)
    with studio.uploading():
        async with received(request) as asked:
            row, new = await run_in_threadpool(_added, studio, asked, idempotency_key)
    response.status_code = 201 if new else 200
    response.headers["location"] = f"/v1/jobs/{row.id}"
    return await run_in_threadpool(studio.view, row)


def _check_room(studio: Studio, key: str | None) -> None:
    """Refuse at once, before the upload, what would be refused afterwards."""
    if key is not None and studio.queue.has_key(key):
        return
    waiting = studio.queue.waiting()
    if waiting >= studio.settings.max_queue:
        raise Problem("queue_full", f"{waiting} jobs are waiting already")


def _added(studio: Studio, asked: Asked, key: str | None) -> tuple[Row, bool]:
    with studio.folder.new() as (job, place):
        spec, body = studio.intake.stage(asked, place)
        new = False
        studio.folder.keep(job)
        try:
            row, new = studio.queue.add(
                job,
                spec,
                draft=asked.job.draft,
                title=asked.job.title,
                key=key,
                body=body,
                max_queue=studio.settings.max_queue,
            )
        finally:
            if not new:
                studio.folder.delete(job)
    studio.write_record(row.id)
    width, height = spec.sizes[0]
    told = {"job": row.id, "new": new, "photo": f"{width}x{height}", "styles": spec.styles}
    log.info("accepted", extra=told | {"sha256": body})
    return row, new


@router.get("", responses=problems("not_found", "bad_parameter"))
def listed(
    studio: TheStudio,
    before: JobId | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> JobPage:
    """Jobs, the newest first."""
    rows = studio.queue.page(before, limit + 1)
    more = len(rows) > limit
    views = [studio.view(row) for row in rows[:limit]]
    return JobPage(jobs=views, next=views[-1].id if more else None)


@router.get("/{id}", responses=problems("not_found", "bad_parameter"))
def one(studio: TheStudio, job: TheId) -> Job:
    """A job."""
    return studio.view(studio.queue.get(job))


@router.delete("/{id}", status_code=204, responses=problems("not_found", "bad_parameter"))
def remove(studio: TheStudio, job: TheId, forget: bool = False) -> Response:
    """Cancel a job that waits or runs; remove one that has ended, with its files.

    With `forget`, remove it whatever its state.
    """
    row = studio.queue.get(job)
    if row.state not in ENDED and not forget:
        studio.queue.ask(job, "cancel")
    else:
        studio.delete(job, whatever=forget)
    return Response(status_code=204)


@router.post("/{id}/stop", responses=problems("not_found", "bad_parameter", "wrong_state"))
def stop(studio: TheStudio, job: TheId) -> Job:
    """End a job at its next step; the picture so far is the result."""
    return studio.view(studio.queue.ask(job, "stop"))


@router.post(
    "/{id}/resume", responses=problems("not_found", "bad_parameter", "wrong_state", "queue_full")
)
def resume(studio: TheStudio, job: TheId) -> Job:
    """Go on with a job that was stopped, cancelled or failed, from where it was."""
    return studio.view(studio.queue.resume(job, studio.settings.max_queue))


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "The end has been told: `Last-Event-ID` is the last there will be"},
        **problems("not_found", "bad_parameter", "too_many_streams"),
    },
)
def events(
    studio: TheStudio,
    job: TheId,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Follow a job: `job` at each change of state, `step`, `preview`; ends when the job has."""
    row = studio.queue.get(job)
    if row.state in ENDED and last_event_id == str(row.version):
        return Response(status_code=204)
    if not studio.streams.acquire(blocking=False):
        raise Problem("too_many_streams", "close one of the pages", {"retry-after": "10"})
    lines = followed(lambda: studio.told(job), preview_view, studio.ending.is_set)
    return _Stream(lines, studio)


class _Stream(StreamingResponse):
    """Gives its place back, however it ends."""

    def __init__(self, lines: Any, studio: Studio) -> None:
        super().__init__(lines, media_type="text/event-stream")
        self.headers["x-accel-buffering"] = "no"
        self._studio = studio

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._studio.streams.release()
