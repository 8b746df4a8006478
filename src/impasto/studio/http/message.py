"""Define what requests and answers have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class Message(BaseModel):
    """Base of requests and answers: unknown fields and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
