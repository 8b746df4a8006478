"""Define the errors that impasto raises on purpose, and the exit code of each one.

ImpastoError
├── InputError       2  bad input or usage
│   ├── ImageError      2  a picture that cannot be read, or whose format is not supported
│   ├── ClipError       2  a clip that cannot be read, or whose format is not supported
│   ├── RecipeError     2  an unknown recipe, field or value
│   └── WeightsError    2  missing, wrong or damaged network weights
├── LimitError       3  a picture or file that exceeds a limit
└── ResourceError    4  out of disk space, memory or permission to write

A run that the user stops is not an error: it writes what it has, and its exit code is 130.

A message is one line that says what is wrong, where, and what would be right. The class writes it
from the fields of the error, so that a raise states each thing once::

    InputError("is a folder", where="out.png", expected="the name of a file")
    out.png: is a folder; expected the name of a file

Options go by their Python names, in the field ``field`` and in backticks within the text, and never
by a flag. Every interface shows its own name for the option, see :meth:`ImpastoError.describe`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import ClassVar, Self


def format_count(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 mask``, ``2 masks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def quote_field(field: str) -> str:
    """Return an option's name in Python as messages show it, where no interface has its own."""
    return f"`{field}`"


class ImpastoError(Exception):
    """Base of every error that impasto raises on purpose.

    Attributes:
        exit_code: of the command line.
        problem: what is wrong, as the rest of a sentence that ``where`` or ``what`` begins.
        what: the subject of that sentence, such as ``"the mask"``. None: the file or the row in
            ``where``, or the problem is a sentence of its own.
        where: the file, table, row or line concerned. None: nowhere in particular.
        limit: the number that was exceeded, in the unit of the option or field that sets it.
            None: no limit was.
        expected: what would be right. None: the problem says it.
        field: the option concerned, by its keyword in Python or its key in a recipe
            (``"max_memory"``, ``"style.scale"``). None: no single option is.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        problem: str = "",
        *,
        what: str | None = None,
        where: str | os.PathLike[str] | None = None,
        limit: float | None = None,
        expected: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.what = what
        self.where = None if where is None else os.fspath(where)
        self.limit = limit
        self.expected = expected
        self.field = field

    def __str__(self) -> str:
        return self.describe(quote_field)

    def describe(self, name_field: Callable[[str], str]) -> str:
        """Write the message: ``where: what problem; expected ...``.

        Args:
            name_field: gives the name of an option in one interface, by its Python name.

        Returns:
            The message, in which that name replaces the option's Python name in backticks. A
            message that does not mention the option has the name at its end, in parentheses.
        """
        expected = None if self.expected is None else f"expected {self.expected}"
        text = " ".join(filter(None, (self.what, self.problem)))
        text = "; ".join(filter(None, (text, expected)))
        is_named = self.field == self.what or (self.where or "").endswith(f": {self.field}")
        if self.field is not None and not is_named:
            mention, name = f"`{self.field}`", name_field(self.field)
            text = text.replace(mention, name) if mention in text else f"{text} ({name})"
        return text if self.where is None else f"{self.where}: {text}"

    def copy_with_place(self, place: str) -> Self:
        """Return the same error with the place before its own, to raise it again.

        Args:
            place: such as ``"table.csv line 2"``.
        """
        return type(self)(
            self.problem,
            what=self.what,
            where=place if self.where is None else f"{place}: {self.where}",
            limit=self.limit,
            expected=self.expected,
            field=self.field,
        )


@contextlib.contextmanager
def name_option(field: str) -> Iterator[None]:
    """Name the option concerned in an error of the block that names none."""
    try:
        yield
    except ImpastoError as error:
        error.field = error.field or field
        raise


class InputError(ImpastoError):
    """Bad input or usage."""


class ImageError(InputError):
    """A picture that cannot be read, or whose format is not supported."""


class ClipError(InputError):
    """A clip that cannot be read, or whose format is not supported."""


class RecipeError(InputError):
    """An unknown recipe, an unknown field, or a value out of its range."""


class WeightsError(InputError):
    """A weights file that is missing, wrong or damaged; the message gives both hashes or shapes."""


class LimitError(ImpastoError):
    """A file, picture or request that exceeds a documented limit."""

    exit_code = 3


class ResourceError(ImpastoError):
    """Out of disk space, memory, or permission to write."""

    exit_code = 4


MEMORY_WORDS = ("out of memory", "allocate memory", "bad_alloc", "alloc_failed", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed.

    The type decides, or the words that torch, its backends and the libraries below them use.
    """
    # This module does not import torch, so torch's own type is recognized by its name.
    is_known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_known or any(word in str(error).lower() for word in MEMORY_WORDS)


SQLITE_FULL = 13
"""As in :mod:`sqlite3`, which this module does not import."""


def is_disk_full(error: BaseException | None) -> bool:
    """Tell whether an error, or the one that it was raised from, means that the disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(error, "sqlite_errorcode", None) == SQLITE_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
