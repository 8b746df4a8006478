"""The OpenAPI document: FastAPI's, and what requests are made of, which routes read themselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from impasto.recipe.recipe import Recipe
from impasto.studio.http.schema import JobRequest

_REF = "#/components/schemas/{model}"


def document(app: FastAPI) -> dict[str, Any]:
    """Of an application; made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = made["components"]["schemas"]
        for model in (Recipe, JobRequest):
            schema = model.model_json_schema(ref_template=_REF)
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        # Read by the recipe's own code, whose complaints name the field.
        recipe = {"$ref": _REF.format(model="Recipe")}
        schemas["JobRequest"]["properties"]["recipe"]["anyOf"][1] = recipe
        for answer in ("Job", "NamedRecipe", "Restored"):
            schemas[answer]["properties"]["recipe"] = recipe
        made["components"]["schemas"] = dict(sorted(schemas.items()))
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{}, {"token": []}]
        app.openapi_schema = made
    return app.openapi_schema
