"""Mark the studio's own folders, to tell them from everything else in its data folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.errors import InputError
from impasto.image.files.atomic import replace_atomically

STUDIO_FILE = ".impasto-studio"
"""Marks a data folder."""
JOB_FILE = "studio.json"
"""Marks the folder of a job or an upload."""
STUDIO_FORMAT = "impasto studio 1"
JOB_FORMAT = "impasto studio job 1"


@dataclass(frozen=True)
class StudioMark:
    """The content of a data folder's marker.

    Attributes:
        studio: random id of the data folder, 32 hexadecimal digits.
        is_adopting: whether the job folders, which version 0.1 left without markers, still get
            theirs.
    """

    studio: str
    is_adopting: bool = False


@dataclass(frozen=True)
class JobMark:
    """The content of a job folder's marker.

    Attributes:
        studio: id of the data folder.
        job: id of the job, which is the folder's name.
        record: the job's row, to list the job again if the table is lost. None: it is not accepted
            yet.
        is_deleted: whether a client asked to delete the job, so that it must not be listed again.
        trashed: value of :attr:`TrustedClock.age` when the folder went to the trash. None: it is
            not there.
    """

    studio: str
    job: str
    record: dict[str, Any] | None = None
    is_deleted: bool = False
    trashed: float | None = None


def read_studio_mark(folder: Path) -> StudioMark | None:
    """Read the marker of a data folder. None: it has no marker.

    Raises:
        InputError: the marker is damaged, or of a later version.
    """
    path = folder / STUDIO_FILE
    try:
        data = json.loads(path.read_bytes())
        if data["format"] == STUDIO_FORMAT and isinstance(data["studio"], str):
            return StudioMark(data["studio"], bool(data["is_adopting"]))
        reason = f"format {data['format']!r}, expected {STUDIO_FORMAT!r}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        reason = "damaged"
    raise InputError(
        f"not a marker that this version reads ({reason}); use the version that wrote it, "
        "or choose another folder",
        where=path,
    )


def claim_folder(folder: Path, mark: StudioMark) -> StudioMark:
    """Mark a folder as a data folder, and read the marker back: another server may be faster.

    Raises:
        ResourceError: it cannot be written.
    """
    target = folder / STUDIO_FILE
    draft = target.with_name(f"{STUDIO_FILE}-{os.getpid()}")
    write_private(draft, {"format": STUDIO_FORMAT, **asdict(mark)})
    try:
        os.link(draft, target)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return read_studio_mark(folder) or mark


def write_studio_mark(folder: Path, mark: StudioMark) -> None:
    """Write the marker of a data folder.

    Raises:
        ResourceError: it cannot be written.
    """
    write_private(folder / STUDIO_FILE, {"format": STUDIO_FORMAT, **asdict(mark)})


def read_job_mark(folder: Path) -> JobMark | None:
    """Read the marker of a job's folder. None: it is no folder, or has no valid marker."""
    path = folder / JOB_FILE
    if folder.is_symlink() or not folder.is_dir() or path.is_symlink():
        return None
    try:
        data = json.loads(path.read_bytes())
        if data.pop("format") != JOB_FORMAT:
            return None
        mark = JobMark(**data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    is_sound = isinstance(mark.record, dict | None) and isinstance(mark.trashed, float | int | None)
    return mark if is_sound else None


def write_job_mark(folder: Path, mark: JobMark) -> None:
    """Write the marker of a job's folder.

    Raises:
        ResourceError: it cannot be written.
    """
    write_private(folder / JOB_FILE, {"format": JOB_FORMAT, **asdict(mark)})


def write_private(target: Path, data: dict[str, Any]) -> None:
    """Write JSON atomically to a file that only its owner can read.

    Raises:
        ResourceError: it cannot be written.
    """
    with replace_atomically(target) as path:
        path.chmod(0o600)
        path.write_text(json.dumps(data), "utf-8")


def is_in_use(path: Path) -> bool:
    """Tell whether a path is a folder or a file that is not empty."""
    if path.is_dir():
        return any(path.iterdir())
    return os.path.lexists(path) and (not path.is_file() or path.stat().st_size > 0)
