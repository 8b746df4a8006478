"""Sizes of memory and disks on the command line."""

from __future__ import annotations

import argparse

import pytest

from impasto.cli.options.arguments import parse_byte_count

GIB, MIB = 2**30, 2**20


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("2", 2 * GIB), ("1.5", 3 * GIB // 2), ("1.5GB", 3 * GIB // 2), ("2g", 2 * GIB)),
        *(("800MiB", 800 * MIB), ("800 mb", 800 * MIB), ("1TiB", 1024 * GIB), (".5", GIB // 2)),
    ],
)
def test_sizes_take_units_and_a_bare_number_is_gb(text, count):
    assert parse_byte_count(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1", "0", "1MB", "2 GBs", "nan", "1e9", "9" * 40])
def test_other_sizes_are_one_line(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a size of 100 MB or more"):
        parse_byte_count(text)
