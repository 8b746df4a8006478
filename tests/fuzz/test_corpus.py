"""Inputs that the fuzzer found: none of them raises anything but a documented error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("pillow_heif")

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_targets import TARGETS, read_input

CORPUS = Path(__file__).with_name("corpus")
SAMPLE = 6
"""The tests read every sixth input; `make fuzz` begins with all of them."""


@pytest.mark.parametrize("name", [*TARGETS])
def test_kept_inputs_are_read_or_refused(name):
    paths = sorted((CORPUS / name).iterdir())
    assert len(paths) > SAMPLE
    for path in paths[::SAMPLE]:
        read_input(name, path.read_bytes())


def test_the_corpus_is_small():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 2_000_000
