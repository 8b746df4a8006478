"""How a case calls impasto: its command line inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from inputs import write_inputs
from PIL import Image, ImageSequence

FILES = Path(__file__).parent / "files"
"""Files that impasto 0.1 has written; see make_files.py."""
FLOAT32 = ("--set", "precision=float32")
VOLATILE = {
    *("seconds", "peak_memory_mb", "bytes_needed", "bytes_free", "bytes_on_host", "bytes_on_disk"),
    "bytes_to_read",
    *("description", "impasto", "version", "python", "system", "created", "started", "ended", "id"),
    *("seconds_left", "elapsed_s", "eta_s", "device", "path", "url", "detail", "title", "licence"),
    *("links", "cores", "threads", "memory_gb", "packages", "bfloat16", "origin", "warnings"),
}
"""Fields whose values depend on the machine, the day or the wording; their types are compared."""

Facts = dict[str, Any]

start_process: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
"""How a command becomes a process; the suite has a faster way."""


@dataclass(frozen=True)
class Case:
    """One recorded use of impasto.

    Attributes:
        run: called inside a folder with the pictures of :func:`write_inputs`; returns pixels as
            arrays and everything else as JSON-able values, by name.
        quick: whether it belongs to the subset for a fast check.
    """

    run: Callable[[], Facts]
    quick: bool = False


@dataclass
class Outcome:
    """What a command came to.

    Attributes:
        code: exit code.
        out, err: what it wrote.
    """

    code: int
    out: str
    err: str
    facts: Facts = field(default_factory=dict)


def call(*arguments: str) -> Outcome:
    """Run a command line of impasto in this process."""
    from impasto.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def call_ok(*arguments: str) -> Outcome:
    """Run a command line that must succeed."""
    outcome = call(*arguments)
    if outcome.code:
        raise AssertionError(
            f"impasto {' '.join(arguments)}: exit code {outcome.code}: {outcome.err}"
        )
    return outcome


def environment() -> dict[str, str]:
    """That of a process which imports the same impasto as this one."""
    import impasto

    source = str(Path(impasto.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}


def call_process(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command line of impasto as its own process."""
    command = [sys.executable, "-m", "impasto", *arguments]
    return subprocess.run(
        command, input=data, capture_output=True, check=False, env=environment(), timeout=300
    )


def paint(
    *flags: str,
    photo: str = "photo.png",
    styles: tuple[str, ...] = ("painting.png",),
    out: str = "out.png",
) -> Outcome:
    """Repaint a photo with the main command; the facts are its JSON report."""
    paintings = [word for each in styles for word in ("--style", each)]
    outcome = call_ok(photo, *paintings, "-o", out, *FLOAT32, "--quiet", "--json", *flags)
    outcome.facts = json.loads(outcome.out.splitlines()[-1])
    return outcome


def read_pixels(source: Path | str | bytes) -> np.ndarray:
    """[H, W, channels] or [H, W] as a picture file has it."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(opened) as image:
        return np.asarray(image)


def list_names(folder: str = ".") -> list[str]:
    """Names in a folder, sorted."""
    return sorted(path.name for path in Path(folder).iterdir())


def read_folder(folder: str, pattern: str = "*.png") -> np.ndarray:
    """The pictures of a folder, which are of one size, stacked by name."""
    return np.stack([read_pixels(path) for path in sorted(Path(folder).glob(pattern))])


def read_animation(path: str) -> np.ndarray:
    """The frames of a GIF, stacked."""
    with Image.open(path) as image:
        return np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)])


def read_record(path: str) -> Facts:
    """What is embedded in a PNG, as JSON."""
    with Image.open(path) as image:
        return json.loads(image.info["impasto"])


def steady(value: Any) -> Any:
    """JSON with the names of types in place of values that are not the same every time."""
    if isinstance(value, dict):
        return {
            key: _kind(each) if key in VOLATILE else steady(each) for key, each in value.items()
        }
    if isinstance(value, list):
        return [steady(each) for each in value]
    return value


def _kind(value: Any) -> Any:
    if isinstance(value, dict):
        return dict.fromkeys(sorted(value), "...")
    return "number" if type(value) in (int, float) else type(value).__name__


def without_recipe(report: Facts) -> Facts:
    """A report whose recipe, which another case records, is only named."""
    return {**report, "recipe": report["recipe"]["name"]} if "recipe" in report else report


@contextlib.contextmanager
def folder_of_inputs() -> Iterator[Path]:
    """A temporary folder with the pictures, made the current one."""
    folder = tempfile.TemporaryDirectory(prefix="impasto-golden-")
    with folder as path, contextlib.chdir(path):
        write_inputs()
        yield Path(path)


def run_case(case: Case) -> tuple[dict[str, np.ndarray], Facts]:
    """Run a case in a folder of its own.

    Returns:
        Its pixels and its facts, by name; the facts as they are after a turn through JSON.
    """
    with folder_of_inputs():
        results = case.run()
    pixels = {name: value for name, value in results.items() if isinstance(value, np.ndarray)}
    facts = {name: value for name, value in results.items() if name not in pixels}
    return pixels, json.loads(json.dumps(facts))
