"""Start decoder processes, and talk with them."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from impasto.batch.processes.local_machine import block_interrupts
from impasto.errors import ClipError, ImageError, InputError, LimitError, ResourceError
from impasto.image.files.limits import Limits
from impasto.studio.decoding.decoder_process import ANSWER_BYTES, run_decoder
from impasto.studio.decoding.fork_server import ORDER_BYTES
from impasto.studio.decoding.sandbox import Confinement, Restrictions, make_environment

START_S = 60.0
"""Seconds for a process to start."""
PATIENCE = 3
"""Multiple of the processor time that a decoder may wait for other work on the machine."""
FORK_SERVER = "impasto.studio.decoding.fork_server"
BOX = ".decoding-"
"""Start of the names of folders for what a decoder writes."""
_KINDS = {kind.__name__: kind for kind in (ClipError, ImageError, LimitError, ResourceError)}


class DecoderProcess(Protocol):
    """A decoder process and our end of its line."""

    line: Connection

    def end(self) -> int:
        """End the process, and return the signal that had ended it before. 0: none had."""


class Launcher(Protocol):
    """Starts decoder processes."""

    def launch(self, limits: Limits, restrictions: Restrictions) -> DecoderProcess:
        """Start a process.

        Raises:
            ResourceError: it does not start.
        """

    def close(self) -> None:
        """End everything that was started."""


class ForkLauncher:
    """Starts decoders by a :mod:`fork server <impasto.studio.decoding.fork_server>`, on Linux."""

    def __init__(self, module: str = FORK_SERVER) -> None:
        """Prepare; the server starts with the first decoder.

        Args:
            module: the server's module.
        """
        self._module = module
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def launch(self, limits: Limits, restrictions: Restrictions) -> DecoderProcess:
        """See :class:`Launcher`."""
        order = {"limits": asdict(limits), "restrictions": asdict(restrictions)}
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                reply = self._order(order, theirs)
            except OSError:  # it was killed, for example because memory ran out
                reply = self._order(order, theirs)
        return _ForkedProcess(self, reply["process"], Connection(ours.detach()))

    def kill(self, process: int) -> int:
        """End a decoder, and return the signal that had ended it before. 0: none had."""
        with contextlib.suppress(OSError):
            number: int = self._order({"kill": process}).get("signal", 0)
            return 0 if number == signal.SIGKILL else number
        return 0

    def close(self) -> None:
        """See :class:`Launcher`."""
        with self._lock:
            self._end()

    def _order(self, order: dict[str, Any], handle: socket.socket | None = None) -> dict[str, Any]:
        with self._lock:
            control = self._control or self._start()
            try:
                handles = [] if handle is None else [handle.fileno()]
                socket.send_fds(control, [json.dumps(order).encode()], handles)
                reply: dict[str, Any] = json.loads(control.recv(ORDER_BYTES) or b"null")
                if reply is None:
                    raise EOFError
            except (OSError, ValueError, EOFError):
                self._end()
                raise OSError("the fork server has ended") from None
        return reply

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = str(theirs.fileno())
            command = [sys.executable, "-P", "-m", self._module, number]
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=make_environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C is not for it
            )
        self._control = ours
        ours.settimeout(START_S)
        try:
            if not ours.recv(ORDER_BYTES):
                raise OSError
        except OSError:
            self._end()
            raise ResourceError(
                f"did not start within {START_S:g} s", what="the decoder process", limit=START_S
            ) from None
        return ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._control = self._server = None


class _ForkedProcess:
    def __init__(self, launcher: ForkLauncher, process: int, line: Connection) -> None:
        self.line = line
        self.id = process
        self._launcher = launcher

    def end(self) -> int:
        self.line.close()
        return self._launcher.kill(self.id)


class SpawnLauncher:
    """Starts decoders as independent processes, where processes cannot be forked safely."""

    def launch(self, limits: Limits, restrictions: Restrictions) -> DecoderProcess:
        """See :class:`Launcher`."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=run_decoder, args=(theirs, limits, restrictions), name="decoder", daemon=True
        )
        with block_interrupts():
            process.start()
        theirs.close()
        return _SpawnedProcess(process, ours)

    def close(self) -> None:
        """See :class:`Launcher`."""


class _SpawnedProcess:
    def __init__(self, process: Any, line: Connection) -> None:
        self.line = line
        self._process = process

    def end(self) -> int:
        self.line.close()
        code = self._process.exitcode or 0
        self._process.kill()
        self._process.join()
        self._process.close()
        return max(0, -code)


