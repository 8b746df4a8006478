"""Runs of the command line that several test modules make."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import forks
from impasto.cli import main

ITERATIONS = 9
SCALES = [(21, 5), (37, 2), (64, 2)]
"""Width and iterations of each scale of :func:`three_scales`."""


def three_scales() -> list[str]:
    """The default recipe with its scales begun at 16 px, as flags."""
    Path("mine.toml").write_text(
        'base = "standard"\n[schedule]\ncoarsest = 16\nat = 64\ngrowth = 2.5\n'
    )
    return ["--recipe", "mine.toml", "--size", "64", "--iterations", str(ITERATIONS)]


def killed_at(step: int, arguments: list[str]) -> None:
    """Run in a process that keeps its state after every step and is killed after one of them."""
    script = (
        "import os, signal, sys\n"
        "from impasto.optimize.checkpoint import Keeper\n"
        "def offer(self, state):\n"
        "    self.keep(state)\n"
        "    if state.iteration == int(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "Keeper.offer = offer\n"
        "from impasto.cli import main; sys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", script, str(step), *arguments]
    process = forks.run(command, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()


def replayed(name: str, *arguments: str) -> bool:
    """Whether a replay gives the same bytes."""
    again = f"again{Path(name).suffix}"
    assert main(["replay", name, "-o", again, "--quiet", "--force", *arguments]) == 0
    return Path(again).read_bytes() == Path(name).read_bytes()
