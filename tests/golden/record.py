"""Record what a commit gives, and compare it with what the current checkout gives.

    python tests/golden/record.py --commit c878226              record both, and compare
    python tests/golden/record.py --commit c878226 --save FILE  only record the commit, into FILE
    python tests/golden/record.py --commit c878226 --references write what test_golden.py expects
    python tests/golden/record.py --against FILE                compare this checkout with FILE
    python tests/golden/record.py --against FILE --source DIR   compare another checkout with FILE

The cases are those of this file's folder, whichever the checkout. Hashes are of this machine alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cases import CASES, RECORDED_ONLY
from recordings import Recording, compare_recordings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--commit", help="the older commit, recorded in a worktree of its own")
    add("--source", type=Path, default=ROOT, help="the newer checkout (default: this one)")
    add("--save", type=Path, metavar="FILE", help="write the older recording: FILE.npz, FILE.json")
    add("--references", action="store_true", help="write those of the test suite")
    add("--against", type=Path, metavar="FILE", help="read the older recording from there")
    add("--only", nargs="+", default=[], metavar="NAME", help="cases whose names contain a NAME")
    add("--quick", action="store_true", help="a dozen cases, in less than a minute")
    add("--brief", action="store_true", help="print only what differs, and a summary")
    return parser


@contextmanager
def check_out(commit: str) -> Iterator[Path]:
    """A worktree of a commit, gone afterwards."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="impasto-golden-") as folder:
        place = Path(folder) / "checkout"
        subprocess.run([*git, "add", "--detach", "--quiet", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def record(source: Path, options: argparse.Namespace) -> Recording:
    """Run the cases in a process that imports impasto from a checkout.

    Raises:
        SystemExit: the process failed, or imported another impasto.
    """
    source = source.resolve() / "src"
    environment = {
        **os.environ,
        "PYTHONPATH": str(source),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
    }
    with tempfile.TemporaryDirectory(prefix="impasto-golden-") as folder:
        file = Path(folder) / "recording.npz"
        command = [sys.executable, str(HERE / "cases.py"), str(file)]
        command += ["--quick"] if options.quick else []
        command += [] if options.brief else ["--progress"]
        command += ["--only", *options.only] if options.only else []
        if subprocess.run(command, env=environment, check=False).returncode:
            raise SystemExit(f"the cases could not be run with {source}")
        recording = Recording.read(file)
    if recording.about["source"] != str(source):
        raise SystemExit(f"impasto was imported from {recording.about['source']}, not {source}")
    return recording


def record_commit(options: argparse.Namespace) -> Recording:
    """The older recording: read, or made now."""
    if options.against is not None:
        return Recording.read(options.against.with_suffix(".npz"))
    with check_out(options.commit) as place:
        old = record(place, options)
    old.about["commit"] = options.commit
    return old


def write(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def report(differences: dict[str, list[str]], *, brief: bool) -> int:
    """Print the table and return how many cases differ."""
    count = 0
    for name, lines in differences.items():
        count += bool(lines)
        if lines or not brief:
            write(f"{'DIFFERENT' if lines else 'equal':<10} {name}")
        for line in lines:
            write(f"           {line}")
    write(f"{len(differences)} cases: {len(differences) - count} equal, {count} different")
    return count


def main() -> int:
    """Record, compare, and return 1 if anything differs."""
    parser = build_parser()
    options = parser.parse_args()
    if (options.commit is None) == (options.against is None):
        parser.error("give --commit or --against")
    old = record_commit(options)
    if options.save is not None:
        old.write(options.save.with_suffix(".npz"))
    if options.references:
        names = [name for name in CASES if name not in RECORDED_ONLY]
        old.pick(names).write(HERE / "references.npz", brief=True)
    if options.save is not None or options.references:
        return 0
    new = record(options.source, options)
    return 1 if report(compare_recordings(old, new), brief=options.brief) else 0


if __name__ == "__main__":
    raise SystemExit(main())
