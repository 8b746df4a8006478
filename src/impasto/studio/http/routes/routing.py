"""Define the parameters and responses that all routes share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from impasto.studio.problems import CODES, MEDIA_TYPE
from impasto.studio.settings import MAX_PICTURES
from impasto.studio.studio import Studio


def _get_studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_get_studio)]
TheId = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$")]
Place = Annotated[int, Path(ge=0, lt=MAX_PICTURES)]
GUARDED = ("no_token", "foreign_host", "foreign_origin")
"""Problems that any request may run into."""


def describe_problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route for these problems, and for those of any request."""
    by_status: dict[int | str, list[str]] = {}
    for code in (*GUARDED, *codes):
        by_status.setdefault(CODES[code][0], []).append(code)
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    return {
        status: {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in names),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, names in by_status.items()
    }
