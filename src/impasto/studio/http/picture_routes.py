"""The routes of a job's pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from impasto.image.files.sniff import HEAD, sniff_format
from impasto.studio.http.routes import Place, TheId, TheStudio, problems
from impasto.studio.http.views import MEDIA_TYPES, has_result
from impasto.studio.problems import Problem
from impasto.studio.queue import folder as files
from impasto.studio.queue.rows import Row
from impasto.studio.studio import Studio

router = APIRouter(prefix="/v1/jobs/{id}", tags=["pictures"])
ENDINGS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
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
_ANSWERS = {**_PICTURE, **problems(*_COMMON)}


def _shown(path: Path, name: str | None = None) -> FileResponse:
    if not path.is_file():
        raise Problem("no_result", "there is no such picture, or not yet")
    kind = MEDIA_TYPES.get(path.suffix)
    if kind is None:
        with path.open("rb") as file:
            kind = f"image/{sniff_format(file.read(HEAD), path.name).lower()}"
    return _File(
        path, media_type=kind, filename=name, headers={"cache-control": "private, no-cache"}
    )


class _File(FileResponse):
    """Whole or in parts; of a part that there is not, a problem tells."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                length = Headers(raw=message["headers"]).get("content-range", "")
                told = {"content-range": length} if length else None
                raise Problem("bad_range", "Range: bytes=FROM-TO within the file", told)
            await send(message)

        await super().__call__(scope, receive, sent)


@router.get("/preview", response_class=FileResponse, responses=_ANSWERS)
def preview(studio: TheStudio, job: TheId) -> FileResponse:
    """The picture so far, at the size of its scale, as JPEG."""
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.PREVIEW)


@router.get("/thumbnail", response_class=FileResponse, responses=_ANSWERS)
def thumbnail(studio: TheStudio, job: TheId) -> FileResponse:
    """The result, small, as JPEG."""
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.THUMBNAIL)


@router.get("/sheet", response_class=FileResponse, responses=_ANSWERS)
def sheet(studio: TheStudio, job: TheId) -> FileResponse:
    """The contact sheet of a clip's preview, as PNG."""
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.SHEET)


@router.get("/photo", response_class=FileResponse, responses=_ANSWERS)
def photo(studio: TheStudio, job: TheId) -> FileResponse:
    """The photo, or a clip's first frame, upright, in sRGB and without its metadata."""
    return _view(studio, job, files.PHOTO)


@router.get("/styles/{place}", response_class=FileResponse, responses=_ANSWERS)
def style(studio: TheStudio, job: TheId, place: Place) -> FileResponse:
    """A painting, likewise."""
    return _view(studio, job, files.style_file(place))


@router.get("/masks/{place}", response_class=FileResponse, responses=_ANSWERS)
def mask(studio: TheStudio, job: TheId, place: Place) -> FileResponse:
    """A mask, as PNG."""
    return _view(studio, job, files.mask_file(place))


def _view(studio: Studio, job: str, file: str) -> FileResponse:
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.view_file(file))


@router.get(
    "/result",
    response_class=FileResponse,
    responses={
        **_RESULT,
        **problems(*_COMMON, "no_resources", "over_limit"),
    },
)
def result(
    studio: TheStudio,
    job: TheId,
    format: Literal["png", "jpeg", "tiff"] | None = None,  # noqa: A002
) -> FileResponse:
    """The finished picture, its recipe inside, in any format; or the film, in its own."""
    row = studio.queue.get(job)
    place = studio.folder.of(row.id)
    made = place / row.spec.result
    if not has_result(row, place):
        raise Problem("no_result", f"the job is {row.state}: there is no result")
    if row.spec.film is not None:
        if format is not None:
            raise Problem("bad_parameter", f"format: this is a film, {made.suffix[1:]}")
        return _shown(made, download_name(row) + made.suffix)
    ending = ENDINGS[format or "png"]
    wanted = made.with_suffix(ending)
    if not wanted.exists():
        depth = row.spec.depth if format == "tiff" else 8
        studio.decoder.convert(made, wanted, "the result", depth=depth)
    return _shown(wanted, download_name(row) + ending)


def download_name(row: Row) -> str:
    """Without its ending: after the title, or the photo and its paintings."""
    if row.title.strip():
        return _plain(row.title)
    return "-".join(_plain(Path(name).stem) for name in row.spec.names)[:100]


def _plain(text: str) -> str:
    return re.sub(r"[^\w.,+ -]+", "_", text).strip(" .")[:100] or "impasto"
