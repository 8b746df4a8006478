"""Show a row of the queue as clients see it."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.studio.http.schema import (
    ClipInfo,
    JobMessage,
    LinksMessage,
    PictureInfo,
    ProblemDetails,
    ProgressMessage,
)
from impasto.studio.queue import job_files
from impasto.studio.queue.job_rows import JobRow, JobSpec, has_result

MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
"""Media types of films, by suffix."""


def describe_job(row: JobRow, position: int | None, place: Path) -> JobMessage:
    """Return what clients see of a job.

    Args:
        row: the job's row.
        position: number of jobs ahead of it. None: it does not wait.
        place: folder of the job.
    """
    pictures = [
        PictureInfo(name=name, width=size[0], height=size[1], style_name=shipped)
        for name, size, shipped in zip(
            row.spec.names, row.spec.sizes, (None, *row.spec.shipped), strict=True
        )
    ]
    return JobMessage(
        id=row.id,
        title=row.title,
        state=row.state,  # type: ignore[arg-type]
        draft=row.draft,
        created=_format_time(row.created) or "",
        started=_format_time(row.started),
        ended=_format_time(row.ended),
        seconds=round(row.used, 3),
        position=position,
        progress=None if row.progress is None else ProgressMessage(**row.progress),
        problem=None if row.problem is None else ProblemDetails(**row.problem),
        recipe=row.spec.recipe,
        depth=row.spec.depth,
        keep_metadata=row.spec.keep_metadata,
        width=row.width,
        height=row.height,
        photo=pictures[0],
        clip=_describe_clip(row.spec),
        paintings=pictures[1:],
        styles=row.spec.styles,
        masks=len(row.spec.masks),
        links=_list_links(row, place),
    )


def _describe_clip(spec: JobSpec) -> ClipInfo | None:
    film = spec.film
    if film is None:
        return None
    return ClipInfo(
        frames=film.frames,
        seconds=round(float(film.frames / Fraction(film.rate)), 3),
        preview=film.preview,
        stability=film.stability,
        media_type=MEDIA_TYPES[film.suffix],
    )


def describe_preview(row: JobRow) -> dict[str, Any]:
    """Return the latest preview; each one has an address of its own, so that caches stay right."""
    return {"iteration": row.preview, "url": f"/v1/jobs/{row.id}/preview?i={row.preview}"}


def _list_links(row: JobRow, place: Path) -> LinksMessage:
    base = f"/v1/jobs/{row.id}"
    has_picture = has_result(row, place)
    stamp = f"?v={row.version}"
    return LinksMessage(
        self=base,
        events=f"{base}/events",
        preview=None if row.preview is None else f"{base}/preview?i={row.preview}",
        result=f"{base}/result{stamp}" if has_picture else None,
        thumbnail=f"{base}/thumbnail{stamp}" if has_picture else None,
        sheet=f"{base}/sheet" if (place / job_files.SHEET).is_file() else None,
        photo=f"{base}/photo",
        styles=[f"{base}/styles/{number}" for number in range(row.spec.styles)],
        masks=[f"{base}/masks/{number}" for number in range(len(row.spec.masks))],
    )


def _format_time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
