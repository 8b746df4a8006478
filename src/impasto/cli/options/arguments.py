"""Define the argument parser, types of arguments, flags that commands share, and messages."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import math
import os
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from impasto.engine.machine.hardware_choice import HardwareChoice

JSON_HELP = "print one JSON object on the last line of standard output"
MEMORY_HELP = (
    "memory limit, such as 1.5GB or 800MiB; a bare number is GB, and 1 GB is 1 GiB. Larger "
    "pictures are processed in tiles and temporary files (default: all free memory)"
)


_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}
_FEWEST_BYTES = 100 * 10**6
_NAMES_FILE = re.compile(
    r"PHOTO|PAINTING|PICTURE|CLIP|RESULT|FILE|DIR|OUT|IN\b|MODEL|NETWORK|\.png"
)
"""Metavariables of arguments that name files."""


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake like the rest of impasto: in one line, with exit code 2."""

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """Refuse an empty file name, which would stand for the current folder."""
        if "" in arg_strings and _NAMES_FILE.search(str(action.metavar)):
            raise argparse.ArgumentError(action, "is empty")
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            flags = [o for action in self._actions for o in action.option_strings]
            options = [flag for flag in flags if flag.startswith("--")]
            near = difflib.get_close_matches(unknown.split()[0], options, 1)
            message = f"unknown argument {unknown}" + (f", did you mean {near[0]}?" if near else "")
        if message.startswith("argument --quality: invalid choice"):
            message += "; see `impasto recipes` for what --recipe accepts"
        self.exit(2, f"impasto: error: {escape_line(message)} (see {self.prog} --help)\n")


def add_hardware_flags(
    group: argparse._ActionsContainer,
    default_device: str | None = "auto",
    memory: str = MEMORY_HELP,
) -> None:
    """Add ``--device``, ``--max-memory``, ``--scratch`` and ``--weights``.

    Args:
        group: the parser or group that gets them.
        default_device: the value of ``--device`` if it is not given. None: the kind of device in a
            picture's record.
        memory: help text of ``--max-memory``.
    """
    add = group.add_argument
    add(
        "--device",
        default=default_device,
        type=parse_device,
        help="auto, cpu, cuda, cuda:N or mps "
        f"(default: {default_device or 'the kind that the picture was made on'})",
    )
    add(
        "--max-memory",
        metavar="SIZE",
        type=parse_byte_count,
        help=memory,
    )
    add(
        "--scratch",
        metavar="DIR",
        help="folder for temporary files (default: TMPDIR or /var/tmp)",
    )
    add("--weights", metavar="FILE", help="VGG weights file (.h5, .pth, .mat or .safetensors)")


def choose_hardware(options: argparse.Namespace) -> HardwareChoice:
    """Return what the flags of :func:`add_hardware_flags` choose."""
    from impasto.engine.machine.hardware_choice import HardwareChoice

    return HardwareChoice(options.device, options.weights, options.max_memory, options.scratch)


def accept_integer(low: int, high: int) -> Callable[[str], int]:
    """Make an argument type: an integer from ``low`` to ``high``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return parse


def accept_number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Make an argument type: a finite number from ``low`` to ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limit}")
        return value

    return parse


def parse_byte_count(text: str) -> int:
    """Parse ``1.5GB``, ``800MiB`` or ``1.5``, which is in GB, to bytes.

    Units are of 2**10, 2**20, 2**30 or 2**40 bytes, with or without the ``i``.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgt])i?b?)?", text.strip().lower())
    count = 0 if match is None else round(float(match[1]) * 2 ** _UNITS[match[2] or "g"])
    if not _FEWEST_BYTES <= count < 2**60:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size of 100 MB or more, such as 1.5GB, 800MiB, or 2 for 2 GB"
        )
    return count


def parse_device(text: str) -> str:
    """Check the name of a device, whether or not this machine has it."""
    if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"no device {text!r}: use auto, cpu, cuda, cuda:N or mps")
    return text


def escape_line(text: str) -> str:
    """Escape control characters: file names may contain any, and files may come from anyone."""
    with contextlib.suppress(UnicodeError):  # names may be UTF-8 where the locale is not
        text = os.fsencode(text).decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(line: str) -> None:
    """Print one line to standard error, where everything but results goes."""
    print("impasto: " + escape_line(line), file=sys.stderr, flush=True)


def choose_notice(*, quiet: bool) -> Callable[[str], None] | None:
    """Return what receives notices about adapted or ignored parts of a picture.

    Args:
        quiet: whether notices are dropped.
    """
    return None if quiet else say
