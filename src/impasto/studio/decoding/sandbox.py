"""Give up a decoder process's rights for good before it sees the bytes of a client."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from impasto.studio.decoding import landlock
from impasto.studio.decoding.linux_calls import drop_capabilities, set_not_dumpable
from impasto.studio.decoding.seccomp import set_filter

ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")
"""Variables that the processes which decode inherit; all others may hold secrets."""
MAX_OPEN_FILES = 64
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store")


@dataclass(frozen=True)
class Restrictions:
    """What a decoder process may use at most.

    Attributes:
        folder: folder that it may read.
        box: folder inside it that it may write to.
        memory: bytes of address space.
        seconds: seconds of processor time. None: no limit.
        file_bytes: bytes of a file that it writes.
    """

    folder: str
    box: str
    memory: int
    seconds: int | None
    file_bytes: int


@dataclass(frozen=True)
class Confinement:
    """Which restrictions are in force.

    Attributes:
        in_force: those that are.
        missing: those that are not, with the reasons.
    """

    in_force: tuple[str, ...]
    missing: tuple[str, ...]

    def describe(self) -> str:
        """Describe it in one line."""
        text = ", ".join(self.in_force) or "none"
        return f"{text}; missing: {', '.join(self.missing)}" if self.missing else text


def make_environment() -> dict[str, str]:
    """Return the environment of the processes that decode, which holds no secrets."""
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    # Each of its threads would take address space.
    return environment | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def confine(restrictions: Restrictions) -> Confinement:
    """Give up rights for good; whatever the system cannot do is left out.

    The process must have one thread only, and must have loaded the libraries that it needs.

    Args:
        restrictions: what remains.
    """
    libraries = [(path, landlock.READ) for path in _list_libraries()]
    folders = [
        (Path(restrictions.folder), landlock.READ),
        (Path(restrictions.box), landlock.WRITE),
    ]
    version = landlock.find_version()
    reasons = {
        f"Landlock {version} (files)": landlock.restrict_files([*libraries, *folders]),
        "resource limits": set_limits(restrictions),
        "unreadable memory": None if set_not_dumpable() else "only on Linux",
        "no capabilities": None if drop_capabilities() else "only on Linux",
        "seccomp (system calls)": set_filter(),  # the last one, because it refuses the others
    }
    return Confinement(
        in_force=tuple(name for name, reason in reasons.items() if reason is None),
        missing=tuple(
            f"{name.replace(' 0', '')}: {reason}" for name, reason in reasons.items() if reason
        ),
    )


def set_limits(restrictions: Restrictions) -> str | None:
    """Limit what this process uses, and return why that failed. None: it did not."""
    try:
        import resource
    except ImportError:
        return "not on Windows"
    pairs = {
        resource.RLIMIT_AS: restrictions.memory,
        resource.RLIMIT_FSIZE: restrictions.file_bytes,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    failed = False
    for kind, value in pairs.items():
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):  # macOS refuses some
            failed = True
    if restrictions.seconds is not None:
        with contextlib.suppress(ValueError, OSError):
            limits = (restrictions.seconds, restrictions.seconds + 1)
            resource.setrlimit(resource.RLIMIT_CPU, limits)
    return "refused by the system" if failed else None


def _list_libraries() -> list[Path]:
    """Return the folders of Python's and the system's libraries, which hold no secrets."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names} | set(_SYSTEM_LIBRARIES)
    package = Path(__file__).parents[2]
    return [*map(Path, sorted(folders)), package]