def choose_launcher() -> Launcher:
    """Return the launcher for this system."""
    return ForkLauncher() if sys.platform == "linux" else SpawnLauncher()


class Conversation:
    """Questions to one decoder process about the files of one folder.

    The process may write only to a folder of its own, the box. What it has written is used after
    it has ended, except for the frames of clips.
    """

    def __init__(
        self, launcher: Launcher, limits: Limits, restrictions: Restrictions, *, seconds: float
    ) -> None:
        """Start a process.

        Args:
            launcher: starts it.
            limits: limits of a picture.
            restrictions: what it may use. Its box does not exist yet.
            seconds: longest time for an answer.

        Raises:
            ResourceError: it does not start, or the disk is full.
        """
        self.box = Path(restrictions.box)
        self._seconds = seconds
        self._is_open = True
        try:
            self.box.mkdir(mode=0o700)
        except OSError as error:
            raise ResourceError(f"cannot be created ({error.strerror})", where=self.box) from error
        try:
            self.process = launcher.launch(limits, restrictions)
        except BaseException:
            shutil.rmtree(self.box, ignore_errors=True)
            raise
        self.confinement = self._receive_greeting()

    def _receive_greeting(self) -> Confinement:
        try:
            if not self.process.line.poll(START_S):  # its imports are not the picture's fault
                raise EOFError
            fields = json.loads(self.process.line.recv_bytes(ANSWER_BYTES))
            return Confinement(tuple(fields["in_force"]), tuple(fields["missing"]))
        except (EOFError, OSError):
            self.close()
            raise ResourceError(
                f"did not start within {START_S:g} s", what="the decoder process", limit=START_S
            ) from None

    def ask(self, question: str, path: Path, name: str, *rest: Any) -> dict[str, Any]:
        """Ask a question.

        Args:
            question: its name.
            path: file that it is about.
            name: name of the file in messages.
            rest: further values that JSON can express.

        Raises:
            ImpastoError: the file cannot be decoded.
        """
        line = self.process.line
        try:
            line.send_bytes(json.dumps([question, str(path), name, *rest]).encode())
            if not line.poll(PATIENCE * self._seconds):
                raise TimeoutError
            answer = json.loads(line.recv_bytes(ANSWER_BYTES))
            if not isinstance(answer, dict):
                raise EOFError
        except TimeoutError:
            self.close()
            raise self._describe_excess(name) from None
        except (EOFError, OSError, ValueError, RecursionError):
            if self.close() == getattr(signal, "SIGXCPU", None):
                raise self._describe_excess(name) from None
            raise ImageError("damaged; it crashed the decoder", where=name) from None
        if "error" in answer:
            raise _KINDS.get(str(answer["error"]), InputError)(str(answer.get("message")))
        return answer

    def _describe_excess(self, name: str) -> LimitError:
        return LimitError(
            f"decoding takes longer than {self._seconds:g} s", where=name, limit=self._seconds
        )

    def take(self, file: str, target: Path) -> None:
        """End the process, and move a file out of the box.

        Raises:
            ImageError: there is no such file.
            ResourceError: it cannot be moved.
        """
        self.end_process()
        source = self.box / file
        if not is_regular_file(source):
            raise ImageError("damaged; the decoder wrote nothing", where=target.name)
        try:
            source.replace(target)
        except OSError as error:
            raise ResourceError(
                f"cannot be written ({error.strerror})", where=target.name
            ) from error

    def end_process(self) -> int:
        """End the process, and return the signal that had ended it before. 0: none had."""
        if not self._is_open:
            return 0
        self._is_open = False
        return self.process.end()

    def close(self) -> int:
        """End the process, and remove the box; see :meth:`end_process`."""
        number = self.end_process()
        shutil.rmtree(self.box, ignore_errors=True)
        return number


def is_regular_file(path: Path) -> bool:
    """Tell whether a path is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def name_box(folder: Path) -> Path:
    """Return a new path for the box of a decoder inside a folder."""
    return folder / f"{BOX}{os.getpid()}-{secrets.token_hex(8)}"


def remove_boxes(folder: Path) -> None:
    """Remove the boxes that killed processes have left in a folder."""
    for box in folder.glob(f"{BOX}*"):
        process = box.name.removeprefix(BOX).partition("-")[0]
        if process.isdecimal() and not box.is_symlink() and not _is_alive(int(process)):
            shutil.rmtree(box, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if process == os.getpid() or os.name == "nt":  # where os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
