"""Processes that have imported impasto and PyTorch before they start.

An interpreter takes two CPU seconds to import PyTorch, far longer than what most tests of processes
ask of it. Here each process is forked from one that has done so: it has its own id, exit code,
signals, environment, folder and streams, and is a child of whoever asked for it, as after
:class:`subprocess.Popen`. Tests of the start itself (what is imported when, what is missing) use
:mod:`subprocess`. Where the system is not Linux, so does everything.
"""

from __future__ import annotations

import atexit
import inspect
import multiprocessing.util
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fork_process import adopt_orphans, serve

POSSIBLE = sys.platform == "linux"
SPAWNING = ("batch", "serve")
"""Commands that start processes of their own."""
encoder = "vgg19"
"""What optimizers of new processes look through: ``vgg19``, or ``narrow`` (:mod:`narrow`)."""


class ForkServer:
    """A process that forks, and the line to it."""

    def __init__(self) -> None:
        """Prepare; the process starts with the first request."""
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes]

    @classmethod
    def take_over(cls, line: socket.socket) -> ForkServer:
        """Return the one at the other end of a line."""
        server = cls()
        server._line = line
        return server

    def fork(
        self,
        command: Sequence[str],
        files: dict[int, int],
        *,
        folder: str | None = None,
        environment: dict[str, str] | None = None,
        session: bool = False,
        nests: bool = False,
    ) -> int:
        """Start a process.

        Args:
            command: arguments of the interpreter, that begin with ``-m`` or ``-c``.
            files: the new process's file descriptors -> ours.
            folder: its current folder. None: ours.
            environment: its environment. None: ours.
            session: whether it leads a session.
            nests: whether the processes that it spawns are forks as well.

        Returns:
            The id of the process, which is our child.
        """
        request = {
            "command": list(command),
            "targets": list(files),
            "folder": folder or str(Path.cwd()),
            "environment": dict(os.environ) if environment is None else environment,
            "encoder": encoder,
            "session": session,
            "nests": nests,
            "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        }
        with self._lock:
            line = self._line or self._start()
            socket.send_fds(line, [pickle.dumps(request)], list(files.values()))
            return int(line.recv(32))

    def _start(self) -> socket.socket:
        adopt_orphans()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(Path(__file__).with_name("fork_process.py"))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, script, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        atexit.register(self._close)
        return self._line

    def _close(self) -> None:
        assert self._line is not None
        self._line.close()
        self._process.wait()


SERVER = ForkServer()


class Popen(subprocess.Popen):
    """As :class:`subprocess.Popen`, for commands that run Python's ``-m impasto`` or ``-c``."""

    def _execute_child(self, *values: Any) -> None:
        whole = super()._execute_child
        arguments = inspect.signature(whole).bind(*values).arguments
        command = [os.fsdecode(each) for each in arguments["args"]]
        assert command[0] == sys.executable, command
        if not POSSIBLE:
            assert encoder == "vgg19", "another encoder needs a fork server"
            whole(*values)
            return
        names = ("p2cread", "c2pwrite", "errwrite")
        files = {}
        for standard, name in enumerate(names):
            number = standard if arguments[name] == -1 else arguments[name]
            if os.path.exists(f"/proc/self/fd/{number}"):  # noqa: PTH110
                files[standard] = number
        files.update({number: number for number in arguments["pass_fds"]})
        self.pid = SERVER.fork(
            command[1:],
            files,
            folder=None if arguments["cwd"] is None else os.fspath(arguments["cwd"]),
            environment=None if arguments["env"] is None else dict(arguments["env"]),
            session=arguments["start_new_session"],
            nests=any(word in SPAWNING for word in command[1:4]),
        )
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(arguments[name] for name in pipes))


def run(
    command: Sequence[str],
    *,
    input: Any = None,  # noqa: A002
    timeout: float | None = None,
    check: bool = False,
    capture_output: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end, as :func:`subprocess.run` does."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    result = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        result.check_returncode()
    return result


def nest() -> Callable[[], object] | None:
    """Have the processes that this one spawns forked from it as it is now.

    Returns:
        What the process that forks has to do, in that process. None: in this one.
    """
    adopt_orphans()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        Path("/proc/self/comm").write_text("fork-server")
        for number in (0, 1, 2):  # or readers of a pipe would wait for this process's end
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        return serve(theirs)
    theirs.close()
    fork_spawned_processes(ForkServer.take_over(ours))
    return None


def fork_spawned_processes(server: ForkServer) -> None:
    """Have this process's :mod:`multiprocessing` fork what it would spawn."""
    if not POSSIBLE:
        return

    def spawn(_: bytes, arguments: Sequence[str], numbers: Sequence[int]) -> int:
        files = {number: number for number in (0, 1, 2, *map(int, numbers))}
        words = [os.fsdecode(each) for each in arguments]
        return server.fork(words[words.index("-c") :], files)

    multiprocessing.util.spawnv_passfds = spawn
