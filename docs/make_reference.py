"""Write ``docs/reference.md`` from the code: commands, recipe fields and exit codes.

``python docs/make_reference.py`` replaces the file. A test compares it with the code.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

from impasto import errors
from impasto.cli import COMMANDS, INTERRUPTED
from impasto.recipe import recipe as recipe_module
from impasto.recipe import tables
from impasto.recipe.engine_registry import list_engines
from impasto.recipe.recipe import Recipe

REFERENCE = Path(__file__).with_name("reference.md")
HEAD = """\
# Reference

This page is generated from the code by `make reference`. The
[guides](../README.md#where-to-go-next) explain how to use what is listed here.
"""
EXIT_CODES = f"""\
## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | parts failed: cells of a sheet, pictures of a batch; or a batch kept outputs of other inputs |
| {errors.InputError.exit_code} | bad input or usage; weights missing, damaged or not downloadable |
| {errors.LimitError.exit_code} | a limit on sizes was exceeded |
| {errors.ResourceError.exit_code} | no memory, disk space, device or permission to write |
| {INTERRUPTED} | interrupted; the best picture so far is written, without its recipe |
"""


class _ParserFound(Exception):  # noqa: N818 -- carries the parser out of the command
    """Carries the parser out of a command that was about to parse its arguments."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def render_reference() -> str:
    """Render the whole page."""
    parts = [HEAD, EXIT_CODES, "## Commands\n"]
    main_job = dict(_list_arguments(_find_parser("stylize")))
    for command, summary in COMMANDS.items():
        known = {} if command == "stylize" else main_job
        parts += _render_command(f"impasto {command}", _find_parser(command), known, summary)
    parts += ["## Recipe fields\n", *_render_fields()]
    return "\n".join(parts)


def _find_parser(command: str) -> argparse.ArgumentParser:
    """Start a command and stop it where it would parse its arguments."""

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise _ParserFound(parser)

    with patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            import_module(f"impasto.cli.commands.{command}_command").run([])
        except _ParserFound as found:
            return found.parser
    raise AssertionError(f"impasto {command} parses no arguments")


def _render_command(
    title: str, parser: argparse.ArgumentParser, known: dict[str, str], summary: str = ""
) -> Iterator[str]:
    """Render a command and those below it.

    Args:
        title: of the section.
        parser: of the command.
        known: arguments of the main job, which are named but not explained again.
        summary: used where the parser describes nothing.
    """
    yield f"### {title}\n"
    yield f"{_join_lines(parser.description or summary)}\n"
    if parser.usage:
        yield f"    {_join_lines(parser.usage)}\n"
    rows = dict(_list_arguments(parser))
    shared = [name for name, meaning in rows.items() if known.get(name) == meaning]
    if len(shared) > 3:
        names = ", ".join(_shorten(name) for name in shared)
        yield f"As for [impasto stylize](#impasto-stylize): {names}.\n"
        rows = {name: meaning for name, meaning in rows.items() if name not in shared}
    if rows:
        lines = [f"| {name} | {meaning} |" for name, meaning in rows.items()]
        yield "\n".join(["| argument | meaning |", "| --- | --- |", *lines]) + "\n"
    for group in parser._action_groups:
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {each.dest: each.help or "" for each in action._choices_actions}
                for name, each in action.choices.items():
                    yield from _render_command(f"{title} {name}", each, {}, helps.get(name, ""))


def _list_arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for group in parser._action_groups:
        for action in group._group_actions:
            hidden = action.help is argparse.SUPPRESS or action.dest in ("help", "version")
            if not hidden and not isinstance(action, argparse._SubParsersAction):
                yield _name_argument(action), _describe(action, parser)


def _shorten(argument: str) -> str:
    """Name a flag without its value."""
    return f"`{argument.strip('`').split()[0].strip(',')}`"


def _name_argument(action: argparse.Action) -> str:
    value = action.metavar
    if value is None and action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if value is None and (not action.option_strings or action.nargs != 0):
        value = action.dest.upper()
    if isinstance(value, tuple):
        value = " ".join(value)
    if value and action.nargs == "?" and action.option_strings:
        value = f"[{value.strip('[]')}]"
    names = ", ".join(action.option_strings)
    text = f"{names} {value or ''}".strip() if action.nargs != 0 else names
    return f"`{text}`".replace("|", "\\|")


def _describe(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    if not action.help:
        return ""
    text = parser._get_formatter()._expand_help(action)
    return _join_lines(text).replace("|", "\\|")


def _render_fields() -> Iterator[str]:
    yield "A dot reaches into a table: `--set style.scale=2`, in TOML `[style]` and `scale = 2`.\n"
    schema = Recipe.model_json_schema()
    notes = _read_field_notes()
    top, inner = [], []
    for name, field in schema["properties"].items():
        definition = field.get("$ref") or next(
            (each["$ref"] for each in field.get("allOf", ()) if "$ref" in each), None
        )
        if definition is None:
            top.append(_render_field(name, field, schema, notes["Recipe"].get(name, "")))
            continue
        table = definition.rpartition("/")[2]
        inner.append(f"### {name}\n")
        about = schema["$defs"][table].get("description", "")
        inner.append(f"{_to_markdown(about)}\n")
        inner.append("| field | values | default | meaning |\n| --- | --- | --- | --- |")
        inner += [
            _render_field(f"{name}.{key}", each, schema, notes[table].get(key, ""))
            for key, each in schema["$defs"][table]["properties"].items()
        ]
        inner.append("")
    yield "| field | values | default | meaning |\n| --- | --- | --- | --- |"
    yield from top
    yield ""
    yield from inner


def _render_field(name: str, field: dict[str, Any], schema: dict[str, Any], note: str) -> str:
    cells = (
        f"`{name}`",
        _name_values(field, schema),
        _show_value(field.get("default")),
        _to_markdown(note),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _name_values(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if "const" in field:
        return _show_value(field["const"])
    if "enum" in field:
        return ", ".join(map(_show_value, field["enum"]))
    if "anyOf" in field:
        return ", or ".join(_name_values(each, schema) for each in field["anyOf"])
    match field.get("type"):
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + _name_range(field)
        case "string":
            return "text"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "none"
        case "array":
            return "list of numbers"
        case "object":
            return "a weight for each layer"
    raise AssertionError(f"no name for the values {field}")


def _name_range(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f" from {_show_number(low)} to {_show_number(high)}"
    limits = (
        ("at least", low),
        ("above", field.get("exclusiveMinimum")),
        ("at most", high),
        ("below", field.get("exclusiveMaximum")),
    )
    parts = [f"{word} {_show_number(limit)}" for word, limit in limits if limit is not None]
    return " " + " and ".join(parts) if parts else ""


def _show_number(value: float) -> str:
    if value >= 2**32 and math.log2(value).is_integer():
        return f"2^{int(math.log2(value))}"
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(int(value))


def _show_value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return f"`{{ {', '.join(f'{key} = {each:g}' for key, each in value.items())} }}`"
    if isinstance(value, list | tuple):
        return f"`{list(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{_show_number(value)}`"


def _read_field_notes() -> dict[str, dict[str, str]]:
    """Read the text below each field in the source, by class and field."""
    notes: dict[str, dict[str, str]] = {}
    for module in (tables, recipe_module):
        for node in ast.parse(inspect.getsource(module)).body:
            if not isinstance(node, ast.ClassDef):
                continue
            texts = notes.setdefault(node.name, {})
            for field, below in zip(node.body, node.body[1:], strict=False):
                is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and is_text
                ):
                    texts[field.target.id] = str(below.value.value)
    engines = (f"``{entry.name}`` {entry.summary}" for entry in list_engines())
    notes["EngineChoice"]["kind"] = " ".join(engines)
    return notes


def _to_markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text)
    return _join_lines(text.replace("``", "`"))


def _join_lines(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    REFERENCE.write_text(render_reference())
