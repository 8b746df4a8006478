"""Serve jobs. A route's ``name`` is part of its OpenAPI ``operationId`` and stays."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from impasto.studio.http.message import JobId
from impasto.studio.http.request.request_body import JobSubmission, receive_job
from impasto.studio.http.routes.event_stream import EventResponse, follow_job
from impasto.studio.http.routes.routing import TheId, TheStudio, describe_problems
from impasto.studio.http.schema import JobMessage, JobPage
from impasto.studio.problems import Problem
from impasto.studio.queue.job_queue import NewJob
from impasto.studio.queue.job_rows import ENDED, JobRow
from impasto.studio.settings import MAX_PICTURES
from impasto.studio.studio import Studio

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
log = logging.getLogger("impasto.studio")
Key = Annotated[str | None, Header(min_length=1, max_length=200)]

_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "maxItems": MAX_PICTURES, "items": _FILE}
_NAMES = {"type": "array", "maxItems": MAX_PICTURES, "items": {"type": "string"}}
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
                        "style_words": _NAMES,
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
_CREATE_PROBLEMS = (
    "bad_request",
    "not_found",
    "no_result",
    "slow_upload",
    "too_large",
    "over_limit",
    "not_a_picture",
    "not_a_clip",
    "wrong_type",
    "bad_recipe",
    "bad_input",
    "bad_parameter",
    "path_refused",
    "no_mask_network",
    "too_many_conversions",
    "key_reused",
    "queue_full",
    "too_many_uploads",
    "no_resources",
)


@router.post(
    "",
    name="create",
    status_code=201,
    response_model=JobMessage,
    openapi_extra=BODY,
    responses={
        200: {"model": JobMessage, "description": "The earlier job with this idempotency key"},
        **describe_problems(*_CREATE_PROBLEMS),
    },
)
async def create_job(
    request: Request, response: Response, studio: TheStudio, idempotency_key: Key = None
) -> JobMessage:
    """Put a job into the queue."""
    await run_in_threadpool(_check_room, studio, idempotency_key)
    with studio.reserve_upload():
        async with receive_job(request) as submission:
            row, is_new = await run_in_threadpool(_add_job, studio, submission, idempotency_key)
    response.status_code = 201 if is_new else 200
    response.headers["location"] = f"/v1/jobs/{row.id}"
    return await run_in_threadpool(studio.describe, row)


def _check_room(studio: Studio, key: str | None) -> None:
    """Refuse at once what would be refused after the upload."""
    if key is not None and studio.queue.has_key(key):
        return
    waiting = studio.queue.count_waiting()
    if waiting >= studio.settings.max_queue:
        raise Problem("queue_full", f"{waiting} jobs are waiting already")


def _add_job(studio: Studio, submission: JobSubmission, key: str | None) -> tuple[JobRow, bool]:
    """Stage a request and add its job, and tell whether the job is new."""
    with studio.folder.stage() as (job, place):
        spec, digest = studio.intake.stage(submission, place)
        is_new = False
        studio.folder.accept(job)
        try:
            request = submission.job
            row, is_new = studio.queue.add(
                NewJob(
                    id=job,
                    spec=spec,
                    draft=request.draft,
                    title=request.title,
                    key=key,
                    digest=digest,
                ),
                max_queue=studio.settings.max_queue,
            )
        finally:
            if not is_new:
                studio.folder.delete(job)
    studio.write_record(row.id)
    width, height = spec.sizes[0]
    log.info(
        "accepted",
        extra={
            "job": row.id,
            "new": is_new,
            "photo": f"{width}x{height}",
            "styles": spec.styles,
            "sha256": digest,
        },
    )
    return row, is_new


@router.get("", name="listed", responses=describe_problems("not_found", "bad_parameter"))
def list_jobs(
    studio: TheStudio,
    before: JobId | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
) -> JobPage:
    """List the jobs, the newest first."""
    rows = studio.queue.list_newest(before, limit + 1)
    jobs = [studio.describe(row) for row in rows[:limit]]
    return JobPage(jobs=jobs, next=jobs[-1].id if len(rows) > limit else None)


@router.get("/{id}", name="one", responses=describe_problems("not_found", "bad_parameter"))
def get_job(studio: TheStudio, job: TheId) -> JobMessage:
    """Return a job."""
    return studio.describe(studio.queue.get(job))


@router.delete(
    "/{id}",
    name="remove",
    status_code=204,
    responses=describe_problems("not_found", "bad_parameter"),
)
def remove_job(studio: TheStudio, job: TheId, forget: bool = False) -> Response:
    """Cancel a job that waits or runs, or delete a job that has ended, with its files.

    With `forget`, delete it in any state, and also from the trash if it has expired.
    """
    if forget and studio.folder.reserve.run(lambda: studio.folder.erase_trash_of(job)):
        return Response(status_code=204)
    row = studio.queue.get(job)
    if row.state not in ENDED and not forget:
        studio.folder.reserve.run(lambda: studio.queue.ask(job, "cancel"))
    else:
        studio.folder.reserve.run(lambda: studio.delete(job, in_any_state=forget))
    return Response(status_code=204)


@router.post(
    "/{id}/stop",
    name="stop",
    responses=describe_problems("not_found", "bad_parameter", "wrong_state"),
)
def stop_job(studio: TheStudio, job: TheId) -> JobMessage:
    """End a job at its next step; the picture so far becomes the result."""
    return studio.describe(studio.folder.reserve.run(lambda: studio.queue.ask(job, "stop")))


@router.post(
    "/{id}/resume",
    name="resume",
    responses=describe_problems("not_found", "bad_parameter", "wrong_state", "queue_full"),
)
def resume_job(studio: TheStudio, job: TheId) -> JobMessage:
    """Continue a job that was stopped, cancelled or failed from where it was."""
    return studio.describe(studio.queue.resume(job, studio.settings.max_queue))


@router.get(
    "/{id}/events",
    name="events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "There are no more events: `Last-Event-ID` is the last one"},
        **describe_problems("not_found", "bad_parameter", "too_many_streams"),
    },
)
def follow_events(
    studio: TheStudio,
    job: TheId,
    last_event_id: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """Follow a job: `job` at each change of state, `step`, and `preview`, until the job ends."""
    row = studio.queue.get(job)
    if row.state in ENDED and last_event_id == str(row.version):
        return Response(status_code=204)
    if not studio.streams.acquire(blocking=False):
        raise Problem(
            "too_many_streams",
            "too many clients are following jobs; close a page and retry in 10 seconds",
            {"retry-after": "10"},
        )
    lines = follow_job(lambda: studio.read_job(job), studio.ending.is_set)
    return EventResponse(lines, studio.streams.release)
