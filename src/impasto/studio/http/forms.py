"""A request for a job as it comes: JSON, or a form with files, read while it arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from impasto.studio.http.schema import JobRequest, OfStyle, OfWord, Source, Upload
from impasto.studio.problems import Problem
from impasto.studio.settings import MOST_PICTURES

UPLOAD_S = 300.0
"""For a whole request to arrive."""
FIELD_BYTES = 256 * 1024
SINGLE, SEVERAL = ("photo", "clip", "init"), ("style", "mask", "style_mask")
TEXTS = ("job", "style_name", "mask_word")


@dataclass(frozen=True)
class Asked:
    """A request that could be read.

    Attributes:
        job: its JSON.
        parts: its files, by the name of their part.
    """

    job: JobRequest
    parts: dict[str, list[UploadFile]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def received(request: Request) -> AsyncIterator[Asked]:
    """The parts of a request; its files are gone afterwards.

    Raises:
        Problem: it cannot be read, or takes too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with in_time():
        if kind == "application/json":
            form, asked = None, Asked(parsed(await request.body()))
        elif kind == "multipart/form-data":
            form = await request.form(
                max_files=4 * MOST_PICTURES,
                max_fields=4 * MOST_PICTURES,
                max_part_size=FIELD_BYTES,
            )
        else:
            raise Problem("wrong_type", "send multipart/form-data or application/json")
    if form is None:
        yield asked
        return
    try:
        yield _of_form(form)
    finally:
        await form.close()


@contextlib.asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """For reading a request.

    Raises:
        Problem: it takes too long.
    """
    try:
        async with asyncio.timeout(UPLOAD_S):
            yield
    except TimeoutError:
        raise Problem("slow_upload", f"the request took more than {UPLOAD_S:g} s") from None


def parsed(text: bytes | str) -> JobRequest:
    """The JSON of a request.

    Raises:
        Problem: not JSON, or not of the schema.
    """
    try:
        return JobRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Problem("bad_request", f"not JSON: {first['msg']}") from None
        where = ".".join(map(str, first["loc"]))
        raise Problem("bad_parameter", f"{where}: {first['msg']}") from None


def _of_form(form: FormData) -> Asked:
    parts: dict[str, list[UploadFile]] = {name: [] for name in (*SINGLE, *SEVERAL)}
    texts: dict[str, list[str]] = {name: [] for name in TEXTS}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and name in parts:
            parts[name].append(value)
        elif isinstance(value, str) and name in texts:
            texts[name].append(value)
        else:
            what = "a file" if isinstance(value, UploadFile) else "a field"
            raise Problem("bad_input", f"{name[:40]!r} is not the name of {what} of a job")
    if len(texts["job"]) > 1:
        raise Problem("bad_input", "job: more than one")
    job = parsed(texts["job"][0] if texts["job"] else "{}")
    return Asked(_with_parts(job, parts, texts), parts)


def _with_parts(
    job: JobRequest, parts: dict[str, list[UploadFile]], texts: dict[str, list[str]]
) -> JobRequest:
    """The request with its parts in the places that its JSON leaves open."""

    def uploads(name: str) -> list[Source]:
        return [Upload(file=place) for place in range(len(parts[name]))]

    for name in SINGLE:
        if len(parts[name]) > 1:
            raise Problem("bad_input", f"{name}: more than one")
    for name in SEVERAL:
        if len(parts[name]) > MOST_PICTURES:
            raise Problem("bad_input", f"{name}: more than {MOST_PICTURES}")
    named = [OfStyle(style_name=name[:40]) for name in texts["style_name"]]
    found = [OfWord(word=word[:60]) for word in texts["mask_word"]]
    given: dict[str, Any] = {
        **{name: next(iter(uploads(name)), None) for name in SINGLE},
        "styles": [*uploads("style"), *named],
        "masks": [*uploads("mask"), *found],
        "style_masks": uploads("style_mask"),
    }
    return job.model_copy(
        update={name: value for name, value in given.items() if getattr(job, name) is None}
    )
