"""Read MATLAB's level 5 MAT-files as data, within bounds.

Only what weight files consist of is read: numeric arrays, texts, cell arrays and structs. Every
count and size is checked against the bytes that are there, so that a damaged or hostile file is an
error. SciPy's reader can end the process on such a file.

The format is described in MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

HEADER = 128
"""Bytes before the first element."""
DEEPEST = 12
"""Levels of arrays within arrays."""
LARGEST = 2**31
"""Bytes of a compressed element when unpacked; VGG-19 with its classifier has 0.6 GB."""
MOST_ELEMENTS = 100_000
"""Arrays in a file; weight files have some hundreds."""

MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""NumPy's names of the types that numbers are stored as."""
TEXTS = {4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, STRUCT, TEXT = 1, 2, 4
CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
"""NumPy's names of the classes of numeric arrays."""


class MatFileError(ValueError):
    """The file is damaged, or not a MAT-file of level 5."""


def read_mat_file(data: bytes) -> dict[str, Any]:
    """Read all variables of a MAT-file.

    Args:
        data: the contents of the file.

    Returns:
        By name: numeric arrays as NumPy arrays, texts as ``str``, cell arrays as lists, structs as
        dictionaries (arrays of structs as lists of them), and ``None`` for any other class.

    Raises:
        MatFileError: the file is damaged, too large, or not a MAT-file of level 5.
    """
    if len(data) < HEADER or data[126:128] not in (b"IM", b"MI"):
        raise MatFileError("not a MAT-file of level 5")
    reader = _Reader("<" if data[126:128] == b"IM" else ">")
    variables = {}
    for element in reader.split(memoryview(data)[HEADER:]):
        kind, body = reader.unpack(element[1]) if element[0] == COMPRESSED else element
        if kind == MATRIX:
            array = reader.read_array(body, 0)
            if array is not None:
                variables[array.name] = array.value
    return variables


@dataclass(frozen=True)
class _Array:
    name: str
    value: Any


class _Reader:
    """Reads elements in one byte order."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._left = MOST_ELEMENTS

    def split(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield the type and the body of each element."""
        place = 0
        while place < len(data):
            if len(data) - place < 8:
                raise MatFileError("an element is cut off")
            kind, size = struct.unpack_from(f"{self._order}II", data, place)
            if kind >> 16:  # up to four bytes are stored in the tag itself
                kind, size, begin = kind & 0xFFFF, kind >> 16, place + 4
                if size > 4:
                    raise MatFileError("a small element is too large")
                end, next_place = begin + size, place + 8
            else:
                begin, end = place + 8, place + 8 + size
                next_place = end if kind == COMPRESSED else end + -size % 8
            if end > len(data):
                raise MatFileError("an element is cut off")
            yield kind, data[begin:end]
            place = next_place

    def unpack(self, body: memoryview) -> tuple[int, memoryview]:
        """Decompress an element and return its type and body."""
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(body, LARGEST)
        except zlib.error:
            raise MatFileError("compressed data are damaged") from None
        if inflater.unconsumed_tail or not inflater.eof:
            raise MatFileError("compressed data are damaged or too large")
        for element in self.split(memoryview(data)):
            return element
        raise MatFileError("compressed data are empty")

    def read_array(self, body: memoryview, depth: int) -> _Array | None:
        """Read an array. None: an empty element, which stands for an empty array."""
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise MatFileError("too many arrays, or too deep")
        parts = iter(self.split(body))
        flags = next(parts, None)
        if flags is None:
            return None
        if len(flags[1]) < 4:
            raise MatFileError("an array has no flags")
        (first,) = struct.unpack_from(f"{self._order}I", flags[1])
        kind, is_complex = first & 0xFF, bool(first & 0x0800)
        shape = tuple(int(side) for side in self._read_numbers(*self._take(parts)))
        if not 1 <= len(shape) <= 8 or min(shape) < 0:
            raise MatFileError("an array has no shape")
        name = bytes(self._take(parts)[1]).decode("ascii", "replace")
        if is_complex:
            return _Array(name, None)
        if kind in CLASSES:
            return _Array(name, self._read_numeric(parts, shape, CLASSES[kind]))
        if kind == TEXT:
            return _Array(name, self._read_text(*self._take(parts)))
        if kind == CELL:
            return _Array(name, self._read_cells(parts, math.prod(shape), depth))
        if kind == STRUCT:
            return _Array(name, self._read_structs(parts, math.prod(shape), depth))
        return _Array(name, None)

    @staticmethod
    def _take(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
        part = next(parts, None)
        if part is None:
            raise MatFileError("an array is incomplete")
        return part

    def _read_numbers(self, kind: int, body: memoryview) -> Any:
        if kind not in NUMBERS:
            raise MatFileError("numbers of an unknown type")
        dtype = np.dtype(self._order + NUMBERS[kind])
        if len(body) % dtype.itemsize:
            raise MatFileError("numbers are cut off")
        return np.frombuffer(body, dtype)

    def _read_numeric(
        self, parts: Iterator[tuple[int, memoryview]], shape: tuple[int, ...], dtype: str
    ) -> Any:
        numbers = self._read_numbers(*self._take(parts))
        if numbers.size != math.prod(shape):
            raise MatFileError("an array's shape does not match its numbers")
        return numbers.astype(dtype).reshape(shape, order="F")

    def _read_text(self, kind: int, body: memoryview) -> str:
        if kind in (1, 2):
            return bytes(body).decode("latin-1")
        if kind not in TEXTS:
            raise MatFileError("a text of an unknown type")
        return bytes(body).decode(TEXTS[kind] + self._suffix(kind), "replace")

    def _suffix(self, kind: int) -> str:
        if kind == 16:
            return ""
        return "-le" if self._order == "<" else "-be"

    def _read_cells(
        self, parts: Iterator[tuple[int, memoryview]], count: int, depth: int
    ) -> list[Any]:
        cells: list[Any] = []
        for kind, body in parts:
            if kind != MATRIX or len(cells) == count:
                raise MatFileError("a cell array's shape does not match its cells")
            array = self.read_array(body, depth + 1)
            cells.append(None if array is None else array.value)
        if len(cells) != count:
            raise MatFileError("a cell array's shape does not match its cells")
        return cells

    def _read_structs(self, parts: Iterator[tuple[int, memoryview]], count: int, depth: int) -> Any:
        lengths = self._read_numbers(*self._take(parts))
        length = int(lengths[0]) if lengths.size == 1 else 0
        names = bytes(self._take(parts)[1])
        if length < 1 or len(names) % length:
            raise MatFileError("a struct's field names are damaged")
        fields = [
            names[i : i + length].split(b"\0")[0].decode("ascii", "replace")
            for i in range(0, len(names), length)
        ]
        values = self._read_cells(parts, count * len(fields), depth)
        width = len(fields)
        structs = [
            dict(zip(fields, values[i * width : (i + 1) * width], strict=True))
            for i in range(count)
        ]
        return structs[0] if count == 1 else structs
