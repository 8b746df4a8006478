"""Remove leftovers of kills, expired jobs, and jobs beyond the disk limit.

Only folders with the studio's marker are touched. They go to the trash, a few at a time, and are
deleted from there after the retention.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from impasto.image.files.atomic import remove_orphans
from impasto.studio.decoding.conversation import remove_boxes
from impasto.studio.queue import job_files
from impasto.studio.queue.clock import TrustedClock
from impasto.studio.queue.data_folder import TRASH_NAME, DataFolder, measure_folder
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import ID
from impasto.studio.queue.ownership import JobMark
from impasto.studio.settings import StudioSettings

DRAFT_S = 86_400.0
"""Seconds that ended drafts are kept: pages that are closed leave theirs behind."""
MIN_SWEEP, SWEEP_SHARE = 10, 10
"""A sweep removes at most ten jobs, or one in ten where that is more."""
MAX_NAMES = 5
"""Names of unlisted folders in a line of the log."""

log = logging.getLogger("impasto.studio")


def tidy_up(folder: DataFolder, queue: JobQueue, clock: TrustedClock) -> None:
    """Repair what kills, or a lost table, have left behind, at the start of a server.

    Jobs whose folders exist and whose rows do not are listed again. Uploads that were never
    accepted go to the trash. Whatever is not the studio's own stays, and the log names it.
    """
    damaged = queue.quarantine_damaged()
    if damaged:
        log.warning("damaged jobs are shown as failed", extra={"jobs": damaged})
    queue.acknowledge_deletions()  # by workers of an earlier server
    finish_deletions(folder, queue)
    records, ids = queue.read_records(), queue.list_ids()
    if folder.is_adopting:
        for job, record in records.items():
            folder.adopt(job, record)
        folder.end_adoption()
    foreign = []
    for path in sorted(folder.staging.iterdir()):
        if folder.read_mark(path) is not None:
            folder.discard(path, clock.now, clock.age)
        elif not _remove_unmarked(path):
            foreign.append(path)
    unlisted = []
    for path in sorted(folder.jobs.iterdir()):
        mark = folder.read_mark(path)
        if mark is None:
            foreign.append(path)
        elif mark.job in ids:
            remove_orphans(path)
            remove_boxes(path)
            folder.mark_deleted(mark.job, is_deleted=False)
            if mark.job in records:
                folder.write_record(mark.job, records[mark.job])
        else:
            unlisted.append(mark)
    foreign += _handle_unlisted(folder, queue, unlisted, clock)
    if foreign:
        _report_foreign(foreign, folder.path)


def _remove_unmarked(path: Path) -> bool:
    """Remove an empty folder of an upload that a kill left before it was marked."""
    if not ID.fullmatch(path.name) or not path.is_dir() or path.is_symlink():
        return False
    remove_orphans(path)
    try:
        path.rmdir()
    except OSError:  # it holds something
        return False
    return True


def finish_deletions(folder: DataFolder, queue: JobQueue) -> None:
    """Delete the files of deleted jobs that no worker has any more, and what the log says."""
    jobs = queue.list_deletions()
    for job in jobs:
        if folder.delete(job):
            queue.end_deletion(job)
    if jobs:
        queue.clear_log()


def _handle_unlisted(
    folder: DataFolder, queue: JobQueue, unlisted: list[JobMark], clock: TrustedClock
) -> list[Path]:
    """Handle own folders that the table does not list, and return those that stay unlisted."""
    foreign, orphans = [], []
    for mark in unlisted:
        place = folder.locate(mark.job)
        if mark.is_deleted:
            folder.delete(mark.job)
        elif mark.record is not None:
            orphans.append(mark)
        elif _holds_work(place):
            foreign.append(place)
        else:  # an upload that was not accepted
            folder.discard(place, clock.now, clock.age)
    return foreign + _restore(folder, queue, orphans, clock.now)


def _holds_work(path: Path) -> bool:
    """Tell whether a worker has begun the job, which means that it was accepted."""
    return any(path.glob("result.*")) or any(
        (path / name).exists() for name in (job_files.CHECKPOINT, job_files.FRAMES, job_files.SHEET)
    )


def _restore(folder: DataFolder, queue: JobQueue, orphans: list[JobMark], now: float) -> list[Path]:
    """List jobs again that the table has lost, and return the folders where that failed."""
    failed = []
    for mark in sorted(orphans, key=_get_arrival):
        record = mark.record or {}
        try:
            if record.get("id") != mark.job:
                raise ValueError("the record of another job")
            if mark.trashed is not None:  # moved back by hand, and not to expire at once
                record = record | {"ended": now}
            queue.restore(record, now)
            folder.stamp_trash(folder.locate(mark.job), None)
        except ValueError:
            failed.append(folder.locate(mark.job))
    if len(orphans) > len(failed):
        log.warning("jobs listed again", extra={"jobs": len(orphans) - len(failed)})
    return failed


def _get_arrival(mark: JobMark) -> float:
    created = (mark.record or {}).get("created")
    return created if isinstance(created, float | int) else 0.0


def _report_foreign(paths: list[Path], data: Path) -> None:
    names = [str(path.relative_to(data)) for path in paths[:MAX_NAMES]]
    more = ["..."] if len(paths) > MAX_NAMES else []
    log.warning(
        "left alone: not the studio's own, or not a job that can be listed",
        extra={"entries": len(paths), "names": ", ".join([*names, *more])},
    )


def sweep(
    settings: StudioSettings, folder: DataFolder, queue: JobQueue, clock: TrustedClock
) -> None:
    """Move expired jobs, and the oldest beyond the disk limit, to the trash, and empty the trash.

    Args:
        settings: how long jobs are kept, and how much.
        folder: the data folder.
        queue: the queue in that folder.
        clock: clock of the data folder.
    """
    now = clock.look()
    jobs = queue.list_ids()
    old = [] if settings.keep_s is None else queue.list_ended(now - settings.keep_s)
    old += [job for job in queue.list_ended(now - DRAFT_S, drafts=True) if job not in old]
    most = max(MIN_SWEEP, len(jobs) // SWEEP_SHARE)
    if settings.max_disk is not None:
        sizes = {job: folder.measure_size(job) for job in jobs}
        used = _shrink_trash(folder, sum(sizes.values()), settings.max_disk, most)
        left = used - sum(sizes.get(job, 0) for job in old)
        for job in queue.list_ended():
            if left <= settings.max_disk:
                break
            if job not in old:
                old.append(job)
                left -= sizes.get(job, 0)
    count = 0
    for job in old[:most]:
        if queue.remove(job):
            folder.discard(folder.locate(job), now, clock.age)
            count += 1
    count += _sweep_unlisted(folder, queue, clock, most)
    finish_deletions(folder, queue)
    queue.clear_log()
    folder.reserve.fill()
    deleted = _empty_trash(folder, clock.age, settings.trash_s, most)
    if count or deleted:
        log.info("swept", extra={"jobs": count, "later": len(old[most:]), "deleted": deleted})


def _sweep_unlisted(folder: DataFolder, queue: JobQueue, clock: TrustedClock, most: int) -> int:
    """Remove own folders that belong to no job and no request, as failed deletions leave them.

    Folders with a record, or with a worker's files, may be of a job that the table has lost; they
    stay.

    Args:
        folder: the data folder.
        queue: the queue in that folder.
        clock: clock of the data folder.
        most: number of folders to remove at most.

    Returns:
        The number of removed folders.
    """
    own = folder.list_own()
    jobs = queue.list_ids() | {job for job, _ in queue.list_held_deletions()}
    count = 0
    for path, mark in own:
        if count == most:
            break
        if path.parent == folder.staging:
            folder.discard(path, clock.now, clock.age)
            count += 1
        elif mark.job in jobs:
            continue
        elif mark.is_deleted:
            count += folder.delete(mark.job)
        elif mark.record is None and not _holds_work(path):
            folder.discard(path, clock.now, clock.age)
            count += 1
    return count


def _shrink_trash(folder: DataFolder, used: int, limit: int, most: int) -> int:
    """Delete the oldest of the trash while it and the jobs exceed the limit of the disk.

    Args:
        folder: the data folder.
        used: bytes of the jobs.
        limit: bytes of the jobs and the trash.
        most: number of folders to delete at most.

    Returns:
        The bytes of the jobs and of what is left in the trash.
    """
    marks = [(path, folder.read_mark(path)) for path in sorted(folder.trash.iterdir())]
    sizes = {
        path: measure_folder(path)
        for path, mark in sorted(marks, key=lambda each: (each[1] and each[1].trashed) or 0.0)
        if mark is not None
    }
    used += sum(sizes.values())
    for path, size in list(sizes.items())[:most]:
        if used <= limit:
            break
        if folder.erase(path):
            used -= size
    return used


def _empty_trash(folder: DataFolder, age: float, retention: float, most: int) -> int:
    """Delete what has been in the trash for its retention, and return how many folders it was.

    Args:
        folder: the data folder.
        age: :attr:`TrustedClock.age`.
        retention: seconds in the trash.
        most: number of folders to delete at most.
    """
    due: list[tuple[float, Path]] = []
    for path in sorted(folder.trash.iterdir()):
        mark = folder.read_mark(path)
        if mark is None:
            if TRASH_NAME.fullmatch(path.name):  # its deletion failed at the very end
                with contextlib.suppress(OSError):  # which keeps everything that is not empty
                    path.rmdir()
            continue
        if mark.is_deleted:  # a client's deletion that a kill cut short
            folder.erase(path)
        elif mark.trashed is None or mark.trashed > age:  # after a kill, or a lost clock file
            folder.stamp_trash(path, age)
        elif age - mark.trashed >= retention:
            due.append((mark.trashed, path))
    return sum(folder.erase(path) for _, path in sorted(due)[:most])
