"""The errors that impasto raises on purpose, with the exit code that each one becomes.

ImpastoError
├── InputError       2  bad input or usage
│   ├── ImageError      2  a picture that cannot be read, or whose format is not supported
│   ├── ClipError       2  a clip that cannot be read, or whose format is not supported
│   ├── RecipeError     2  an unknown recipe, field or value
│   └── WeightsError    2  missing, wrong or damaged network weights
├── LimitError       3  a picture or file that exceeds a limit
└── ResourceError    4  out of disk space, memory or permission to write

A run that the user stops is not an error: it writes what it has, and its exit code is 130.

A message is one line that says what is wrong, where, and what would be right. It names options by
their Python names in backticks, ``ask for a smaller `size```, and never by a flag. Every face shows
its own name for the option instead, see :meth:`ImpastoError.describe`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self


def format_count(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 mask``, ``2 masks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ImpastoError(Exception):
    """Base of every error that impasto raises on purpose.

    Attributes:
        exit_code: of the command line.
        what: the thing that is wrong, such as ``"the mask"``. None: the message says it.
        where: the file, layer, table or row that it is in. None: nowhere in particular.
        limit: the number that was exceeded. None: no limit was.
        expected: what would be right. None: the message says it.
        field: the option concerned, by its keyword in Python or its key in a recipe
            (``"max_memory"``, ``"style.scale"``). None: no single option is.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self,
        message: str = "",
        *,
        what: str | None = None,
        where: str | None = None,
        limit: float | None = None,
        expected: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message)
        self.what = what
        self.where = where
        self.limit = limit
        self.expected = expected
        self.field = field

    def describe(self, name_field: Callable[[str], str]) -> str:
        """Write the message with another name for the option concerned.

        Args:
            name_field: gives a face's name for an option, by its Python name.

        Returns:
            The message, in which the name replaces the option's Python name in backticks. Where
            the message does not mention the option, the name follows it in parentheses.
        """
        message = str(self)
        if self.field is None:
            return message
        mention = f"`{self.field}`"
        if mention in message:
            return message.replace(mention, name_field(self.field))
        if f"{self.field}: " in message:  # as messages about recipes do
            return message
        return f"{message} ({name_field(self.field)})"

    def copy_with_place(self, place: str) -> Self:
        """Return the same error with the place before its message, to raise it again.

        Args:
            place: such as ``"table.csv line 2"``.
        """
        return type(self)(
            f"{place}: {self}",
            what=self.what,
            where=self.where or place,
            limit=self.limit,
            expected=self.expected,
            field=self.field,
        )


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
