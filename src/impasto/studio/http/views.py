"""A row of the queue as clients see it."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from impasto.studio.http.schema import ClipInfo, Job, Links, PictureInfo, ProblemDetails, Progress
from impasto.studio.queue import folder as files
from impasto.studio.queue.rows import Row, Spec

MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
"""Of films."""


def job_view(row: Row, position: int | None, place: Path) -> Job:
    """What is told of a job.

    Args:
        row: of the queue.
        position: jobs ahead of it; none: it does not wait.
        place: its folder.
    """
    names = [
        PictureInfo(name=name, width=size[0], height=size[1], style_name=shipped)
        for name, size, shipped in zip(
            row.spec.names, row.spec.sizes, (None, *row.spec.shipped), strict=True
        )
    ]
    return Job(
        id=row.id,
        title=row.title,
        state=row.state,  # type: ignore[arg-type]
        draft=row.draft,
        created=_iso(row.created) or "",
        started=_iso(row.started),
        ended=_iso(row.ended),
        seconds=round(row.used, 3),
        position=position,
        progress=None if row.progress is None else Progress(**row.progress),
        problem=None if row.problem is None else ProblemDetails(**row.problem),
        recipe=row.spec.recipe,
        depth=row.spec.depth,
        keep_metadata=row.spec.keep_metadata,
        width=row.width,
        height=row.height,
        photo=names[0],
        clip=_clip_info(row.spec),
        paintings=names[1:],
        styles=row.spec.styles,
        masks=len(row.spec.masks),
        links=_links(row, place),
    )


def _clip_info(spec: Spec) -> ClipInfo | None:
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


def preview_view(row: Row) -> dict[str, Any]:
    """The picture so far: a new address for each, so that none is shown for another."""
    return {"iteration": row.preview, "url": f"/v1/jobs/{row.id}/preview?i={row.preview}"}


def has_result(row: Row, place: Path) -> bool:
    """Whether a job has made a picture that is not being replaced."""
    return row.state in ("done", "stopped") and (place / row.spec.result).is_file()


def _links(row: Row, place: Path) -> Links:
    base = f"/v1/jobs/{row.id}"
    made = has_result(row, place)
    stamp = f"?v={row.version}"
    return Links(
        self=base,
        events=f"{base}/events",
        preview=None if row.preview is None else f"{base}/preview?i={row.preview}",
        result=f"{base}/result{stamp}" if made else None,
        thumbnail=f"{base}/thumbnail{stamp}" if made else None,
        sheet=f"{base}/sheet" if (place / files.SHEET).is_file() else None,
        photo=f"{base}/photo",
        styles=[f"{base}/styles/{place}" for place in range(row.spec.styles)],
        masks=[f"{base}/masks/{place}" for place in range(len(row.spec.masks))],
    )


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
