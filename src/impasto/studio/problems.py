"""Describe what goes wrong with requests and jobs, as RFC 9457 problems with stable codes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.errors import (
    ClipError,
    ImageError,
    ImpastoError,
    LimitError,
    RecipeError,
    ResourceError,
    WeightsError,
    is_disk_full,
    is_out_of_memory,
)

MEDIA_TYPE = "application/problem+json"
CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be read"),
    "no_token": (401, "A token is required"),
    "foreign_host": (403, "The server does not answer to this host name"),
    "foreign_origin": (403, "The request comes from another web page"),
    "not_found": (404, "Not found"),
    "no_result": (404, "This picture does not exist yet"),
    "method_not_allowed": (405, "This address does not support the method"),
    "slow_upload": (408, "The upload took too long"),
    "wrong_state": (409, "The job's state does not allow this"),
    "too_large": (413, "The request is too large"),
    "over_limit": (413, "A picture exceeds a limit"),
    "not_a_picture": (415, "A file is not a readable picture"),
    "not_a_clip": (415, "A file is not a readable clip"),
    "wrong_type": (415, "The request has an unsupported content type"),
    "bad_recipe": (422, "The recipe has an unknown field or an invalid value"),
    "bad_input": (422, "The parts of the job do not fit together"),
    "bad_parameter": (422, "A parameter has an invalid value"),
    "path_refused": (422, "Requests cannot name files on the server"),
    "no_record": (422, "The picture contains no recipe"),
    "no_mask_network": (422, "The network that finds this mask is not installed on the server"),
    "key_reused": (422, "The idempotency key belongs to another job"),
    "bad_range": (416, "The requested range is outside the file"),
    "queue_full": (429, "The queue is full"),
    "too_many_uploads": (429, "Too many uploads at once"),
    "too_many_streams": (429, "Too many clients are following jobs"),
    "internal": (500, "The server failed"),
    "no_weights": (500, "The network's weights are missing or damaged"),
    "worker_lost": (500, "The job's worker died repeatedly"),
    "too_many_conversions": (503, "Too many results are being converted"),
    "time_limit": (504, "The job exceeded its time limit"),
    "no_resources": (507, "Memory or disk space ran out"),
}
"""Status and title by code; a code never changes its meaning."""
OTHER_NAMES = {"style_weights": "style.weights"}
"""JSON fields that are not spelled like the option's Python name."""

_ABSOLUTE_PATH = re.compile(r"(?<![\w/.:<])(?:[A-Za-z]:)?(?:[/\\][^\s/\\:;,'\"()]+)+[/\\]?")

_OWN_FOLDER = re.compile(r"\b(?:jobs|staging|trash)[/\\](?:\d{8}T\d{6}Z-)?[0-9a-f]{32}[/\\]?")
"""Folders inside the data folder, whose ids are no client's business."""


class Problem(Exception):  # noqa: N818 -- the RFC's own word
    """A request that is refused, or a job that failed."""

    def __init__(
        self,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        field: str | None = None,
    ) -> None:
        """Describe what went wrong.

        Args:
            code: a key of :data:`CODES`.
            detail: one line for a person.
            headers: HTTP headers of the answer. None: no additional ones.
            field: the field of the request concerned, see :class:`ProblemDetails`. None: no single
                field is.
        """
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """HTTP status."""
        return CODES[self.code][0]

    def to_body(self) -> dict[str, Any]:
        """Return the members of the problem, to be sent as JSON."""
        status, title = CODES[self.code]
        return {
            "type": f"/docs#{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": self.code,
            "field": self.field,
        }


def make_problem(error: BaseException, data: Path | None = None) -> Problem:
    """Turn an error into what a client may know of it.

    Unexpected errors keep their text to themselves, and messages lose the folders of the server.

    Args:
        error: any exception.
        data: the studio's data folder. None: not known.
    """
    if isinstance(error, Problem):
        return error
    if is_out_of_memory(error):
        return Problem("no_resources", "out of memory: ask for a smaller size")
    if is_disk_full(error):
        return Problem(
            "no_resources", "the server's disk is full; delete jobs that you do not need"
        )
    if is_disk_fault(error):
        return Problem("no_resources", "the server cannot use its disk; its log says why")
    if not isinstance(error, ImpastoError):
        return Problem("internal", "internal error; see the server's log")
    kinds = (
        (ImageError, "not_a_picture"),
        (ClipError, "not_a_clip"),
        (LimitError, "over_limit"),
        (RecipeError, "bad_recipe"),
        (WeightsError, "no_weights"),
        (ResourceError, "no_resources"),
    )
    code = next((code for kind, code in kinds if isinstance(error, kind)), "bad_input")
    message = " ".join(error.describe(name_json_field).split())
    field = None if error.field is None else name_json_field(error.field)
    return Problem(code, hide_folders(message, data), field=field)


def name_json_field(field: str) -> str:
    """Return the JSON field, or the recipe's key, of an option by its Python name."""
    return OTHER_NAMES.get(field, field)


def refuse_field(field: str, detail: str, code: str = "bad_input") -> Problem:
    """Make the problem of one field of a request; the detail begins with the field's name."""
    return Problem(code, f"{field}: {detail}", field=field)


def hide_folders(message: str, data: Path | None = None) -> str:
    """Reduce absolute paths in a message to the names of their files."""
    if data is not None:
        message = message.replace(f"{data}/", "").replace(str(data), "the data folder")
    message = _OWN_FOLDER.sub("", message)
    return _ABSOLUTE_PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/\\"))[-1], message)


def is_disk_fault(error: BaseException) -> bool:
    """Tell whether an error comes from the disk or its rights, and not from a mistake of ours."""
    faults = (sqlite3.OperationalError, sqlite3.DatabaseError)  # and none of their other kinds
    return isinstance(error, OSError) or type(error) in faults
