"""Where the photos are: folders, patterns, lists and single files, by path or by URL."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from impasto.batch.sources import places
from impasto.errors import InputError
from impasto.image.files.decode import EXTENSIONS

SUFFIXES = frozenset(suffix for known in EXTENSIONS.values() for suffix in known)
WILD = "*?["


@dataclass(frozen=True, slots=True)
class Found:
    """A photo.

    Attributes:
        photo: path or URL.
        place: where its output belongs below the output folder, with ``/``; the photo's extension.
        stamp: see :func:`places.stamp`; none: not asked for yet.
    """

    photo: str
    place: str
    stamp: str | None = None


@dataclass
class Sightings:
    """What was met beside photos.

    Attributes:
        others: files that are no pictures by their name.
        unreadable: folders, each with the reason.
    """

    others: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def found_in(
    source: str,
    *,
    root: str | None,
    skipped: str,
    met: Sightings,
    listed: Callable[[], Sequence[str]],
) -> Iterator[Found]:
    """The photos of one source, in the order of their names; those of a list in its own.

    Of a folder the files with a picture's extension, hidden ones left out, each at its place below
    the folder. What is named (a file, a pattern, a list) keeps its path from ``root``, if it is
    below it, else its name alone.

    Args:
        source: a folder, a pattern, a file or ``-`` for a list, by path or URL.
        root: folder; none: the current one.
        skipped: a folder that is not looked into: the output's.
        met: is filled.
        listed: the lines of standard input.

    Raises:
        InputError: there is no such source.
    """
    source = places.normalized(source)
    if source == "-":
        for line in listed():
            photo = places.normalized(line)
            yield Found(photo, _named(photo, root))
    elif places.is_url(source):
        yield from _in_store(source, met)
    elif os.path.isdir(source):  # noqa: PTH112 -- never raises
        yield from _in_folder(Path(source), skipped, met)
    elif os.path.lexists(source):
        yield Found(source, _named(source, root))
    elif any(c in source for c in WILD):
        matched = sorted(each for each in glob.iglob(source, recursive=True))  # noqa: PTH207
        if not matched:
            raise InputError(f"{source}: no file matches")
        for each in matched:
            if os.path.isfile(each) and _is_picture(each, met):  # noqa: PTH113
                yield Found(each, _named(each, root))
    else:
        raise InputError(f"{source}: no such file or folder")


def _in_folder(folder: Path, skipped: str, met: Sightings) -> Iterator[Found]:
    """Links to folders are followed, but neither back into the folder nor twice to one place."""
    top = folder.resolve()
    seen = {top, Path(skipped).resolve()}

    def unreadable(error: OSError) -> None:
        met.unreadable.append((str(error.filename), error.strerror or str(error)))

    for here, inside, names in os.walk(folder, onerror=unreadable, followlinks=True):
        kept = []
        for name in sorted(inside):
            path = Path(here, name)
            true = path.resolve()
            again = path.is_symlink() and true.is_relative_to(top)
            if not name.startswith(".") and not again and true not in seen:
                kept.append(name)
                seen.add(true)
        inside[:] = kept
        for name in sorted(names):
            path = Path(here, name)
            if _is_picture(name, met):
                yield Found(str(path), path.relative_to(folder).as_posix())


def _in_store(source: str, met: Sightings) -> Iterator[Found]:
    found = False
    for each in places.listing(source):
        found = True
        if _is_picture(each.name, met):
            yield Found(each.url, each.name, each.stamp)
    if not found:
        raise InputError(f"{source}: no such file or folder")


def _is_picture(path: str, met: Sightings) -> bool:
    name = os.path.basename(path)  # noqa: PTH119
    if name.startswith("."):
        return False
    picture = PurePosixPath(name).suffix.lower() in SUFFIXES
    met.others += not picture
    return picture


def _named(photo: str, root: str | None) -> str:
    if places.is_url(photo):
        below = None if root is None else root.rstrip("/") + "/"
        return photo.removeprefix(below) if below and photo.startswith(below) else _tail(photo)
    path = Path(os.path.abspath(photo))  # noqa: PTH100 -- links are not followed
    start = Path(os.path.abspath(root or "."))  # noqa: PTH100
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else path.name


def _tail(url: str) -> str:
    return PurePosixPath(urlsplit(url).path or url).name or "picture"
