"""Read and recolor Gaussian splats in PLY files, as 3D Gaussian Splatting writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from impasto.errors import InputError
from impasto.scene.scene_files.ply_header import PlyHeader, parse_header
from impasto.scene.scene_files.splat_file import ViewDependence, check_count, make_splats
from impasto.scene.splats import SH_FIRST, Array, Splats

COLORS = ("f_dc_0", "f_dc_1", "f_dc_2")
NEEDED = (
    "x",
    "y",
    "z",
    *COLORS,
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
)
REST = "f_rest_"
DEGREES = {0: 0, 9: 1, 24: 2, 45: 3, 72: 4}
"""The degree of the spherical harmonics by the number of coefficients beyond the constant ones."""
LARGEST = 60.0
"""Largest logarithm of a scale: beyond, its square is no float32."""


@dataclass(frozen=True)
class SplatPly:
    """Splats in a PLY file.

    Attributes:
        data: the whole file.
        header: its header.
        splats: the scene.
        degree: of the spherical harmonics.
    """

    data: bytes
    header: PlyHeader
    splats: Splats
    degree: int

    @classmethod
    def read(cls, data: bytes, where: str) -> SplatPly:
        """Read a file; see :func:`holds_splats`.

        Raises:
            InputError: it is damaged, or text.
            LimitError: there are too many Gaussians.
        """
        header = parse_header(data, where)
        vertex = header.find("vertex")
        if vertex is None or not holds_splats(header):
            raise InputError("contains no Gaussians", where=where)
        check_count(vertex.count, where)
        if not header.order:
            raise InputError("is a PLY file of text", where=where, expected="a binary one")
        lists = any(kind == "list" for _, kind in vertex.properties)
        if lists or header.elements[0] is not vertex:
            raise InputError("the Gaussians are not the first element", where=where)
        names = vertex.names
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise InputError(f"the Gaussians have no {missing[0]!r}", where=where)
        rest = sum(name.startswith(REST) for name in names)
        if rest not in DEGREES or {f"{REST}{i}" for i in range(rest)} - names:
            raise InputError(
                f"{rest} coefficients that depend on the direction of view",
                where=where,
                expected=", ".join(map(str, DEGREES)),
            )
        dtype = header.make_dtype(vertex)
        if len(data) < header.length + vertex.count * dtype.itemsize:
            present = max(0, len(data) - header.length) // dtype.itemsize
            raise InputError(f"ends after {present:,} of {vertex.count:,} Gaussians", where=where)
        records = np.frombuffer(data, dtype, vertex.count, header.length)
        with np.errstate(all="ignore"):
            logarithms = _gather(records, [f"scale_{i}" for i in range(3)])
            splats = make_splats(
                positions=_gather(records, ["x", "y", "z"]),
                scales=np.exp(np.minimum(logarithms, LARGEST)).clip(1e-12),
                rotations=_gather(records, [f"rot_{i}" for i in range(4)]),
                opacities=1 / (1 + np.exp(-_gather(records, ["opacity"])[:, 0])),
                colors=0.5 + SH_FIRST * _gather(records, COLORS),
                where=where,
            )
        return cls(data, header, splats, DEGREES[rest])

    @property
    def kind(self) -> str:
        """See :class:`impasto.scene.scene_files.splat_file.SplatFile`."""
        return "ply"

    def recolor(self, colors: Array, view_dependent: ViewDependence) -> bytes:
        """See :class:`impasto.scene.scene_files.splat_file.SplatFile`."""
        vertex = self.header.find("vertex")
        assert vertex is not None
        changed = bytearray(self.data)
        records = np.frombuffer(
            changed, self.header.make_dtype(vertex), vertex.count, self.header.length
        )
        moves = ~np.isclose(colors, self.splats.colors.clip(0, 1), atol=1e-6).all(1)
        for channel, name in enumerate(COLORS):
            records[name][moves] = (colors[moves, channel] - 0.5) / SH_FIRST
        if view_dependent != "keep" and self.degree:
            factor = self._measure_factor(colors, view_dependent)
            for index in range(3 * ((self.degree + 1) ** 2 - 1)):
                records[f"{REST}{index}"][moves] *= factor[moves]
        return bytes(changed)

    def _measure_factor(self, colors: Array, view_dependent: ViewDependence) -> Array:
        """Return what each Gaussian's coefficients are multiplied by: how much darker it became."""
        if view_dependent == "drop":
            return np.zeros(len(colors), np.float32)
        before = np.linalg.norm(self.splats.colors.clip(0, 1), axis=1)
        factor: Array = (np.linalg.norm(colors, axis=1) / before.clip(1e-3)).clip(0, 1)
        return factor


def holds_splats(header: PlyHeader) -> bool:
    """Tell whether a PLY file holds splats, and not a mesh or a point cloud."""
    vertex = header.find("vertex")
    return vertex is not None and "f_dc_0" in vertex.names


def _gather(records: np.ndarray, names: tuple[str, ...] | list[str]) -> Array:
    return np.stack([records[name].astype(np.float32) for name in names], 1)
