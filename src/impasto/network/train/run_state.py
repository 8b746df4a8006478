"""Keep the state and the log of a training run on disk between two commands."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from impasto.errors import InputError
from impasto.image.files.atomic import (
    lock_file,
    make_folder,
    open_without_link,
    report_write_errors,
    write_atomically,
)


@contextmanager
def lock_folder(work: Path) -> Iterator[None]:
    """Lock a folder against other runs; it is created if it does not exist.

    Raises:
        InputError: another run is using the folder.
        ResourceError: the folder cannot be created, or its lock cannot be written.
    """
    make_folder(work)
    lock = work / "lock"
    with report_write_errors(lock):
        file = open_without_link(lock, append=True)
    with file:
        if not lock_file(file):
            raise InputError(
                "another training run is using this folder; wait until it ends", where=work
            )
        yield


def write_state(path: Path, kind: str, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state of a run atomically.

    Args:
        path: file to write.
        kind: format of the files of the network that is trained.
        run: facts that identify the run, by name.
        state: state of its trainer.

    Raises:
        ResourceError: the folder cannot be written or the disk is full.
    """
    stream = io.BytesIO()  # torch reports a full disk in its own way
    torch.save({"format": kind, "run": dict(run), **state}, stream)
    write_atomically(path, stream.getvalue())


def read_state(path: Path, kind: str, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the state that :func:`write_state` wrote.

    Args:
        path: file to read.
        kind: format of the files of the network that is trained.
        run: facts that identify the run, by name.

    Returns:
        The state. None: there is no such file.

    Raises:
        InputError: the file is damaged, of another kind of network, or of another run.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types for a damaged file
        raise InputError("damaged, or not the state of a training run", where=path) from None
    if isinstance(state, dict) and "kind" in state:  # the first run of the stroke network
        state |= {"format": state.pop("kind"), "run": {**run, **state["plan"]}}
    if not isinstance(state, dict) or state.get("format") != kind:
        raise InputError(f"belongs to a run that does not train {kind!r}", where=path)
    for name, value in run.items():
        saved = state["run"].get(name)
        if value != saved:
            what = f"other {name}" if isinstance(value, str) else f"{name} {saved}, not {value}"
            raise InputError(
                f"the training run in {path.parent} has {what}; "
                "choose another `work` folder to start a new run",
                field="work",
            )
    return state


class TrainingLog:
    """Logs one line of JSON per step, with the seconds that the run has taken so far."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the log after a step, and drop later lines of a run that was killed.

        Args:
            path: file of the log.
            step: steps that the run has completed.
        """
        self._path, self._start = path, time.monotonic()
        lines = _take_valid(path.read_text().splitlines(), step) if path.exists() else []
        self._before = json.loads(lines[-1])["seconds"] if lines else 0.0
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())

    def write(self, losses: Mapping[str, float]) -> None:
        """Append the losses of a step; values that are not finite are written as null."""
        seconds = round(self._before + time.monotonic() - self._start, 2)
        values = {name: value if math.isfinite(value) else None for name, value in losses.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({**values, "seconds": seconds}) + "\n")


def _take_valid(lines: Sequence[str], step: int) -> list[str]:
    """Return the lines before the first damaged one, up to a step."""
    valid = []
    for line in lines:
        try:
            if json.loads(line)["step"] > step:
                break
        except (ValueError, LookupError, TypeError):
            break
        valid.append(line)
    return valid
