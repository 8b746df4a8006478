"""A request for a job: read, its pictures staged on disk and looked at, its recipe made whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from impasto.media.picture import fit_within
from impasto.recipe import Recipe, load_recipe, parse_recipe, recipe_names
from impasto.studio import folder as files
from impasto.studio.decoding import Decoder
from impasto.studio.folder import Folder
from impasto.studio.problems import Problem
from impasto.studio.queue import Queue
from impasto.studio.rows import Spec
from impasto.studio.schema import JobRequest, OfStyle, Source, Upload
from impasto.studio.settings import MOST_PICTURES, Settings
from impasto.studio.staging import Stager

UPLOAD_S = 300.0
"""For a whole request to arrive."""
FIELD_BYTES = 256 * 1024
RECIPE_BYTES = 64 * 1024
PARTS = ("photo", "style", "mask", "style_mask", "init")


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
    try:
        async with asyncio.timeout(UPLOAD_S):
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
    except TimeoutError:
        raise Problem("slow_upload", f"the request took more than {UPLOAD_S:g} s") from None
    if form is None:
        yield asked
        return
    try:
        yield _of_form(form)
    finally:
        await form.close()


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
    parts: dict[str, list[UploadFile]] = {name: [] for name in PARTS}
    texts: dict[str, list[str]] = {"job": [], "style_name": []}
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
    return Asked(_with_parts(job, parts, texts["style_name"]), parts)


def _with_parts(
    job: JobRequest, parts: dict[str, list[UploadFile]], style_names: Sequence[str]
) -> JobRequest:
    """The request with its parts in the places that its JSON leaves open."""

    def uploads(name: str) -> list[Source]:
        return [Upload(file=place) for place in range(len(parts[name]))]

    for name in ("photo", "init"):
        if len(parts[name]) > 1:
            raise Problem("bad_input", f"{name}: more than one")
    for name in ("style", "mask", "style_mask"):
        if len(parts[name]) > MOST_PICTURES:
            raise Problem("bad_input", f"{name}: more than {MOST_PICTURES}")
    named = [OfStyle(style_name=name[:40]) for name in style_names]
    given: dict[str, Any] = {
        "photo": next(iter(uploads("photo")), None),
        "styles": [*uploads("style"), *named],
        "masks": uploads("mask"),
        "style_masks": uploads("style_mask"),
        "init": next(iter(uploads("init")), None),
    }
    return job.model_copy(
        update={name: value for name, value in given.items() if getattr(job, name) is None}
    )


class Intake:
    """From a request to what a worker needs, in a folder."""

    def __init__(self, settings: Settings, folder: Folder, queue: Queue, decoder: Decoder) -> None:
        """Note where pictures come from and go to."""
        self._settings = settings
        self._folder = folder
        self._queue = queue
        self._decoder = decoder

    def stage(self, asked: Asked, place: Path) -> tuple[Spec, str]:
        """What to do, and a hash of everything that was sent; the pictures are in ``place``.

        Raises:
            Problem, ImpastoError: the request is refused.
        """
        job = asked.job
        recipe = recipe_of(job)
        styles, masks, parts = job.styles or [], job.masks or [], job.style_masks or []
        if job.photo is None:
            raise Problem("bad_input", "photo: there is none")
        if not styles:
            raise Problem("bad_input", "style: there is none")
        if len(styles) > MOST_PICTURES:
            raise Problem("bad_input", f"style: more than {MOST_PICTURES}")
        recipe.check_counts(len(styles), len(masks), len(parts))
        stager = Stager(self._folder, self._queue, asked.parts, place)
        names = [stager.put(job.photo, "photo", files.PHOTO)]
        for number, source in enumerate(styles):
            names.append(stager.put(source, "style", files.style_file(number)))
        for number, source in enumerate(masks):
            stager.put(source, "mask", files.mask_file(number))
        for number, part in enumerate(parts):
            if part is not None:
                stager.put(part, "style_mask", files.style_mask_file(number))
        if job.init is not None:
            stager.put(job.init, "init", "init")
        spec = Spec(
            recipe=recipe.model_dump(mode="json"),
            names=tuple(names),
            shipped=tuple(
                source.style_name if isinstance(source, OfStyle) else None for source in styles
            ),
            sizes=self._looked_at(place, names, len(masks), [part is not None for part in parts]),
            masks=len(masks),
            style_masks=tuple(part is not None for part in parts),
            init=job.init is not None,
            depth=job.depth,
            keep_metadata=job.keep_metadata,
        )
        self._check_result(spec.sizes[0], recipe)
        return spec, stager.digest(job)

    def _looked_at(
        self, place: Path, names: list[str], masks: int, parts: list[bool]
    ) -> tuple[tuple[int, int], ...]:
        """The sizes of photo and paintings, now that everything has been decoded once."""
        decoder = self._decoder
        pictures = [files.PHOTO, *(files.style_file(each) for each in range(len(names) - 1))]
        sizes = tuple(
            decoder.check(place / file, name, place / files.view_file(file))
            for file, name in zip(pictures, names, strict=True)
        )
        regions = [files.mask_file(each) for each in range(masks)]
        regions += [files.style_mask_file(each) for each, there in enumerate(parts) if there]
        for file in regions:
            decoder.check_mask(place / file, file, place / files.view_file(file))
        if (place / "init").exists():
            decoder.convert(place / "init", place / files.START, "init", depth=16, keep=False)
            (place / "init").unlink()
        return sizes

    def _check_result(self, photo: tuple[int, int], recipe: Recipe) -> None:
        if recipe.size is None:
            return
        width, height = fit_within(*photo, recipe.size)
        if width * height > self._settings.max_result:
            raise Problem(
                "over_limit",
                f"the result would be {width}x{height} px; "
                f"{self._settings.max_result / 1e6:g} megapixels are the limit here",
            )


def recipe_of(job: JobRequest) -> Recipe:
    """The recipe that a request describes.

    Raises:
        Problem, RecipeError: an unknown name, field or value, or a file of the server's.
    """
    asked = job.recipe or ("draft" if job.draft else "standard")
    if isinstance(asked, str):
        if asked not in recipe_names():
            known = ", ".join(recipe_names())
            raise Problem("bad_recipe", f"no recipe of this name; there are {known}")
        recipe = load_recipe(asked)
    else:
        text = json.dumps(asked)
        if len(text) > RECIPE_BYTES:
            raise Problem("bad_recipe", f"a recipe has at most {RECIPE_BYTES} bytes")
        recipe = parse_recipe(text)
    recipe = recipe.with_changes(job.set)
    if recipe.engine.file is not None:
        raise Problem("path_refused", "engine.file: networks are not taken over HTTP")
    if recipe.start.image is not None and job.init is None:
        raise Problem("path_refused", "start.image: send the picture itself as init")
    if job.init is not None:
        recipe = recipe.with_changes({"start.base": "image", "start.image": files.START})
    return recipe
