"""Errors name an option by its Python name, and every face shows its own name for it."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.cli.reports.error_text import describe_error, name_flag
from impasto.errors import ImageError, InputError, LimitError, RecipeError, ResourceError
from impasto.recipe.fields import list_keys
from impasto.recipe.recipe import Recipe
from impasto.studio.problems import make_problem
from sources import SOURCE, name_place, walk_modules

PYTHON_ONLY = {"codes", "grain", "like", "scale"}
"""Options that errors name and that only :class:`impasto.Atelier` has."""


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("max_memory", "--max-memory"),
        ("overwrite", "--force"),
        ("style_masks", "--style-mask"),
        ("schedule.total", "--iterations"),
        ("style.layers.relu3_1", "--set style.layers.relu3_1"),
    ],
)
def test_every_option_has_a_flag(field, flag):
    assert name_flag(field) == flag


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImageError("no such file", where=Path("a.png")), "a.png: no such file"),
        (InputError("is black", where="a", expected="white"), "a: is black; expected white"),
        (InputError(where="a.toml", expected="one table"), "a.toml: expected one table"),
        (InputError("is black", what="the mask"), "the mask is black"),
        (LimitError("is too large", what="the photo", where="a"), "a: the photo is too large"),
        (InputError("-1 is negative", field="seed"), "-1 is negative (`seed`)"),
        (InputError("`seed` is negative", field="seed"), "`seed` is negative"),
        (RecipeError("too large", where="mine: style.scale", field="style.scale"),
         "mine: style.scale: too large"),
    ],
)  # fmt: skip
def test_the_message_is_written_from_the_fields(error, message):
    assert str(error) == message


def test_every_face_replaces_the_name_that_a_message_mentions():
    error = ResourceError("out of memory: ask for a smaller `size`", field="size")
    assert str(error) == "out of memory: ask for a smaller `size`"
    assert describe_error(error) == "out of memory: ask for a smaller --size"
    assert make_problem(error).detail == "out of memory: ask for a smaller size"


def test_the_name_follows_a_message_that_does_not_mention_the_option():
    error = InputError("too little memory", field="max_memory")
    assert describe_error(error) == "too little memory (--max-memory)"
    assert make_problem(error).detail == "too little memory (max_memory)"


def test_backticks_of_other_things_stay():
    error = InputError("no weights: `impasto weights download` or `weights`", field="weights")
    assert describe_error(error) == "no weights: `impasto weights download` or --weights"
    assert describe_error(InputError("give `none`")) == "give `none`"
    assert describe_error(OSError("gone")) == "gone"


def test_a_file_named_like_an_option_keeps_its_name():
    error = InputError("`size` is negative", where="`size`.toml", field="size")
    assert describe_error(error) == "`size`.toml: --size is negative"


def test_an_error_keeps_its_type_and_fields_with_a_place_and_between_processes():
    error = LimitError("too large", what="the photo", limit=100, expected="less", field="size")
    for copy in (error.copy_with_place("t.csv line 2"), pickle.loads(pickle.dumps(error))):
        assert type(copy) is LimitError
        assert (copy.what, copy.limit, copy.expected, copy.field) == (
            "the photo",
            100,
            "less",
            "size",
        )
    placed = ImageError("damaged").copy_with_place("t.csv line 2")
    assert (str(placed), placed.where) == ("t.csv line 2: damaged", "t.csv line 2")
    twice = ImageError("damaged", where="a.png").copy_with_place("t.csv line 2")
    assert (str(twice), twice.where) == ("t.csv line 2: a.png: damaged", "t.csv line 2: a.png")


def list_error_classes() -> frozenset[str]:
    """Names of ImpastoError and of every class below it in the source."""
    names = {"ImpastoError"}
    classes = [n for _, nodes in walk_modules() for n in nodes if isinstance(n, ast.ClassDef)]
    for _ in range(4):  # generations
        names |= {n.name for n in classes if names & {ast.unparse(base) for base in n.bases}}
    return frozenset(names)


def list_calls(names: frozenset[str]) -> Iterator[tuple[str, ast.Call]]:
    for path, nodes in walk_modules():
        for node in nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                yield name_place(path, node.lineno), node


def read_texts(node: ast.expr) -> str:
    """Return the literal parts of an expression."""
    parts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
    return " ".join(part for part in parts if isinstance(part, str))


CALLS = list(list_calls(list_error_classes()))
FIELDS = {"what", "where", "limit", "expected", "field"}


def test_every_error_carries_fields():
    assert len(CALLS) > 300
    assert [at for at, call in CALLS if not FIELDS & {each.arg for each in call.keywords}] == []


def test_what_the_fields_say_is_not_said_again():
    """The place and what is expected belong to their fields, which the class writes."""
    again = []
    for at, call in CALLS:
        (problem,) = call.args or [ast.Constant("")]
        places = {ast.unparse(e.value) for e in call.keywords if e.arg in ("where", "what")}
        first = problem.values[0] if isinstance(problem, ast.JoinedStr) else problem
        start = ast.unparse(first.value) if isinstance(first, ast.FormattedValue) else ""
        if "expected " in read_texts(problem) or start in places:
            again.append(at)
    assert again == []


def test_every_option_that_an_error_names_exists():
    """The command line has a flag for it, or it is an option of Python alone."""
    from importlib import import_module

    flags = set()
    for path in sorted((SOURCE / "cli/commands").glob("*_command.py")):
        module = import_module(f"impasto.cli.commands.{path.stem}")
        if hasattr(module, "build_parser"):
            flags |= {o for action in module.build_parser()._actions for o in action.option_strings}
    fields = {
        each.value.value
        for _, call in CALLS
        for each in call.keywords
        if each.arg == "field" and isinstance(each.value, ast.Constant)
    }
    keys = {field for field in fields if "." in field}
    assert keys <= set(list_keys(Recipe().model_dump()))
    assert {field for field in fields - keys if name_flag(field) not in flags} == PYTHON_ONLY
