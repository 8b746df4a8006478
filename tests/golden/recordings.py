"""Recordings of cases: made, written, read, and compared."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Facts, run_case


@dataclass
class Recording:
    """What cases gave.

    Attributes:
        pixels: by ``case/name``.
        facts: JSON, by case; a case that failed has ``error`` alone.
        about: where and with what it was made.
    """

    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    about: Facts = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read what :meth:`write` has written."""
        with np.load(path) as arrays:
            pixels = {name: arrays[name] for name in arrays.files}
        data = json.loads(path.with_suffix(".json").read_text("utf-8"))
        return cls(pixels, data["facts"], data["about"])

    def write(self, path: Path, *, brief: bool = False) -> None:
        """Write pixels to ``path`` (.npz), and hashes and facts beside it (.json).

        Args:
            path: of the pixels.
            brief: whether hashes and what was measured are left out, and a case is a line.
        """
        np.savez_compressed(path, **self.pixels)
        if brief:
            lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in self.facts.items()]
            text = '{"about": {}, "facts": {\n' + ",\n".join(lines) + "\n}}"
        else:
            hashes = {name: hash_pixels(value) for name, value in self.pixels.items()}
            data = {"about": self.about, "sha256": hashes, "facts": self.facts}
            text = json.dumps(data, indent=1, ensure_ascii=False)
        path.with_suffix(".json").write_text(text + "\n", "utf-8")

    def pick(self, names: Iterable[str]) -> Recording:
        """The recording of some cases."""
        facts = {name: self.facts[name] for name in names}
        pixels = {k: value for k, value in self.pixels.items() if k.rpartition("/")[0] in facts}
        return Recording(pixels, facts, self.about)


def hash_pixels(pixels: np.ndarray) -> str:
    """SHA-256 of pixels, their shape and type."""
    about = f"{pixels.shape} {pixels.dtype.str} ".encode()
    return hashlib.sha256(about + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def choose_cases(
    cases: Mapping[str, Case], only: Iterable[str], *, quick: bool = False
) -> list[str]:
    """The names of cases that contain one of the given parts, or of all; or of the quick ones."""
    parts = list(only)
    names = [name for name in cases if not parts or any(part in name for part in parts)]
    return [name for name in names if cases[name].quick or not quick]


def record_cases(cases: Mapping[str, Case], path: Path, *, progress: bool = False) -> None:
    """Run cases and write a recording; what fails is recorded as an error."""
    import impasto

    recording, seconds = Recording(), {}
    recording.about["source"] = str(Path(impasto.__file__).resolve().parents[1])
    for name, case in cases.items():
        start = sum(os.times()[:4])
        try:
            pixels, facts = run_case(case)
        except Exception as error:
            traceback.print_exc()
            pixels, facts = {}, {"error": f"{type(error).__name__}: {error}"}
        seconds[name] = round(sum(os.times()[:4]) - start, 2)
        if progress:
            print(f"{seconds[name]:6.2f} s  {name}", file=sys.stderr, flush=True)  # noqa: T201
        recording.facts[name] = facts
        recording.pixels |= {f"{name}/{key}": value for key, value in pixels.items()}
    recording.about["seconds"] = seconds
    recording.write(path)


def flatten(value: Any, name: str = "") -> dict[str, Any]:
    """The leaves of JSON by dotted name."""
    if isinstance(value, dict) and value:
        leaves: dict[str, Any] = {}
        for key, each in value.items():
            leaves |= flatten(each, f"{name}.{key}" if name else key)
        return leaves
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        leaves = {}
        for index, each in enumerate(value):
            leaves |= flatten(each, f"{name}[{index}]")
        return leaves
    return {name: value}


def compare_facts(old: Facts, new: Facts, tolerance: float = 0.0) -> list[str]:
    """What differs between two cases' facts, a line each.

    Args:
        old, new: facts.
        tolerance: relative difference that floats may have.
    """
    before, after = flatten(old), flatten(new)
    lines = []
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in after:
            lines.append(f"{key}: {shorten(before[key])} is missing")
        elif key not in before:
            lines.append(f"{key}: {shorten(after[key])} is new")
        elif not are_near(before[key], after[key], tolerance):
            lines.append(f"{key}: {shorten(before[key])} became {shorten(after[key])}")
    return lines


def are_near(old: Any, new: Any, tolerance: float) -> bool:
    """Whether two values are equal, or floats that are near each other."""
    if type(old) is float and type(new) is float:
        return abs(old - new) <= tolerance * max(abs(old), abs(new)) + tolerance * 1e-3
    return type(old) is type(new) and old == new


def shorten(value: Any) -> str:
    """A value as one short text."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def measure_difference(old: np.ndarray, new: np.ndarray) -> tuple[float, float, float] | str:
    """How far pixels are apart in steps of 8 bits: the largest difference, the mean, and the share
    of differing values; or why they cannot be compared.
    """
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype} {old.shape} became {new.dtype} {new.shape}"
    unit = 257 if old.dtype == np.uint16 else 1
    apart = np.abs(old.astype(np.float64) - new.astype(np.float64)) / unit
    return float(apart.max(initial=0)), float(apart.mean()), float((apart > 0).mean())


def compare_recordings(old: Recording, new: Recording) -> dict[str, list[str]]:
    """What differs bit for bit, a list of lines for every case of the new recording."""
    differences: dict[str, list[str]] = {}
    for name, facts in new.facts.items():
        if name not in old.facts:
            differences[name] = ["is not in the older recording"]
            continue
        lines = compare_facts(old.facts[name], facts)
        keys = {key for key in (*old.pixels, *new.pixels) if key.rpartition("/")[0] == name}
        for key in sorted(keys):
            lines += _compare_pixels(
                key.rpartition("/")[2], old.pixels.get(key), new.pixels.get(key)
            )
        differences[name] = lines
    return differences


def _compare_pixels(name: str, old: np.ndarray | None, new: np.ndarray | None) -> list[str]:
    if old is None or new is None:
        return [f"{name}: pixels {'are new' if old is None else 'are missing'}"]
    difference = measure_difference(old, new)
    if isinstance(difference, str):
        return [f"{name}: {difference}"]
    most, mean, share = difference
    if not share:
        return []
    return [f"{name}: max {most:.0f}, mean {mean:.3f} steps, {share:.1%} of values differ"]
