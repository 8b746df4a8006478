"""What all routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from impasto.studio.problems import CODES, MEDIA_TYPE
from impasto.studio.settings import MOST_PICTURES
from impasto.studio.studio import Studio


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_studio)]
TheId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$")]
Place = Annotated[int, Path(ge=0, lt=MOST_PICTURES)]
GUARDED = ("no_token", "foreign_host", "foreign_origin")
"""What any request may meet."""


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that may end in these problems, beside those of all."""
    found: dict[int | str, list[str]] = {}
    for code in (*GUARDED, *codes):
        found.setdefault(CODES[code][0], []).append(code)
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in names),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, names in found.items()
    }
