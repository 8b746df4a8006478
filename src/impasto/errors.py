"""Every error impasto raises on purpose, and the exit code each one becomes.

ImpastoError
├── InputError       2  bad input or usage
│   ├── ImageError      2  a picture that cannot be read, or is not one of the accepted formats
│   ├── ClipError       2  a clip that cannot be read or is of a kind that is refused
│   ├── RecipeError     2  an unknown recipe, field or value
│   └── WeightsError    2  a missing, wrong or damaged network weights file
├── LimitError       3  a picture or file over one of the limits
└── ResourceError    4  out of disk or memory

A run that its user stops is no error: it writes what there is and its exit code is 130.
A message is one line: what is wrong, where, and what would be right.
"""

from __future__ import annotations

from typing import ClassVar


def counted(number: int, what: str) -> str:
    """``1 mask``, ``2 masks``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class ImpastoError(Exception):
    """Base of every error raised on purpose."""

    exit_code: ClassVar[int] = 2


class InputError(ImpastoError):
    """Bad input or usage."""


class ImageError(InputError):
    """A picture that cannot be read, or whose format is not accepted."""


class ClipError(InputError):
    """A clip that cannot be read, or that is of a kind that is refused."""


class RecipeError(InputError):
    """An unknown recipe, an unknown field, or a value out of its range."""


class WeightsError(InputError):
    """A missing, wrong or damaged weights file; names the expected and the found hash or shape."""


class LimitError(ImpastoError):
    """A file, picture or request over a documented limit."""

    exit_code = 3


class ResourceError(ImpastoError):
    """Out of disk space, memory, or permission to write."""

    exit_code = 4


MEMORY_WORDS = ("out of memory", "allocate memory", "bad_alloc", "alloc_failed", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, by the error's type or by the words that torch, its backends
    and the libraries below them have for it.
    """
    # torch's own type is known by its name, for this module does not import torch.
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or any(word in str(error).lower() for word in MEMORY_WORDS)
