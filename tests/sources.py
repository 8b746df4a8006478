"""The code as syntax trees, each parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import impasto

SOURCE = Path(impasto.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
REPOSITORY = Path(__file__).parent.parent
PROGRAMS = sorted(p for name in ("tests", "benchmarks") for p in (REPOSITORY / name).rglob("*.py"))
"""Tests, what they share, and benchmarks."""


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def list_nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parse(path)))


def walk_modules() -> Iterator[tuple[Path, list[ast.AST]]]:
    """Give every module of impasto with all nodes of its tree."""
    for path in MODULES:
        yield path, list_nodes(path)


def walk_everything() -> Iterator[tuple[Path, list[ast.AST]]]:
    """Give every module of impasto, the tests and the benchmarks with all nodes of its tree."""
    yield from walk_modules()
    for path in PROGRAMS:
        yield path, list_nodes(path)


def name_module(path: Path) -> str:
    """Return the dotted name of a module of impasto."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def name_place(path: Path, line: int) -> str:
    folder = SOURCE if path.is_relative_to(SOURCE) else REPOSITORY
    return f"{path.relative_to(folder)}:{line}"
