"""Read the body of a request for a job: JSON, or a form with files, while it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile

from impasto.recipe.invalid_values import describe_problem
from impasto.studio.http.request.picture_sources import OfDrawing, OfStyle, Upload
from impasto.studio.http.schema import JobRequest, OfWord, Source
from impasto.studio.problems import Problem, refuse_field
from impasto.studio.settings import MAX_PICTURES
from impasto.words.description import LONGEST_TEXT

UPLOAD_S = 300.0
"""Seconds for a whole request to arrive."""
JSON_BYTES = 256 * 1024
"""Largest size of JSON, without the pictures inside it, and of a field of a form."""
SINGLE_PARTS, REPEATABLE_PARTS = ("photo", "clip", "init"), ("style", "mask", "style_mask")
CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"ascii")
TEXT_PARTS = ("job", "style_name", "style_words", "mask_word")


@dataclass(frozen=True)
class JobSubmission:
    """A request for a job.

    Attributes:
        job: its JSON.
        parts: its files, by the names of their parts.
    """

    job: JobRequest
    parts: dict[str, list[UploadFile]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def receive_job(request: Request) -> AsyncIterator[JobSubmission]:
    """Read a request, and delete its files afterwards.

    Raises:
        Problem: it cannot be read, or takes too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with limit_upload_time():
        if kind == "application/json":
            form, body = None, await _read_json(request)
        elif kind == "multipart/form-data":
            form = await read_form(request, 4 * MAX_PICTURES)
        else:
            raise Problem("wrong_type", "send multipart/form-data or application/json")
    # Parsing takes time, in which the event loop has to serve others.
    if form is None:
        yield JobSubmission(await run_in_threadpool(parse_job, body))
        return
    try:
        yield await run_in_threadpool(_read_form, form)
    finally:
        await form.close()


@contextlib.asynccontextmanager
async def limit_upload_time() -> AsyncIterator[None]:
    """Limit the time in which a request arrives.

    Raises:
        Problem: it takes too long.
    """
    try:
        async with asyncio.timeout(UPLOAD_S):
            yield
    except TimeoutError:
        raise Problem("slow_upload", f"the request took longer than {UPLOAD_S:g} s") from None


