"""Keep the style codes of a folder of paintings in one file, and search them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImpastoError, InputError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture
from impasto.library.library_paintings import list_files

Numbers = NDArray[Any]

INDEX_NAME = ".impasto-styles.safetensors"
THUMBNAIL = 96
SAME = 0.99
"""Cosine from which two codes are of the same painting."""
_FORMAT = 1
_GRAY = np.array([0.2126, 0.7152, 0.0722], np.float32)


class Coder(Protocol):
    """Measures codes, as :class:`impasto.library.whitened_code.StyleCoder` does."""

    def measure_code(self, picture: Picture) -> Numbers:
        """Return the code [64] of a painting."""
        ...


@dataclass(frozen=True)
class CodeMatch:
    """A place in an index, and the cosine of its code and the one that was searched."""

    place: int
    likeness: float


@dataclass(frozen=True)
class StyleIndex:
    """The codes of the pictures in a folder.

    Attributes:
        names: paths below the folder, with ``/``, sorted.
        stamps: size and time of modification of each file.
        codes: [n, 64] of length 1.
        thumbnails: [n, 96, 96] gray, uint8.
    """

    names: tuple[str, ...]
    stamps: tuple[str, ...]
    codes: Numbers
    thumbnails: Numbers

    @classmethod
    def load(cls, folder: Path) -> StyleIndex:
        """Load the index of a folder. An index of another format counts as empty.

        Raises:
            InputError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / INDEX_NAME
        if not path.exists():
            return make_empty_index()
        try:
            with safe_open(path, "numpy") as file:
                record = json.loads(file.metadata()["impasto"])
                if record["format"] != _FORMAT:
                    return make_empty_index()
                index = cls(
                    tuple(record["names"]),
                    tuple(record["stamps"]),
                    file.get_tensor("codes").astype(np.float32),
                    file.get_tensor("thumbnails"),
                )
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"damaged ({error}); delete it", where=path) from None
        return index

    def save(self, folder: Path) -> Path:
        """Write the index into the folder, and return its file.

        Raises:
            ResourceError: it cannot be written.
        """
        from safetensors.numpy import save

        record = {"format": _FORMAT, "names": self.names, "stamps": self.stamps}
        tensors = {"codes": self.codes.astype(np.float16), "thumbnails": self.thumbnails}
        path = folder / INDEX_NAME
        write_atomically(path, save(tensors, {"impasto": json.dumps(record)}))
        return path

    def search(self, code: Numbers, count: int) -> list[CodeMatch]:
        """Return the pictures with the nearest codes, the nearest first."""
        return rank_codes(self.codes, code, count)

    def rank_painting(self, painting: Numbers, result: Numbers) -> int:
        """Return the place of a painting among those of the index by likeness to a result, from 1.

        Args:
            painting: the code of the painting, which need not be in the index.
            result: the code of a result in its style.
        """
        others = self.codes[self.codes @ painting < SAME]
        return 1 + int((others @ result > painting @ result).sum())


@dataclass(frozen=True)
class IndexUpdate:
    """What an update did.

    Attributes:
        index: the index afterwards.
        fresh: number of pictures that were measured.
        gone: number of pictures that are no longer there.
        unreadable: paths below the folder, with the reason.
    """

    index: StyleIndex
    fresh: int
    gone: int
    unreadable: tuple[tuple[str, ImpastoError], ...]


def make_empty_index() -> StyleIndex:
    """Make an index without pictures."""
    thumbnails = np.zeros((0, THUMBNAIL, THUMBNAIL), np.uint8)
    return StyleIndex((), (), np.zeros((0, 64), np.float32), thumbnails)


def update_index(
    folder: Path,
    make_coder: Callable[[], Coder],
    on_picture: Callable[[int, int], None] | None = None,
) -> IndexUpdate:
    """Measure the pictures of a folder that are new or have changed, and save the index.

    Args:
        folder: the folder.
        make_coder: makes the coder; not called if there is nothing to measure.
        on_picture: called with the number of pictures measured so far, and of all to measure.

    Raises:
        InputError: there is no such folder, or its index is damaged.
        ResourceError: the index cannot be written.
    """
    if not folder.is_dir():
        raise InputError("no such folder", where=folder)
    before = StyleIndex.load(folder)
    old = {key: place for place, key in enumerate(zip(before.names, before.stamps, strict=True))}
    files = {path.relative_to(folder).as_posix(): path for path in list_files(folder)}
    keys = {name: (name, _read_stamp(path)) for name, path in files.items()}
    fresh = [name for name, key in keys.items() if key not in old]
    rows: dict[str, tuple[Numbers, Numbers]] = {}
    unreadable = []
    coder = make_coder() if fresh else None
    for number, name in enumerate(fresh, 1):
        try:
            picture = read_picture(files[name])
        except ImpastoError as error:
            unreadable.append((name, error))
        else:
            assert coder is not None
            rows[name] = coder.measure_code(picture), make_thumbnail(picture)
        if on_picture is not None:
            on_picture(number, len(fresh))
    for name, key in keys.items():
        if key in old:
            rows[name] = before.codes[old[key]], before.thumbnails[old[key]]
    names = sorted(rows)
    index = make_empty_index()
    if names:
        codes, thumbnails = (np.stack(each) for each in zip(*map(rows.get, names), strict=True))
        index = StyleIndex(tuple(names), tuple(keys[name][1] for name in names), codes, thumbnails)
    gone = len({*before.names} - {*files})
    if fresh or gone:
        index.save(folder)
    return IndexUpdate(index, len(fresh) - len(unreadable), gone, tuple(unreadable))


def rank_codes(codes: Numbers, code: Numbers, count: int) -> list[CodeMatch]:
    """Return the places of the nearest of some codes [n, 64], the nearest first."""
    likeness = codes @ code
    count = min(count, len(codes))
    if count == 0:
        return []
    near = np.argpartition(-likeness, count - 1)[:count]
    order = near[np.lexsort((near, -likeness[near]))]
    return [CodeMatch(int(place), float(likeness[place])) for place in order]


def make_thumbnail(picture: Picture) -> Numbers:
    """Return a small gray version [96, 96] of a picture, whatever its shape, uint8."""
    gray = picture.resize(THUMBNAIL, THUMBNAIL).pixels @ _GRAY
    levels: Numbers = np.rint(gray.clip(0, 1) * 255).astype(np.uint8)
    return levels


def _read_stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"
