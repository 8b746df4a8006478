"""Errors name an option by its Python name, and every face shows its own name for it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from impasto.cli.reports.error_text import describe_error, name_flag
from impasto.errors import ImageError, InputError, LimitError, RecipeError, ResourceError
from impasto.studio.problems import make_problem


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
