"""The page at ``/docs``: the OpenAPI document as plain HTML, made by the server itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from impasto.studio.problems import CODES

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>impasto studio: HTTP API</title>
<link rel="stylesheet" href="/static/reference.css"></head><body><main>
"""
TAIL = "</main></body></html>\n"


def reference_page(document: dict[str, Any]) -> str:
    """The HTML of an OpenAPI document, and of the codes of problems."""
    return "".join((HEAD, *_parts(document), TAIL))


def _parts(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
    yield f"<p>{escape(info['summary'])} As a document for programs: "
    yield '<a href="/openapi.json">openapi.json</a>.</p>'
    yield "<nav><a href='#requests'>Requests</a> <a href='#schemas'>Schemas</a> "
    yield "<a href='#problems'>Problems</a></nav><h2 id='requests'>Requests</h2>"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield from _operation(method.upper(), path, operation)
    yield "<h2 id='schemas'>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "<h2 id='problems'>Problems</h2><p>An answer of 400 or more is "
    yield "<code>application/problem+json</code> (RFC 9457); its <code>code</code> never changes."
    yield "</p><table><tr><th>code<th>status<th>title</tr>"
    for code, (status, title) in CODES.items():
        yield f"<tr id='{code}'><td><code>{code}</code><td>{status}<td>{escape(title)}</tr>"
    yield "</table>"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<section><h3><b class='{method.lower()}'>{method}</b> <code>{escape(path)}</code></h3>"
    yield _prose(operation.get("description", ""))
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>type</tr>"
        for each in parameters:
            cells = f"<code>{escape(each['name'])}</code><td>{each['in']}<td>"
            yield f"<tr><td>{cells}{_type(each['schema'])}</tr>"
        yield "</table>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{escape(kind)}</code>: {_type(content['schema'])}</p>"
    yield "<table><tr><th>status<th>answer<th></tr>"
    for status, answer in sorted(operation["responses"].items()):
        kinds = ", ".join(_type(c.get("schema", {})) for c in answer.get("content", {}).values())
        told = _prose(answer.get("description", "").removeprefix("Successful Response"))
        yield f"<tr><td>{escape(status)}<td>{kinds}<td>{told}</tr>"
    yield "</table></section>"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"<section id='{escape(name)}'><h3>{escape(name)}</h3>"
    yield _prose(schema.get("description", ""))
    yield "<table><tr><th>field<th>type<th></tr>"
    needed = schema.get("required", [])
    for field, content in schema.get("properties", {}).items():
        star = " *" if field in needed else ""
        yield f"<tr><td><code>{escape(field)}</code>{star}<td>{_type(content)}"
        yield f"<td>{_prose(content.get('description', ''))}</tr>"
    yield "</table></section>"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        fields = (f"<code>{escape(n)}</code> ({_type(s)})" for n, s in schema["properties"].items())
        return "parts " + ", ".join(fields)
    return escape(str(schema.get("format") or schema.get("type") or "anything"))


def _prose(text: str) -> str:
    """Text with names in backquotes; those of problems lead to them."""
    html = re.sub("`+([^`]+)`+", _name, escape(" ".join(text.split())))
    return f"<p>{html}</p>" if html else ""


def _name(found: re.Match[str]) -> str:
    code = f"<code>{found[1]}</code>"
    return f"<a href='#{found[1]}'>{code}</a>" if found[1] in CODES else code
