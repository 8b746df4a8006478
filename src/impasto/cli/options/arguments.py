"""Argument types and a parser whose complaints are one line."""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse, complaining the way the rest of impasto does: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            flags = [o for action in self._actions for o in action.option_strings]
            options = [flag for flag in flags if flag.startswith("--")]
            near = difflib.get_close_matches(unknown.split()[0], options, 1)
            message = f"unknown argument {unknown}" + (f", did you mean {near[0]}?" if near else "")
        if message.startswith("argument --quality: invalid choice"):
            message += "; `impasto recipes` lists what --recipe has besides"
        self.exit(2, f"impasto: error: {one_line(message)} (see {self.prog} --help)\n")


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


def gigabytes(text: str) -> int:
    """An argument type: memory in bytes, from a number of gigabytes (2**30 bytes)."""
    return round(number(0.1)(text) * 2**30)


def device(text: str) -> str:
    """An argument type: the name of a device, whether or not this machine has it."""
    if not re.fullmatch(r"auto|(cpu|cuda|mps)(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"no device {text!r}: use auto, cpu, cuda, cuda:N or mps")
    return text


def one_line(text: str) -> str:
    """Spell out control characters: names come from files, and files from anyone."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(line: str) -> None:
    """One line to standard error, where everything but results goes."""
    print("impasto: " + one_line(line), file=sys.stderr, flush=True)


def notice_for(*, quiet: bool) -> Callable[[str], None] | None:
    """Who hears of what was adapted or ignored in a picture: nobody with ``--quiet``."""
    return None if quiet else say
