"""The routes of what there is to choose from, and of recipes found in pictures."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile

from impasto.errors import ImpastoError, RecipeError
from impasto.recipe.recipe import Recipe, list_recipes, load_recipe
from impasto.record.provenance import parse_provenance
from impasto.studio.http.forms import in_time
from impasto.studio.http.routes import TheStudio, problems
from impasto.studio.http.schema import NamedHash, NamedRecipe, Recipes, Restored, Style, Styles
from impasto.studio.http.staging import display_name
from impasto.studio.page.examples import painting, paintings
from impasto.studio.problems import Problem
from impasto.studio.studio import Studio

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/recipes")
def recipes() -> Recipes:
    """The shipped recipes."""
    found = [load_recipe(name) for name in list_recipes()]
    return Recipes(
        recipes=[
            NamedRecipe(
                name=recipe.name,
                description=recipe.description,
                recipe=recipe.model_dump(mode="json"),
            )
            for recipe in found
        ]
    )


@router.get("/recipes/schema")
def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe."""
    return Recipe.model_json_schema()


@router.get("/styles")
def styles() -> Styles:
    """The shipped paintings."""
    return Styles(
        styles=[
            Style(
                name=each.name,
                title=each.title,
                url=f"/v1/styles/{each.name}",
                credit=each.credit,
            )
            for each in paintings().values()
        ]
    )


@router.get(
    "/styles/{name}",
    response_class=FileResponse,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **problems("not_found", "bad_parameter"),
    },
)
def style(name: Annotated[str, InPath(max_length=40)]) -> FileResponse:
    """A shipped painting."""
    return FileResponse(
        painting(name).path,
        media_type="image/jpeg",
        headers={"cache-control": "private, max-age=3600"},
    )


@router.post(
    "/restore",
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
    responses=problems(
        *("bad_request", "too_large", "over_limit", "not_a_picture", "no_record", "bad_recipe"),
        *("bad_input", "wrong_type", "slow_upload", "too_many_uploads", "no_resources"),
    ),
)
async def restore(request: Request, studio: TheStudio) -> Restored:
    """The recipe inside a finished picture."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem("wrong_type", "send multipart/form-data with a part named picture")
    with studio.uploading():
        async with in_time():
            form = await request.form(max_files=1, max_fields=1)
        try:
            picture = form.get("picture")
            if not isinstance(picture, UploadFile):
                raise Problem("bad_input", "picture: there is none")
            return await run_in_threadpool(_restored, studio, picture)
        finally:
            await form.close()


def _restored(studio: Studio, picture: UploadFile) -> Restored:
    with studio.folder.new() as (_, place):
        path = place / "picture"
        with path.open("wb") as file:
            shutil.copyfileobj(picture.file, file, 1 << 20)
        text = studio.decoder.record(path)
    if text is None:
        raise Problem("no_record", "this picture carries no impasto recipe")
    try:
        found = parse_provenance(text, Path("the picture"))
    except RecipeError:
        raise
    except ImpastoError as error:
        raise Problem("no_record", str(error)) from None
    recipe, began = found.recipe, found.recipe.start.image
    if began is not None:  # the picture itself is not in the record
        recipe = recipe.with_changes({"start.base": "content", "start.image": None})
    return Restored(
        recipe=recipe.model_dump(mode="json"),
        init=None if began is None else display_name(began),
        version=display_name(found.version),
        photo=_named(found.inputs[0]),
        paintings=[_named(each) for each in found.inputs[1:]],
        masks=[_named(each) for each in found.masks],
    )


def _named(entry: tuple[str, str]) -> NamedHash:
    return NamedHash(name=display_name(entry[0]), sha256=display_name(entry[1]))