async def read_form(request: Request, parts: int) -> FormData:
    """Read a form.

    Args:
        request: a request with a form.
        parts: number of files, and of other fields, at most.

    Raises:
        Problem: the form cannot be read, or is not UTF-8.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    charset = options.get(b"charset", b"utf-8").lower()
    if charset not in CHARSETS:
        raise Problem("wrong_type", "charset: expected utf-8")
    try:
        return await request.form(max_files=parts, max_fields=parts, max_part_size=JSON_BYTES)
    except ValueError as error:  # text that is no text, among others
        raise Problem("bad_request", f"the form cannot be read ({type(error).__name__})") from None


class JsonMeter:
    """Counts the bytes of JSON that arrives in pieces, without the pictures inside it.

    A picture is the string value of a key named ``data`` that has ASCII characters only, and no
    escaped ones but slashes, as Base64 has. Others would take four bytes a character when they are
    parsed. Whether it really is a picture shows later; other fields have their own limits.
    """

    _ESCAPE = re.compile(rb"\\[^/]")

    _KEY = re.compile(rb'"data"[ \t\r\n]{0,32}:[ \t\r\n]{0,32}"')
    _MAX_KEY = 80
    """Bytes that a match may span, and more."""

    def __init__(self) -> None:
        self._count = 0
        self._is_in_picture = False
        self._rest = b""

    @property
    def count(self) -> int:
        """Bytes so far."""
        return self._count + len(self._rest)

    def feed(self, piece: bytes) -> None:
        """Count the next piece."""
        text, place = self._rest + piece, 0
        self._rest = b""
        while True:
            if self._is_in_picture:
                end = text.find(b'"', place)
                picture = text[place:] if end < 0 else text[place:end]
                if not picture.isascii() or self._ESCAPE.search(picture):
                    self._count += JSON_BYTES + 1
                    return
                if end < 0:
                    self._rest = b"\\" if picture.endswith(b"\\") else b""
                    return
                self._is_in_picture, place = False, end
            match = self._KEY.search(text, place)
            if match is None:
                break
            self._count += match.end() - place
            self._is_in_picture, place = True, match.end()
        # The end may be the first half of a key.
        cut = max(place, len(text) - self._MAX_KEY)
        self._count += cut - place
        self._rest = text[cut:]


async def _read_json(request: Request) -> bytes:
    """Read a body of JSON, and refuse it before it is parsed if it is too large.

    Raises:
        Problem: it is.
    """
    body, meter, metered = bytearray(), JsonMeter(), 0
    is_too_large = False
    async for piece in request.stream():
        if is_too_large:
            continue  # a client that still sends reads no answer
        body += piece
        if len(body) - metered < JSON_BYTES // 4 and piece:
            continue  # many small pieces are counted together
        meter.feed(bytes(body[metered:]))
        metered = len(body)
        is_too_large = meter.count > JSON_BYTES
        if is_too_large:
            body.clear()
    if is_too_large:
        raise Problem(
            "too_large",
            f"the JSON exceeds the limit of {JSON_BYTES // 1024} KiB without its pictures",
            {"connection": "close"},
        )
    return bytes(body)


def parse_job(text: bytes | str) -> JobRequest:
    """Parse the JSON of a request.

    Raises:
        Problem: it is not JSON, or does not match the schema.
    """
    try:
        return JobRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Problem("bad_request", f"not JSON: {first['msg']}") from None
        where = ".".join(map(str, first["loc"]))[:200]
        if not where:
            raise Problem("bad_parameter", "the JSON is not an object") from None
        raise refuse_field(where, describe_problem(first), "bad_parameter") from None


def _read_form(form: FormData) -> JobSubmission:
    parts: dict[str, list[UploadFile]] = {name: [] for name in (*SINGLE_PARTS, *REPEATABLE_PARTS)}
    texts: dict[str, list[str]] = {name: [] for name in TEXT_PARTS}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name in parts:
            parts[name].append(value)
        elif isinstance(value, str) and name in texts:
            texts[name].append(value)
        else:
            what, names = ("file", parts) if isinstance(value, UploadFile) else ("field", texts)
            raise Problem(
                "bad_input", f"unknown {what} {name[:40]!r}; expected one of {', '.join(names)}"
            )
    if len(texts["job"]) > 1:
        raise refuse_field("job", "send only one")
    job = parse_job(texts["job"][0] if texts["job"] else "{}")
    return JobSubmission(_fill_in_parts(job, parts, texts), parts)


def _fill_in_parts(
    job: JobRequest, parts: dict[str, list[UploadFile]], texts: dict[str, list[str]]
) -> JobRequest:
    """Return the request with its parts in the fields that its JSON leaves open."""

    def list_uploads(name: str) -> list[Source]:
        return [Upload(file=place) for place in range(len(parts[name]))]

    for name in SINGLE_PARTS:
        if len(parts[name]) > 1:
            raise refuse_field(name, "send only one")
    for name in REPEATABLE_PARTS:
        if len(parts[name]) > MAX_PICTURES:
            raise refuse_field(name, f"at most {MAX_PICTURES} are allowed")
    styles = [OfStyle(style_name=name[:40]) for name in texts["style_name"]]
    drawings = [OfDrawing(words=_check_words(text)) for text in texts["style_words"]]
    words = [OfWord(word=word[:60]) for word in texts["mask_word"]]
    values: dict[str, Any] = {
        **{name: next(iter(list_uploads(name)), None) for name in SINGLE_PARTS},
        "styles": [*list_uploads("style"), *styles, *drawings],
        "masks": [*list_uploads("mask"), *words],
        "style_masks": list_uploads("style_mask"),
    }
    return job.model_copy(
        update={name: value for name, value in values.items() if getattr(job, name) is None}
    )


def _check_words(text: str) -> str:
    if not 0 < len(text) <= LONGEST_TEXT:
        raise refuse_field("style_words", f"expected 1 to {LONGEST_TEXT} characters")
    return text
