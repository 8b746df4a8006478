"""Log in a page that the server itself has opened."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from impasto.studio.http.routes.routing import TheStudio
from impasto.studio.problems import Problem

router = APIRouter(prefix="/v1", include_in_schema=False)


class _Code(BaseModel):
    code: Annotated[str, Field(max_length=100)]


class _Token(BaseModel):
    token: str


@router.post("/exchange", name="exchange")
def exchange_code(studio: TheStudio, body: _Code) -> _Token:
    """Return the token for a code that was given to a browser, once."""
    token = studio.settings.token
    if token is None or not studio.exchange.redeem(body.code):
        raise Problem("no_token", "this code was used, or is too old; log in with the token")
    return _Token(token=token)
