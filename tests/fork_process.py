"""The process that :mod:`forks` starts: it imports impasto once and forks for each request.

Run as ``python fork_process.py SOCKET``. It has one thread and computes nothing, so that a
fork of it is as good as a fresh interpreter that has run its imports.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import gc
import io
import os
import pickle
import runpy
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

MOST = 1 << 18
"""Bytes of a request."""
HIGH = 200
"""File descriptors from here on are free."""
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of prctl: orphans below this process become its children."""


def adopt_orphans() -> None:
    """Make this process the parent of processes that its fork server makes."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1)


def import_all() -> None:
    """Import every module of impasto whose packages are installed, and decode VGG-19."""
    import impasto

    root = Path(impasto.__file__).parent
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1] not in ("__init__", "__main__"):
            with contextlib.suppress(ImportError):
                import_module(".".join(parts))
    from impasto.encoders.weight_sources import find_wheel_file, hash_file
    from impasto.encoders.weights import load_wheel_parameters

    load_wheel_parameters()
    hash_file(find_wheel_file())


def serve(line: socket.socket) -> Callable[[], object]:
    """Fork for each request until the line is closed.

    Returns:
        What a forked process has to do; in the server itself, nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        data, received, _, _ = socket.recv_fds(line, MOST, 64)
        if not data:
            return lambda: 0
        request = pickle.loads(data)
        answers, answer = os.pipe()
        starts, start = os.pipe()
        # Its parent ends at once, so that it becomes a child of the process that has asked.
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(answer, str(child).encode())
                os._exit(0)
            line.close()
            for number in (answers, answer, start):
                os.close(number)
            os.read(starts, 1)  # returns when its parent has ended and the server closes the pipe
            os.close(starts)
            return lambda: become(request, received)
        os.waitpid(between, 0)
        line.send(os.read(answers, 32))
        for number in (answers, answer, starts, start, *received):
            os.close(number)


def become(request: dict[str, Any], received: list[int]) -> object:
    """Turn this process into the one that was asked for, and run its Python."""
    raised = [fcntl.fcntl(number, fcntl.F_DUPFD, HIGH) for number in received]
    for number in received:
        os.close(number)
    for standard in (0, 1, 2):
        if standard not in request["targets"]:
            with contextlib.suppress(OSError):
                os.close(standard)
    for number, target in zip(raised, request["targets"], strict=True):
        os.dup2(number, target)
        os.close(number)
    if request["session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["mask"])
    _open_streams(request["targets"])
    if request["encoder"] == "narrow":
        import narrow

        narrow.install()
    kind, source, *arguments = request["command"]
    Path("/proc/self/comm").write_text("spawn_main" if "spawn_main" in source else "impasto")
    if request["nests"]:
        from forks import nest

        nested = nest()
        if nested is not None:
            return nested()
    sys.argv[:] = ["-c" if kind == "-c" else "-m", *arguments]
    sys.path[0] = "" if kind == "-c" else request["folder"]
    if kind == "-m":
        return runpy.run_module(source, run_name="__main__", alter_sys=True)
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    exec(compile(source, "<string>", "exec"), main.__dict__)
    return 0


def end(work: Callable[[], object]) -> NoReturn:
    """Do the work and end as an interpreter does, but leave the memory to the system."""
    code = 0
    try:
        work()
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else int(request.code is not None)
        if isinstance(request.code, str):
            sys.stderr.write(f"{request.code}\n")
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code & 255)


def _open_streams(targets: list[int]) -> None:
    """Make Python's standard streams those of the new process."""
    plain = bool(os.environ.get("PYTHONUNBUFFERED"))

    def open_text(number: int, mode: str, errors: str) -> Any:
        if number not in targets:
            return None
        raw = open(number, mode, buffering=0 if plain and number else -1, closefd=False)  # noqa: SIM115
        whole = raw.isatty() or number == 2
        return io.TextIOWrapper(
            raw, "utf-8", errors, line_buffering=whole, write_through=plain and number > 0
        )

    sys.stdin = sys.__stdin__ = open_text(0, "rb", "strict")  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = open_text(1, "wb", "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = open_text(2, "wb", "backslashreplace")  # type: ignore[misc]


if __name__ == "__main__":
    sys.modules["fork_process"] = sys.modules["__main__"]
    import_all()
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "an import has started a thread, which no fork would have"
    gc.freeze()
    end(serve(socket.socket(fileno=int(sys.argv[1]))))
