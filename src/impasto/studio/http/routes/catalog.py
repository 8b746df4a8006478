"""Serve shipped recipes and paintings, and the recipes inside finished pictures.

A route's ``name`` is part of its OpenAPI ``operationId`` and stays.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile

from impasto.errors import ImpastoError, RecipeError
from impasto.recipe.recipe import Recipe, list_recipes, load_recipe
from impasto.record.provenance import parse_provenance
from impasto.studio.http.api_document import use_public_names
from impasto.studio.http.drawings import draw_file, read_description
from impasto.studio.http.request.picture_sources import clean_name
from impasto.studio.http.request.request_body import limit_upload_time, read_form
from impasto.studio.http.routes.routing import TheStudio, describe_problems
from impasto.studio.http.schema import (
    DrawingMessage,
    FoundStyles,
    NamedHash,
    NamedRecipe,
    Recipes,
    Restored,
    StyleMessage,
    Styles,
)
from impasto.studio.page.example_paintings import (
    ExamplePainting,
    find_painting,
    find_similar_paintings,
    load_library_paintings,
    load_paintings,
    search_paintings,
)
from impasto.studio.problems import Problem, refuse_field
from impasto.studio.studio import Studio
from impasto.words.description import LONGEST_TEXT
from impasto.words.word_styles import SIZE

router = APIRouter(prefix="/v1", tags=["catalog"])
SIMILAR = 6
"""Paintings that are shown as similar to one."""
_RESTORE_PROBLEMS = (
    "bad_request",
    "too_large",
    "over_limit",
    "not_a_picture",
    "no_record",
    "bad_recipe",
    "bad_input",
    "wrong_type",
    "slow_upload",
    "too_many_uploads",
    "no_resources",
)


@router.get("/recipes", name="recipes")
def get_recipes() -> Recipes:
    """List the recipes that ship with impasto."""
    recipes = [load_recipe(name) for name in list_recipes()]
    return Recipes(
        recipes=[
            NamedRecipe(
                name=recipe.name,
                description=recipe.description,
                recipe=recipe.model_dump(mode="json"),
            )
            for recipe in recipes
        ]
    )


@router.get("/recipes/schema", name="schema")
def get_recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe."""
    return use_public_names(Recipe.model_json_schema())


@router.get("/styles", name="styles")
def get_styles() -> Styles:
    """List the paintings that ship with impasto."""
    return Styles(styles=[_describe_style(each) for each in load_paintings().values()])


def _describe_style(painting: ExamplePainting) -> StyleMessage:
    return StyleMessage(
        name=painting.name,
        title=painting.title,
        url=f"/v1/styles/{painting.name}",
        credit=painting.credit,
    )


@router.get("/library", name="library", responses=describe_problems("bad_parameter"))
def get_library(text: Annotated[str, Query(max_length=200)] = "") -> FoundStyles:
    """Find paintings of the library by title, artist or movement; without a text, list all."""
    if text.strip():
        hits, nearest = search_paintings(text)
    else:
        hits, nearest = [*load_library_paintings().values()], []
    return FoundStyles(styles=[_describe_style(each) for each in hits], nearest=nearest)


@router.get(
    "/styles/{name}/similar",
    name="similar",
    responses=describe_problems("not_found", "bad_parameter"),
)
def get_similar(name: Annotated[str, InPath(max_length=40)]) -> FoundStyles:
    """Return the paintings of the library that are most like one that ships."""
    hits = find_similar_paintings(name, SIMILAR)
    return FoundStyles(styles=[_describe_style(each) for each in hits], nearest=[])


@router.get(
    "/styles/{name}",
    name="style",
    response_class=FileResponse,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **describe_problems("not_found", "bad_parameter"),
    },
)
def get_style(name: Annotated[str, InPath(max_length=40)]) -> FileResponse:
    """Return a painting that ships with impasto."""
    return FileResponse(
        find_painting(name).path,
        media_type="image/jpeg",
        headers={"cache-control": "private, max-age=3600"},
    )


TheWords = Annotated[str, Query(min_length=1, max_length=LONGEST_TEXT)]


@router.get("/drawings", name="drawing", responses=describe_problems("bad_input", "bad_parameter"))
def get_drawing(words: TheWords) -> DrawingMessage:
    """Say which painting words describe."""
    description = read_description(words)
    return DrawingMessage(
        words=words,
        name=f"{description.make_stem(SIZE)}.png",
        description=description.describe(),
        technique=description.technique,
        colors=list(description.colors),
        ground=description.ground,
        seed=description.seed,
        unused=list(description.unused),
        url=f"/v1/drawings/picture?words={quote(words, safe='')}",
    )


@router.get(
    "/drawings/picture",
    name="drawing-picture",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **describe_problems("bad_input", "bad_parameter", "too_many_conversions"),
    },
)
def get_drawing_picture(words: TheWords) -> Response:
    """Draw the painting that words describe, 512 px wide."""
    _, data = draw_file(words, SIZE)
    return Response(
        data, media_type="image/png", headers={"cache-control": "private, max-age=3600"}
    )


@router.post(
    "/restore",
    name="restore",
    response_model=Restored,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"picture": {"type": "string", "format": "binary"}},
                        "required": ["picture"],
                    }
                }
            },
        }
    },
    responses=describe_problems(*_RESTORE_PROBLEMS),
)
async def restore_recipe(request: Request, studio: TheStudio) -> Restored:
    """Return the recipe inside a finished picture."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem("wrong_type", "send multipart/form-data with a part named picture")
    with studio.reserve_upload():
        async with limit_upload_time():
            form = await read_form(request, 1)
        try:
            picture = form.get("picture")
            if not isinstance(picture, UploadFile):
                raise refuse_field("picture", "missing; send it as a file")
            return await run_in_threadpool(_restore, studio, picture)
        finally:
            await form.close()


def _restore(studio: Studio, picture: UploadFile) -> Restored:
    with studio.folder.stage() as (_, place):
        path = place / "picture"
        with path.open("wb") as file:
            shutil.copyfileobj(picture.file, file, 1 << 20)
        text = studio.decoder.read_record(path)
    if text is None:
        raise Problem("no_record", "this picture contains no impasto recipe")
    try:
        record = parse_provenance(text, Path("the picture"))
    except RecipeError:
        raise
    except ImpastoError as error:
        raise Problem("no_record", str(error)) from None
    recipe, start = record.recipe, record.recipe.start.image
    if start is not None:  # the picture itself is not in the record
        recipe = recipe.with_changes({"start.base": "content", "start.image": None})
    return Restored(
        recipe=recipe.model_dump(mode="json"),
        init=None if start is None else clean_name(start),
        version=clean_name(record.version),
        photo=_describe_file(record.inputs[0]),
        paintings=[_describe_file(each) for each in record.inputs[1:]],
        masks=[_describe_file(each) for each in record.masks],
    )


def _describe_file(entry: tuple[str, str]) -> NamedHash:
    return NamedHash(name=clean_name(entry[0]), sha256=clean_name(entry[1]))
