"""Read the header of a PLY file, which lists the elements of a scene and their properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.errors import InputError

BEGIN = (b"ply\n", b"ply\r")
END = b"end_header"
LONGEST = 65_536
"""Longest header in bytes."""
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}


@dataclass(frozen=True)
class PlyElement:
    """One element of a PLY file.

    Attributes:
        name: such as ``vertex``.
        count: how many there are.
        properties: (name, NumPy type without byte order) of each; ``list`` as type of a list.
    """

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of the properties."""
        return frozenset(name for name, _ in self.properties)


@dataclass(frozen=True)
class PlyHeader:
    """The header of a PLY file.

    Attributes:
        order: byte order, ``<`` or ``>``; empty for text.
        elements: in the order of the file.
        length: of the header in bytes.
    """

    order: str
    elements: tuple[PlyElement, ...]
    length: int

    def find(self, name: str) -> PlyElement | None:
        """Return the element of a name. None: there is none."""
        return next((each for each in self.elements if each.name == name), None)

    def make_dtype(self, element: PlyElement) -> np.dtype[np.void]:
        """Return the layout of one record of an element without lists."""
        return np.dtype([(name, self.order + kind) for name, kind in element.properties])


def parse_header(data: bytes, where: str) -> PlyHeader:
    """Read the header at the beginning of a file.

    Args:
        data: the file, or its beginning.
        where: name of the file, for errors.

    Raises:
        InputError: it is damaged.
    """
    end = data.find(END, 0, LONGEST)
    newline = data.find(b"\n", end)
    if end < 0 or newline < 0:
        raise InputError("the PLY header has no end", where=where)
    lines = data[:end].decode("ascii", "replace").split("\n")
    order: str | None = None
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        try:
            match words:
                case [] | ["comment" | "obj_info", *_]:
                    pass
                case ["format", kind, _]:
                    order = ORDERS[kind]
                case ["element", name, count]:
                    elements.append((name, _parse_count(count), []))
                case ["property", "list", _, _, name]:
                    elements[-1][2].append((name, "list"))
                case ["property", kind, name]:
                    elements[-1][2].append((name, TYPES[kind]))
                case _:
                    raise KeyError
        except (KeyError, IndexError, ValueError):
            raise InputError(f"line {number} of the PLY header is damaged", where=where) from None
    if order is None:
        raise InputError("the PLY header names no format", where=where)
    for name, _, properties in elements:
        if len({each for each, _ in properties}) < len(properties):
            raise InputError(f"a property of {name!r} is listed twice", where=where)
    return PlyHeader(order, tuple(PlyElement(n, c, tuple(p)) for n, c, p in elements), newline + 1)


def _parse_count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count
