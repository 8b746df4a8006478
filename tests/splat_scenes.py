"""Small scenes of Gaussians, and the bytes of their files."""

from __future__ import annotations

import numpy as np

from impasto.scene.splats import SH_FIRST, Splats

RECORD = np.dtype([("p", "<f4", 3), ("s", "<f4", 3), ("c", "u1", 4), ("q", "u1", 4)])


def make_blob(count: int = 50, seed: int = 0) -> Splats:
    """Gaussians of all shapes and opacities in a ball of radius 1."""
    generator = np.random.default_rng(seed)
    positions = generator.normal(0, 0.4, (count, 3))
    rotations = generator.normal(0, 1, (count, 4))
    return Splats(
        positions.astype(np.float32),
        generator.uniform(0.02, 0.25, (count, 3)).astype(np.float32),
        (rotations / np.linalg.norm(rotations, axis=1, keepdims=True)).astype(np.float32),
        generator.uniform(0.2, 1, count).astype(np.float32),
        generator.uniform(0.1, 0.9, (count, 3)).astype(np.float32),
    )


def make_shell(count: int = 600) -> Splats:
    """Opaque flat Gaussians on a sphere of radius 1, colored by place."""
    index = np.arange(count)
    height = 1 - 2 * (index + 0.5) / count
    turn = index * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    positions = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], 1)
    rotations = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    scales = np.full((count, 3), 3 / np.sqrt(count), np.float32)
    colors = 0.5 + 0.4 * np.sin(3 * positions + [0, 1, 2])
    return Splats(
        positions.astype(np.float32),
        scales,
        rotations,
        np.full(count, 0.99, np.float32),
        colors.astype(np.float32),
    )


def write_records(splats: Splats) -> bytes:
    """The bytes of a .splat file."""
    records = np.zeros(len(splats), RECORD)
    records["p"], records["s"] = splats.positions, splats.scales
    records["c"][:, :3] = np.rint(splats.colors * 255)
    records["c"][:, 3] = np.rint(splats.opacities * 255)
    records["q"] = np.rint(splats.rotations * 127 + 128)
    return records.tobytes()


def write_ply(splats: Splats, degree: int = 0, order: str = "<", comment: str = "made") -> bytes:
    """The bytes of a .ply file as 3D Gaussian Splatting writes it."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(rest)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    kind = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    header = f"ply\nformat {kind} 1.0\ncomment {comment}\nelement vertex {len(splats)}\n"
    header += "".join(f"property float {name}\n" for name in names) + "end_header\n"
    records = np.zeros(len(splats), np.dtype([(name, f"{order}f4") for name in names]))
    for axis, name in enumerate("xyz"):
        records[name] = splats.positions[:, axis]
        records[f"scale_{axis}"] = np.log(splats.scales[:, axis])
        records[f"f_dc_{axis}"] = (splats.colors[:, axis] - 0.5) / SH_FIRST
    for axis in range(4):
        records[f"rot_{axis}"] = 2.5 * splats.rotations[:, axis]
    for index in range(rest):
        records[f"f_rest_{index}"] = 0.01 * (index + 1)
    odds = splats.opacities.clip(1e-6, 1 - 1e-6)
    records["opacity"] = np.log(odds / (1 - odds))
    return header.encode() + records.tobytes()
