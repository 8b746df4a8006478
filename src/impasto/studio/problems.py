"""What can go wrong with a request or a job, as RFC 9457 problems with stable codes."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping
from typing import Any

from impasto.errors import (
    ClipError,
    ImageError,
    ImpastoError,
    LimitError,
    RecipeError,
    ResourceError,
    WeightsError,
    is_out_of_memory,
)

MEDIA_TYPE = "application/problem+json"
CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read"),
    "no_token": (401, "A token is needed"),
    "foreign_host": (403, "The server does not answer to this name"),
    "foreign_origin": (403, "The request comes from another web page"),
    "not_found": (404, "There is no such thing"),
    "no_result": (404, "There is no such picture yet"),
    "method_not_allowed": (405, "This method is not for this address"),
    "slow_upload": (408, "The upload took too long"),
    "wrong_state": (409, "The job is not in a state for that"),
    "too_large": (413, "The request is too large"),
    "over_limit": (413, "A picture is over a limit"),
    "not_a_picture": (415, "A file is not a picture that can be read"),
    "not_a_clip": (415, "A file is not a clip that can be read"),
    "wrong_type": (415, "The request is of a type that is not read"),
    "bad_recipe": (422, "The recipe has an unknown field or a bad value"),
    "bad_input": (422, "The parts of the job do not fit together"),
    "bad_parameter": (422, "A parameter has a bad value"),
    "path_refused": (422, "Files of the server cannot be named over HTTP"),
    "no_record": (422, "The picture carries no recipe"),
    "no_mask_network": (422, "The network that finds this mask is not on the server"),
    "key_reused": (422, "The idempotency key belongs to another job"),
    "bad_range": (416, "The file has no such part"),
    "queue_full": (429, "The queue is full"),
    "too_many_uploads": (429, "Too many uploads come in at a time"),
    "too_many_streams": (429, "Too many pages follow their jobs"),
    "internal": (500, "The server failed"),
    "no_weights": (500, "The network's weights are missing or damaged"),
    "worker_lost": (500, "The worker died at this job again and again"),
    "time_limit": (504, "The job took longer than a job may"),
    "no_resources": (507, "Memory or disk ran out"),
}
"""Code to status and title; a code never changes its meaning."""


class Problem(Exception):  # noqa: N818 -- the RFC's own word
    """A request that is refused, or a job that failed."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """``code`` is one of :data:`CODES`; ``detail`` is one line for a person."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return CODES[self.code][0]

    def body(self) -> dict[str, Any]:
        """The members of the problem."""
        status, title = CODES[self.code]
        return {
            "type": f"/docs#{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
        }


def problem_of(error: BaseException) -> Problem:
    """The problem that an error is; what was not raised on purpose is told without its text."""
    if isinstance(error, Problem):
        return error
    if is_out_of_memory(error):
        return Problem("no_resources", "out of memory: ask for a smaller size")
    if _is_disk_full(error):
        return Problem("no_resources", "the disk of the server is full")
    if not isinstance(error, ImpastoError):
        return Problem("internal", "an error in impasto; the server's log has it")
    kinds = (
        (ImageError, "not_a_picture"),
        (ClipError, "not_a_clip"),
        (LimitError, "over_limit"),
        (RecipeError, "bad_recipe"),
        (WeightsError, "no_weights"),
        (ResourceError, "no_resources"),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), "bad_input")
    return Problem(code, " ".join(error.describe(_name_json_field).split()))


def _name_json_field(field: str) -> str:
    """Return the JSON name of an option that an error concerns."""
    return field


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
