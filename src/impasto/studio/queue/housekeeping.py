"""What is removed without a client's asking: leftovers of kills, and jobs that are old or too many.

Only folders with the studio's marker are touched. They go to the trash, a few at a time, and from
there after their retention.
"""

from __future__ import annotations

import logging
from pathlib import Path

from impasto.image.files.atomic import remove_orphans
from impasto.studio.queue import folder as files
from impasto.studio.queue.clock import Clock
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.job_records import read_records, restore_job
from impasto.studio.queue.ownership import JobMark
from impasto.studio.queue.queue import Queue
from impasto.studio.settings import Settings

DRAFT_S = 86_400.0
"""That ended drafts are kept: pages that are closed leave theirs behind."""
FEWEST, SHARE = 10, 10
"""A sweep removes at most ten jobs, or one in ten where that is more."""
NAMES = 5
"""Of what is kept, in a line of the log."""

log = logging.getLogger("impasto.studio")


def tidy_up(folder: Folder, queue: Queue, clock: Clock) -> None:
    """At the start of a server: put right what kills, or a lost table, have left behind.

    Jobs whose folders are there and whose rows are not are listed again. Uploads that were never
    accepted go to the trash. What is not the studio's own stays, and the log names it.
    """
    known = read_records(queue)
    if folder.is_adopting:
        for job, record in known.items():
            folder.adopt(job, record)
        folder.end_adoption()
    foreign = []
    for path in sorted(folder.staging.iterdir()):
        if folder.read_mark(path) is None:
            foreign.append(path)
        else:
            folder.discard(path, clock.now, clock.lived)
    lost = []
    for path in sorted(folder.jobs.iterdir()):
        mark = folder.read_mark(path)
        if mark is None:
            foreign.append(path)
        elif mark.job in known:
            remove_orphans(path)
            folder.mark_deleted(mark.job, is_deleted=False)
            folder.write_record(mark.job, known[mark.job])
        else:
            lost.append(mark)
    foreign += _sort_out(folder, queue, lost, clock)
    if foreign:
        _tell_kept(foreign, folder.path)


def _sort_out(folder: Folder, queue: Queue, unlisted: list[JobMark], clock: Clock) -> list[Path]:
    """See to own folders that the table does not know; those that are kept without being listed."""
    kept, lost = [], []
    for mark in unlisted:
        place = folder.of(mark.job)
        if mark.is_deleted:
            folder.delete(mark.job)
        elif mark.record is not None:
            lost.append(mark)
        elif _holds_work(place):
            kept.append(place)
        else:  # an upload that was not accepted
            folder.discard(place, clock.now, clock.lived)
    return kept + _restore(folder, queue, lost, clock.now)


def _holds_work(path: Path) -> bool:
    """Whether a job was begun, which means that it was accepted."""
    return any(path.glob("result.*")) or any(
        (path / name).exists() for name in (files.CHECKPOINT, files.FRAMES, files.SHEET)
    )


def _restore(folder: Folder, queue: Queue, lost: list[JobMark], now: float) -> list[Path]:
    """List jobs again that the table has lost; the folders of which it was not possible."""
    failed = []
    for mark in sorted(lost, key=_arrival):
        record = mark.record or {}
        try:
            if record.get("id") != mark.job:
                raise ValueError("the record of another job")
            if mark.trashed is not None:  # moved back by hand, and not to expire at once
                record = record | {"ended": now}
            restore_job(queue, record, now)
            folder.stamp_trash(folder.of(mark.job), None)
        except ValueError:
            failed.append(folder.of(mark.job))
    if len(lost) > len(failed):
        log.warning("jobs listed again", extra={"jobs": len(lost) - len(failed)})
    return failed


def _arrival(mark: JobMark) -> float:
    created = (mark.record or {}).get("created")
    return created if isinstance(created, float | int) else 0.0


def _tell_kept(paths: list[Path], data: Path) -> None:
    names = [str(path.relative_to(data)) for path in paths[:NAMES]]
    more = ["..."] if len(paths) > NAMES else []
    log.warning(
        "kept: not the studio's own, or not a job that can be listed",
        extra={"entries": len(paths), "names": ", ".join([*names, *more])},
    )


def sweep(settings: Settings, folder: Folder, queue: Queue, clock: Clock) -> None:
    """Move ended jobs to the trash that are older than is kept, and the oldest of what is too much;
    delete what has been in the trash for its retention.
    """
    now = clock.look()
    jobs = queue.ids()
    old = [] if settings.keep_s is None else queue.ended(now - settings.keep_s)
    old += [job for job in queue.ended(now - DRAFT_S, drafts=True) if job not in old]
    if settings.max_disk is not None:
        sizes = {job: folder.size(job) for job in jobs}
        left = sum(sizes.values()) - sum(sizes.get(job, 0) for job in old)
        for job in queue.ended():
            if left <= settings.max_disk:
                break
            if job not in old:
                old.append(job)
                left -= sizes.get(job, 0)
    most = max(FEWEST, len(jobs) // SHARE)
    swept = 0
    for job in old[:most]:
        if queue.remove(job):
            folder.discard(folder.of(job), now, clock.lived)
            swept += 1
    deleted = _empty_trash(folder, clock.lived, settings.trash_s, most)
    if swept or deleted:
        log.info("swept", extra={"jobs": swept, "later": len(old[most:]), "deleted": deleted})


def _empty_trash(folder: Folder, lived: float, retention: float, most: int) -> int:
    """Delete what has been in the trash for its retention, at most so many; how many there were."""
    due: list[tuple[float, Path]] = []
    for path in sorted(folder.trash.iterdir()):
        mark = folder.read_mark(path)
        if mark is None:
            continue
        if mark.is_deleted:  # a client's deletion that a kill cut short
            folder.erase(path)
        elif mark.trashed is None or mark.trashed > lived:  # a kill, or a lost clock file
            folder.stamp_trash(path, lived)
        elif lived - mark.trashed >= retention:
            due.append((mark.trashed, path))
    return sum(folder.erase(path) for _, path in sorted(due)[:most])
