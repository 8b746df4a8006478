"""The routes of a job's pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

from impasto.media.sniff import HEAD, sniff
from impasto.studio import folder as files
from impasto.studio.problems import Problem
from impasto.studio.routes import Place, TheId, TheStudio, problems
from impasto.studio.rows import Row
from impasto.studio.studio import Studio
from impasto.studio.views import has_result

router = APIRouter(prefix="/v1/jobs/{id}", tags=["pictures"])
ENDINGS = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "image/jpeg", "image/tiff")
        }
    }
}
_ANSWERS = {**_PICTURE, **problems("not_found", "no_result", "bad_parameter")}


def _shown(path: Path, name: str | None = None) -> FileResponse:
    if not path.is_file():
        raise Problem("no_result", "there is no such picture, or not yet")
    with path.open("rb") as file:
        kind = sniff(file.read(HEAD), path.name)
    return FileResponse(
        path,
        media_type=f"image/{kind.lower()}",
        filename=name,
        headers={"cache-control": "private, no-cache"},
    )


@router.get("/preview", response_class=FileResponse, responses=_ANSWERS)
def preview(studio: TheStudio, job: TheId) -> FileResponse:
    """The picture so far, at the size of its scale, as JPEG."""
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.PREVIEW)


@router.get("/thumbnail", response_class=FileResponse, responses=_ANSWERS)
def thumbnail(studio: TheStudio, job: TheId) -> FileResponse:
    """The result, small, as JPEG."""
    return _shown(studio.folder.of(studio.queue.get(job).id) / files.THUMBNAIL)


@router.get("/photo", response_class=FileResponse, responses=_ANSWERS)
def photo(studio: TheStudio, job: TheId) -> FileResponse:
    """The photo, upright, in sRGB and without its metadata."""
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
        **_PICTURE,
        **problems("not_found", "no_result", "bad_parameter", "no_resources", "over_limit"),
    },
)
def result(
    studio: TheStudio,
    job: TheId,
    format: Literal["png", "jpeg", "tiff"] = "png",  # noqa: A002
) -> FileResponse:
    """The finished picture, its recipe inside."""
    row = studio.queue.get(job)
    place = studio.folder.of(row.id)
    made = place / files.RESULT
    if not has_result(row, place):
        raise Problem("no_result", f"the job is {row.state}: there is no result")
    wanted = made.with_suffix(ENDINGS[format])
    if not wanted.exists():
        depth = row.spec.depth if format == "tiff" else 8
        studio.decoder.convert(made, wanted, "the result", depth=depth)
    return _shown(wanted, download_name(row) + ENDINGS[format])


def download_name(row: Row) -> str:
    """Without its ending: after the title, or the photo and its paintings."""
    if row.title.strip():
        return _plain(row.title)
    return "-".join(_plain(Path(name).stem) for name in row.spec.names)[:100]


def _plain(text: str) -> str:
    return re.sub(r"[^\w.,+ -]+", "_", text).strip(" .")[:100] or "impasto"
