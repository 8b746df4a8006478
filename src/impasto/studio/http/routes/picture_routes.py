"""Serve a job's pictures. A route's ``name`` is part of its OpenAPI ``operationId``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from impasto.image.files.sniff import HEAD, sniff_format
from impasto.studio.http.routes.job_views import MEDIA_TYPES
from impasto.studio.http.routes.range_response import RangeResponse
from impasto.studio.http.routes.routing import Place, TheId, TheStudio, describe_problems
from impasto.studio.problems import Problem, refuse_field
from impasto.studio.queue import job_files
from impasto.studio.queue.job_rows import JobRow, has_result
from impasto.studio.studio import Studio

router = APIRouter(prefix="/v1/jobs/{id}", tags=["pictures"])
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_KINDS = ("image/png", "image/jpeg", "image/tiff")
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(_KINDS, _BYTES)},
    206: {"description": "The part that `Range` asks for"},
}
_RESULT = {
    **_PICTURE,
    200: {"content": dict.fromkeys((*_KINDS, *MEDIA_TYPES.values()), _BYTES)},
}
_COMMON = ("not_found", "no_result", "bad_parameter", "bad_range")
_ANSWERS = {**_PICTURE, **describe_problems(*_COMMON)}


def _send_picture(path: Path, name: str | None = None) -> FileResponse:
    """Return a file as a response.

    Args:
        path: the file.
        name: under which a browser saves it. None: the browser shows it.

    Raises:
        Problem: there is no such file.
    """
    if not path.is_file():
        raise Problem("no_result", "this picture does not exist, or not yet")
    kind = MEDIA_TYPES.get(path.suffix)
    if kind is None:
        with path.open("rb") as file:
            kind = f"image/{sniff_format(file.read(HEAD), path.name).lower()}"
    return RangeResponse(
        path, media_type=kind, filename=name, headers={"cache-control": "private, no-cache"}
    )


def _send_job_file(studio: Studio, job: str, file: str) -> FileResponse:
    return _send_picture(studio.folder.locate(studio.queue.get(job).id) / file)


@router.get("/preview", name="preview", response_class=FileResponse, responses=_ANSWERS)
def get_preview(studio: TheStudio, job: TheId) -> Response:
    """Return the picture so far, at the size of its scale, as JPEG."""
    path = studio.folder.locate(studio.queue.get(job).id) / job_files.PREVIEW
    try:
        # Read at once: a worker replaces the file while it is being sent.
        data = path.read_bytes()
    except FileNotFoundError:
        raise Problem("no_result", "this picture does not exist, or not yet") from None
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, no-cache"})


@router.get("/thumbnail", name="thumbnail", response_class=FileResponse, responses=_ANSWERS)
def get_thumbnail(studio: TheStudio, job: TheId) -> FileResponse:
    """Return a small version of the result as JPEG."""
    return _send_job_file(studio, job, job_files.THUMBNAIL)


@router.get("/sheet", name="sheet", response_class=FileResponse, responses=_ANSWERS)
def get_sheet(studio: TheStudio, job: TheId) -> FileResponse:
    """Return the contact sheet of a clip's preview as PNG."""
    return _send_job_file(studio, job, job_files.SHEET)


@router.get("/photo", name="photo", response_class=FileResponse, responses=_ANSWERS)
def get_photo(studio: TheStudio, job: TheId) -> FileResponse:
    """Return the photo, or the clip's first frame, upright, in sRGB and without metadata."""
    return _send_job_file(studio, job, job_files.name_view(job_files.PHOTO))


@router.get("/styles/{place}", name="style", response_class=FileResponse, responses=_ANSWERS)
def get_job_style(studio: TheStudio, job: TheId, place: Place) -> FileResponse:
    """Return a painting upright, in sRGB and without metadata."""
    return _send_job_file(studio, job, job_files.name_view(job_files.name_style(place)))


@router.get("/masks/{place}", name="mask", response_class=FileResponse, responses=_ANSWERS)
def get_mask(studio: TheStudio, job: TheId, place: Place) -> FileResponse:
    """Return a mask of the photo as PNG."""
    return _send_job_file(studio, job, job_files.name_view(job_files.name_mask(place)))


@router.get(
    "/result",
    name="result",
    response_class=FileResponse,
    responses={
        **_RESULT,
        **describe_problems(*_COMMON, "no_resources", "over_limit", "too_many_conversions"),
    },
)
def get_result(
    studio: TheStudio,
    job: TheId,
    format: Literal["png", "jpeg", "tiff"] | None = None,  # noqa: A002
) -> FileResponse:
    """Return the finished picture with its recipe inside, in any format, or the finished film."""
    row = studio.queue.get(job)
    place = studio.folder.locate(row.id)
    source = place / row.spec.result
    if not has_result(row, place):
        raise Problem("no_result", f"the job has no result; its state is {row.state}")
    if row.spec.film is not None:
        if format is not None:
            raise refuse_field(
                "format", f"the result is a film ({source.suffix[1:]})", "bad_parameter"
            )
        return _send_picture(source, choose_download_name(row) + source.suffix)
    suffix = SUFFIXES[format or "png"]
    target = source.with_suffix(suffix)
    if not target.exists():
        depth = row.spec.depth if format == "tiff" else 8
        with studio.conversions.reserve(target):
            if not target.exists():
                studio.decoder.convert(source, target, "the result", depth=depth)
    return _send_picture(target, choose_download_name(row) + suffix)


def choose_download_name(row: JobRow) -> str:
    """Name a result after its title, or its photo and paintings, without a suffix."""
    if row.title.strip():
        return _make_file_name(row.title)
    return "-".join(_make_file_name(Path(name).stem) for name in row.spec.names)[:100]


def _make_file_name(text: str) -> str:
    return re.sub(r"[^\w.,+ -]+", "_", text).strip(" .")[:100] or "impasto"
