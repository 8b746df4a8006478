"""Argument types and a parser whose complaints are one line."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse, complaining the way the rest of impasto does: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            options = [o for action in self._actions for o in action.option_strings]
            near = difflib.get_close_matches(unknown.split()[0], options, 1)
            message = f"unknown argument {unknown}" + (f", did you mean {near[0]}?" if near else "")
        self.exit(2, f"impasto: error: {message} (see {self.prog} --help)\n")


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argument type: an integer in a closed range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {low} to {high}")
        return value

    return parse


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """An argument type: a finite float in a closed range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            limit = f"of {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limit}")
        return value

    return parse


def say(line: str) -> None:
    """One line to standard error, where everything but results goes."""
    print("impasto: " + line.replace("\n", "\\n"), file=sys.stderr, flush=True)
