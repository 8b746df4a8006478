"""Argument types of films."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction

FASTEST = 1000


def seconds(text: str) -> Fraction:
    """``2.5``, ``1:02.5`` or ``1:00:00``."""
    if not re.fullmatch(r"(\d{1,3}:){0,2}\d{1,6}(\.\d{1,9})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: seconds, m:ss or h:mm:ss")
    total = Fraction(0)
    for part in text.split(":"):
        total = 60 * total + Fraction(part)
    return total


def time_range(text: str) -> tuple[Fraction, Fraction | None]:
    """``FROM-TO``, either of which may be missing."""
    begin, dash, end = text.partition("-")
    if not dash or not (begin or end):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range: 2.5-10, 7- or -1:30")
    first, last = seconds(begin or "0"), seconds(end) if end else None
    if last is not None and last <= first:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    return first, last


def frame_rate(text: str) -> Fraction:
    """``24``, ``23.976`` or ``30000/1001``."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= FASTEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a frame rate: a number or fraction above 0, at most {FASTEST}"
        )
    return rate


def raw_format(text: str) -> tuple[int, int, Fraction]:
    """``WIDTHxHEIGHT@RATE``."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(.+)", text)
    if not found or not int(found[1]) * int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT@RATE, such as 640x360@24")
    return int(found[1]), int(found[2]), frame_rate(found[3])
