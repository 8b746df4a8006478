"""What a training run keeps between two commands: where it stands, and its log."""

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
from impasto.image.files.atomic import lock_file, make_folder, write_atomically
from impasto.network.network_files import KIND


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be.

    Raises:
        InputError: one is at work there.
        ResourceError: the folder cannot be made.
    """
    make_folder(work)
    with (work / "lock").open("wb") as file:
        if not lock_file(file):
            raise InputError(f"{work}: another training is at work here: wait for its end")
        yield


def write_state(path: Path, run: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write where a run stands, whole or not at all.

    Args:
        path: of the file.
        run: what makes it this run and no other, by name.
        state: of its trainer.

    Raises:
        ResourceError: the folder cannot be written or the disk is full.
    """
    whole = io.BytesIO()  # torch tells of a full disk in its own way
    torch.save({"format": KIND, "run": dict(run), **state}, whole)
    write_atomically(path, whole.getvalue())


def read_state(path: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """What :func:`write_state` wrote; none: there is no such file.

    Raises:
        InputError: it is damaged, of a network of another kind, or of another run.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types for a damaged file
        raise InputError(f"{path}: is no training run's, or damaged") from None
    if not isinstance(state, dict) or state.get("format") != KIND:
        raise InputError(f"{path}: is not of a run that trains {KIND!r}")
    for name, now in run.items():
        then = state["run"].get(name)
        if now != then:
            what = f"other {name}" if isinstance(now, str) else f"{name} {then}, not {now}"
            raise InputError(
                f"the training run in {path.parent} has {what}; "
                "choose another `work` folder to start a new run",
                field="work",
            )
    return state


class Log:
    """One line of JSON a step, with the seconds that the run has taken."""

    def __init__(self, path: Path, step: int) -> None:
        """Go on after a step: what a run that was killed wrote of later ones is forgotten."""
        self._path, self._began = path, time.monotonic()
        kept = _whole(path.read_text().splitlines()[:step]) if path.exists() else []
        self._before = json.loads(kept[-1])["seconds"] if kept else 0.0
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def write(self, losses: Mapping[str, float]) -> None:
        """Append a step's; what is not finite, of a step that was left out, as null."""
        seconds = round(self._before + time.monotonic() - self._began, 2)
        told = {name: value if math.isfinite(value) else None for name, value in losses.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({**told, "seconds": seconds}) + "\n")


def _whole(lines: Sequence[str]) -> list[str]:
    """Those before one that is damaged."""
    kept = []
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            break
        kept.append(line)
    return kept
