"""Read a scene: the first bytes and the header tell its kind, and not its name."""

from __future__ import annotations

from pathlib import Path

from impasto.errors import InputError, LimitError
from impasto.scene.scene_files.ply_header import BEGIN, parse_header
from impasto.scene.scene_files.splat_file import SplatFile
from impasto.scene.scene_files.splat_ply import SplatPly, holds_splats
from impasto.scene.scene_files.splat_records import SplatRecords, looks_like_records

LARGEST = 2**31
"""Largest file in bytes."""
READABLE = "Gaussian splats (.ply or .splat)"
OTHERS = (
    (b"glTF", "is a GLB model"),
    (b"\x1f\x8b", "is compressed"),
    (b"PK\x03\x04", "is a zip archive"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
)
"""What a file of another kind is, by its first bytes."""


def read_scene(path: str | Path) -> SplatFile:
    """Read a scene from a file.

    Raises:
        InputError: there is no such file, it is damaged, or of no kind that impasto reads.
        LimitError: it is too large.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError("is a folder", where=path, expected=READABLE)
        size = path.stat().st_size
        if size > LARGEST:
            raise LimitError(
                f"has {size / 2**30:.1f} GiB; at most {LARGEST / 2**30:.0f} are supported",
                where=path,
                limit=LARGEST,
            )
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from None
    return parse_scene(data, str(path))


def parse_scene(data: bytes, where: str) -> SplatFile:
    """Read a scene from the bytes of a file.

    Args:
        data: the bytes.
        where: name of the file, for errors.

    Raises:
        InputError, LimitError: as :func:`read_scene`.
    """
    if not data:
        raise InputError("is empty", where=where)
    if data.startswith(BEGIN):
        header = parse_header(data, where)
        if holds_splats(header):
            return SplatPly.read(data, where)
        if header.find("chunk") is not None:
            raise InputError("contains compressed splats", where=where, expected=READABLE)
        raise InputError("contains no Gaussians", where=where, expected=READABLE)
    for begin, problem in OTHERS:
        if data.startswith(begin):
            raise InputError(problem, where=where, expected=READABLE)
    if looks_like_records(data):
        return SplatRecords.read(data, where)
    raise InputError("is no scene that impasto reads", where=where, expected=READABLE)
