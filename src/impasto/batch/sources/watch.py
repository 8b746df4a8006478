"""A folder that files are dropped into: a job for each, once it has come in whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from impasto.batch.batch_job import Job
from impasto.batch.sources import places
from impasto.batch.sources.search import Found

SETTLED_S = 2.0
"""Without a change before a file counts as whole."""


def watched(
    look: Callable[[], Iterable[Found]], jobs_of: Callable[[Found], Iterable[Job] | None]
) -> Iterator[Job | None]:
    """Jobs of files as they come in, without end; none whenever there is nothing new.

    Args:
        look: what is there now.
        jobs_of: a file that is whole; none: to be asked again, for its result is in the making.
    """
    seen: dict[str, tuple[str | None, float]] = {}
    taken: dict[str, str | None] = {}
    while True:
        for found in list(look()):
            stamp, now = places.stamp(found.photo), time.monotonic()
            before, since = seen.get(found.photo, (None, now))
            if stamp != before:
                seen[found.photo] = stamp, now
            elif now - since >= SETTLED_S and taken.get(found.photo) != stamp:
                jobs = jobs_of(found) if places.size(found.photo) else ()
                if jobs is not None:
                    taken[found.photo] = stamp
                    yield from jobs
        yield None
