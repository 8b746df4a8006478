"""Fuzz everything that reads bytes from strangers, guided by coverage.

    make fuzz MINUTES=30
    python tests/fuzz/fuzz.py --minutes 60 --csv benchmarks/fuzz.csv --findings /tmp/findings

Atheris (libFuzzer) runs each target in a process of its own, copied from this one, so that a crash
of a library ends one round and not the run. Undocumented exceptions, crashes, rounds that hang, and
inputs that take more than 2 GB are counted, and their inputs are stored in the folder of findings.
``--keep`` stores the smallest inputs that reach new code in ``corpus``, which the tests read.
Linux on x86-64 only, where Atheris has a package.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["impasto", "PIL", "tifffile", "starlette"]):
    from fuzz_targets import TARGETS, read_input

    import impasto.batch.sources.manifest
    import impasto.encoders.formats
    import impasto.network.network_files
    import impasto.optimize.checkpoint
    import impasto.studio.http.request.intake
    import impasto.video.clip.container  # noqa: F401 -- instrumented before the targets need them

CORPUS = Path(__file__).with_name("corpus")
CORPUS_BYTES = 1_900_000 // len(TARGETS)
MOST_BYTES = 2 << 30
ADDRESS_BYTES = 16 << 30
SECONDS_EACH = 60
ROUND_S = 120
KINDS = {-14: "hangs", 70: "hangs", 71: "out of memory", 72: "over 2 GB", 77: "exceptions"}


@dataclass
class Tally:
    """What happened to one target."""

    runs: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)


def run_round(name: str, seconds: float, corpus: Path, findings: Path, tally: Tally) -> None:
    """Fuzz one target for a while in a copy of this process."""
    log = findings / f"{name}.log"
    process = os.fork()
    if process == 0:
        run_child(name, seconds, corpus, findings, log)
    _, status, usage = os.wait4(process, 0)
    tally.peak_mb = max(tally.peak_mb, usage.ru_maxrss / 1024)
    text = log.read_text(errors="replace")
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text)
    progress = re.findall(r"^#(\d+)", text, re.MULTILINE)
    tally.runs += int((executed or progress or ["0"])[-1])
    code = os.waitstatus_to_exitcode(status)
    if code:
        tally.counts[KINDS.get(code, f"crashes ({code})")] += 1
        shutil.copy(log, findings / f"{name}-{time.time_ns()}.log")


def run_child(name: str, seconds: float, corpus: Path, findings: Path, log: Path) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    keys = {path.name.rpartition("-")[2] for path in findings.glob(f"{name}-exception-*")}

    def test_one_input(data: bytes) -> None:
        try:
            read_input(name, data)
        except Exception as error:
            note_exception(name, data, error, findings, keys)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MOST_BYTES:
            (findings / f"{name}-memory-{hash_input(data)}").write_bytes(data)
            os._exit(72)

    flags = (
        f"-max_total_time={round(seconds)}",
        f"-max_len={TARGETS[name].longest}",
        f"-timeout={SECONDS_EACH}",
        "-rss_limit_mb=2048",
        "-malloc_limit_mb=0",
        f"-artifact_prefix={findings}/{name}-",
        "-print_final_stats=1",
        "-use_value_profile=1",
    )
    atheris.Setup([sys.argv[0], *flags, str(corpus)], test_one_input)
    atheris.Fuzz()
    os._exit(0)


def hash_input(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def note_exception(
    name: str, data: bytes, error: Exception, findings: Path, keys: set[str]
) -> None:
    """Store the first input of each place that raises something undocumented."""
    places = [
        f"{Path(each.filename).name}:{each.lineno}"
        for each in traceback.extract_tb(error.__traceback__)
    ]
    what = f"{type(error).__name__} {' '.join(places[-4:])}"
    key = hashlib.sha256(what.encode()).hexdigest()[:8]
    if key in keys:
        return
    keys.add(key)
    (findings / f"{name}-exception-{key}").write_bytes(data)
    text = "".join(traceback.format_exception(error))
    (findings / f"{name}-trace-{key}.txt").write_text(text)


def keep_corpus(name: str, corpus: Path) -> None:
    """Store the smallest inputs that reach all code that was reached, within the limit."""
    target = CORPUS / name
    merged = corpus.with_name(f"{name}-merged")
    merged.mkdir()
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)

        def test_one_input(data: bytes) -> None:
            try:
                read_input(name, data)
            except Exception:
                return

        flags = ("-set_cover_merge=1", f"-max_len={TARGETS[name].longest}")
        atheris.Setup([sys.argv[0], *flags, str(merged), str(corpus)], test_one_input)
        atheris.Fuzz()
        os._exit(0)
    os.waitpid(process, 0)
    files = sorted(merged.iterdir() or corpus.iterdir(), key=lambda path: path.stat().st_size)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    left = CORPUS_BYTES
    for path in files:
        left -= max(path.stat().st_size, 64)
        if left < 0:
            break
        shutil.copy(path, target / hash_input(path.read_bytes()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--findings", type=Path, help="folder of inputs that fail")
    parser.add_argument("--csv", type=Path, help="file of the counts")
    parser.add_argument("--keep", action="store_true", help="renew the corpus of the tests")
    options = parser.parse_args()
    findings = options.findings or Path(tempfile.mkdtemp(prefix="impasto-findings-"))
    findings.mkdir(parents=True, exist_ok=True)
    tallies = {name: Tally() for name in options.targets}
    # Not removed by an object of Python's, which would do so in every copy of this process too.
    folder = tempfile.mkdtemp(prefix="impasto-fuzz-")
    try:
        for name in options.targets:
            corpus = Path(folder, name)
            corpus.mkdir()
            for data in TARGETS[name].examples():
                (corpus / hash_input(data)).write_bytes(data)
            for path in (CORPUS / name).glob("*"):
                shutil.copy(path, corpus)
        until = time.monotonic() + 60 * options.minutes
        while time.monotonic() < until:
            for name in options.targets:
                seconds = min(ROUND_S, 60 * options.minutes / len(options.targets))
                start = time.monotonic()
                if start > until - 1:
                    break
                run_round(name, seconds, Path(folder, name), findings, tallies[name])
                tallies[name].seconds += time.monotonic() - start
        if options.keep:
            for name in options.targets:
                keep_corpus(name, Path(folder, name))
    finally:
        shutil.rmtree(folder)
    return report(tallies, findings, options)


def report(tallies: dict[str, Tally], findings: Path, options: argparse.Namespace) -> int:
    rows, bad = [], 0
    for name, tally in tallies.items():
        exceptions = len(list(findings.glob(f"{name}-exception-*")))
        crashes = sum(n for kind, n in tally.counts.items() if kind.startswith("crashes"))
        over = tally.counts["out of memory"] + tally.counts["over 2 GB"]
        bad += exceptions + crashes + over + tally.counts["hangs"]
        rows.append(
            {
                "target": name,
                "inputs": tally.runs,
                "minutes": round(tally.seconds / 60, 1),
                "crashes": crashes,
                "undocumented exceptions": exceptions,
                "hangs": tally.counts["hangs"],
                "over 2 GB": over,
                "peak MB": round(tally.peak_mb),
                "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
                "date": time.strftime("%Y-%m-%d"),
                "command": f"make fuzz MINUTES={options.minutes:g}",
            }
        )
        print(rows[-1], dict(tally.counts))
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print(f"findings: {bad}, in {findings}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
