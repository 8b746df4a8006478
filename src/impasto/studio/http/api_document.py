"""Document the HTTP API: the OpenAPI document, and the same as plain HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from impasto.recipe.recipe import Recipe
from impasto.studio.http.schema import PUBLIC_NAMES, JobRequest
from impasto.studio.problems import CODES

_PREFIX = "#/components/schemas/"

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>impasto studio: HTTP API</title>
<link rel="stylesheet" href="/static/reference.css"></head><body><main>
"""
TAIL = "</main></body></html>\n"


def build_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an application, with the bodies that routes read themselves.

    It is built once.
    """
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        schemas = document["components"]["schemas"]
        for model in (Recipe, JobRequest):
            schema = model.model_json_schema(ref_template=f"{_PREFIX}{{model}}")
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        document = use_public_names(document)
        schemas = document["components"]["schemas"]
        # The recipe's own code reads it, and its messages name the field.
        recipe = {"$ref": f"{_PREFIX}Recipe"}
        schemas["JobRequest"]["properties"]["recipe"]["anyOf"][1] = recipe
        for answer in ("Job", "NamedRecipe", "Restored"):
            schemas[answer]["properties"]["recipe"] = recipe
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{}, {"token": []}]
        app.openapi_schema = document
    return app.openapi_schema


def use_public_names(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document, or a JSON Schema, in which schemas have their public names."""

    def rename(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {
                PUBLIC_NAMES.get(each, each) if key in ("schemas", "$defs") else each: rename(
                    below, each
                )
                for each, below in value.items()
            }
        if isinstance(value, list):
            return [rename(each) for each in value]
        if key == "title" and isinstance(value, str):
            return PUBLIC_NAMES.get(value, value)
        if key == "$ref" and isinstance(value, str):
            place, _, name = value.rpartition("/")
            return f"{place}/{PUBLIC_NAMES.get(name, name)}"
        return value

    renamed: dict[str, Any] = rename(document)
    return renamed


def render_reference(document: dict[str, Any]) -> str:
    """Return an OpenAPI document, and the codes of problems, as the HTML page at ``/docs``."""
    return "".join((HEAD, *_render_parts(document), TAIL))


def _render_parts(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
    yield f"<p>{escape(info['summary'])} For programs: "
    yield '<a href="/openapi.json">openapi.json</a>.</p>'
    yield "<nav><a href='#requests'>Requests</a> <a href='#schemas'>Schemas</a> "
    yield "<a href='#problems'>Problems</a></nav><h2 id='requests'>Requests</h2>"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _render_operation(method.upper(), path, operation)
    yield "<h2 id='schemas'>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _render_schema(name, schema)
    yield "<h2 id='problems'>Problems</h2><p>An answer with a status of 400 or more is "
    yield "<code>application/problem+json</code> (RFC 9457); its <code>code</code> never changes."
    yield "</p><table><tr><th>code<th>status<th>title</tr>"
    for code, (status, title) in CODES.items():
        yield f"<tr id='{code}'><td><code>{code}</code><td>{status}<td>{escape(title)}</tr>"
    yield "</table>"


def _render_operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<section><h3><b class='{method.lower()}'>{method}</b> <code>{escape(path)}</code></h3>"
    yield _render_prose(operation.get("description", ""))
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>type</tr>"
        for each in parameters:
            cells = f"<code>{escape(each['name'])}</code><td>{each['in']}<td>"
            yield f"<tr><td>{cells}{_render_type(each['schema'])}</tr>"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{escape(kind)}</code>: {_render_type(content['schema'])}</p>"
    yield "<table><tr><th>status<th>answer<th></tr>"
    for status, answer in sorted(operation["responses"].items()):
        kinds = ", ".join(
            _render_type(c.get("schema", {})) for c in answer.get("content", {}).values()
        )
        text = _render_prose(answer.get("description", "").removeprefix("Successful Response"))
        yield f"<tr><td>{escape(status)}<td>{kinds}<td>{text}</tr>"
    yield "</table></section>"


def _render_schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"<section id='{escape(name)}'><h3>{escape(name)}</h3>"
    yield _render_prose(schema.get("description", ""))
    yield "<table><tr><th>field<th>type<th></tr>"
    required = schema.get("required", [])
    for field, content in schema.get("properties", {}).items():
        star = " *" if field in required else ""
        yield f"<tr><td><code>{escape(field)}</code>{star}<td>{_render_type(content)}"
        yield f"<td>{_render_prose(content.get('description', ''))}</tr>"
    yield "</table></section>"


def _render_type(schema: dict[str, Any]) -> str:
    """Describe a schema in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_render_type(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
    if schema.get("type") == "array":
        return f"list of {_render_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        fields = (
            f"<code>{escape(n)}</code> ({_render_type(s)})" for n, s in schema["properties"].items()
        )
        return "parts " + ", ".join(fields)
    return escape(str(schema.get("format") or schema.get("type") or "anything"))


def _render_prose(text: str) -> str:
    """Render text in which names are in backquotes, and link the codes of problems."""
    html = re.sub("`+([^`]+)`+", _render_name, escape(" ".join(text.split())))
    return f"<p>{html}</p>" if html else ""


def _render_name(match: re.Match[str]) -> str:
    code = f"<code>{match[1]}</code>"
    return f"<a href='#{match[1]}'>{code}</a>" if match[1] in CODES else code
