"""Find photos in folders, patterns, lists and object stores, and watch folders for new ones."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from impasto.batch.batch_job import BatchJob
from impasto.batch.sources import places
from impasto.errors import InputError
from impasto.image.files.decode import EXTENSIONS

SUFFIXES = frozenset(suffix for each in EXTENSIONS.values() for suffix in each)
WILDCARDS = "*?["
SETTLED_S = 2.0
"""Seconds without a change after which a file is considered complete."""


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """A photo that was found.

    Attributes:
        photo: path or URL.
        place: path from which the output is named, with ``/``.
        stamp: see :func:`places.read_place_stamp`. None: it has not been read.
    """

    photo: str
    place: str
    stamp: str | None = None


@dataclass
class SearchReport:
    """What a search met besides photos.

    Attributes:
        others: number of files whose suffix is not that of a picture.
        unreadable: folders that could not be read, each with the reason.
    """

    others: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_photos(
    source: str,
    *,
    root: str | None,
    skip: str,
    report: SearchReport,
    read_list: Callable[[], Sequence[str]],
) -> Iterator[FoundPhoto]:
    """Find the photos of one source, sorted by name; a list keeps its own order.

    A folder gives all files with the suffix of a picture, except hidden ones. Their places are
    relative to the folder. The places of files, patterns and lists are relative to ``root``, or
    the file name alone if they are elsewhere.

    Args:
        source: a folder, a pattern, a file, a URL, or ``-`` for a list.
        root: folder or URL. None: the current folder.
        skip: a folder that is not searched, usually the output folder.
        report: receives what the search meets besides photos.
        read_list: gives the lines of standard input.

    Raises:
        InputError: there is no such source.
    """
    source = places.normalize_place(source)
    if source == "-":
        for line in read_list():
            photo = places.normalize_place(line)
            yield FoundPhoto(photo, _choose_place(photo, root))
    elif places.is_url(source):
        yield from _search_store(source, report)
    elif os.path.isdir(source):  # noqa: PTH112 -- never raises
        yield from _search_folder(Path(source), skip, report)
    elif os.path.lexists(source):
        yield FoundPhoto(source, _choose_place(source, root))
    elif any(c in source for c in WILDCARDS):
        matches = sorted(each for each in glob.iglob(source, recursive=True))  # noqa: PTH207
        if not matches:
            raise InputError(
                "no such file, and as a pattern it matches none; * ? and [ are wildcards, "
                "and [[] is a bracket",
                where=source,
            )
        for each in matches:
            if os.path.isfile(each) and _is_picture(each, report):  # noqa: PTH113
                yield FoundPhoto(each, _choose_place(each, root))
    else:
        raise InputError("no such file or folder", where=source)


def _search_folder(folder: Path, skip: str, report: SearchReport) -> Iterator[FoundPhoto]:
    """Search a folder. Links are followed, but not back into the folder, and no folder twice."""
    top = folder.resolve()
    visited = {top, Path(skip).resolve()}

    def report_error(error: OSError) -> None:
        report.unreadable.append((str(error.filename), error.strerror or str(error)))

    for here, folders, names in os.walk(folder, onerror=report_error, followlinks=True):
        subfolders = []
        for name in sorted(folders):
            path = Path(here, name)
            target = path.resolve()
            leads_back = path.is_symlink() and target.is_relative_to(top)
            if not name.startswith(".") and not leads_back and target not in visited:
                subfolders.append(name)
                visited.add(target)
        folders[:] = subfolders
        for name in sorted(names):
            path = Path(here, name)
            if _is_picture(name, report):
                yield FoundPhoto(str(path), path.relative_to(folder).as_posix())


def _search_store(source: str, report: SearchReport) -> Iterator[FoundPhoto]:
    is_empty = True
    for each in places.list_store_files(source):
        is_empty = False
        if _is_picture(each.name, report):
            yield FoundPhoto(each.url, each.name, each.stamp)
    if is_empty:
        raise InputError("no such file or folder", where=source)


def _is_picture(path: str, report: SearchReport) -> bool:
    name = os.path.basename(path)  # noqa: PTH119
    if name.startswith("."):
        return False
    is_picture = PurePosixPath(name).suffix.lower() in SUFFIXES
    report.others += not is_picture
    return is_picture


def _choose_place(photo: str, root: str | None) -> str:
    if places.is_url(photo):
        below = None if root is None else root.rstrip("/") + "/"
        return photo.removeprefix(below) if below and photo.startswith(below) else _find_name(photo)
    path = Path(os.path.abspath(photo))  # noqa: PTH100 -- links are not followed
    start = Path(os.path.abspath(root or "."))  # noqa: PTH100
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else path.name


def _find_name(url: str) -> str:
    return PurePosixPath(urlsplit(url).path or url).name or "picture"


def watch_photos(
    search: Callable[[], Iterable[FoundPhoto]],
    make_jobs: Callable[[FoundPhoto], Iterable[BatchJob] | None],
) -> Iterator[BatchJob | None]:
    """Yield the jobs of photos as they arrive, without end.

    Args:
        search: finds the photos that exist now.
        make_jobs: makes the jobs of a complete photo. None: ask again later, because its output is
            being made.

    Yields:
        The jobs, and None whenever there is nothing new.
    """
    stamps: dict[str, tuple[str | None, float]] = {}
    handled: dict[str, str | None] = {}
    while True:
        for each in list(search()):
            stamp, now = places.read_place_stamp(each.photo), time.monotonic()
            before, since = stamps.get(each.photo, (None, now))
            if stamp != before:
                stamps[each.photo] = stamp, now
            elif now - since >= SETTLED_S and handled.get(each.photo) != stamp:
                jobs = make_jobs(each) if places.read_size(each.photo) else ()
                if jobs is not None:
                    handled[each.photo] = stamp
                    yield from jobs
        yield None
