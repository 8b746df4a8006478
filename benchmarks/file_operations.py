"""Fail or record the file operations of this process, whichever library makes them.

``file_operations.c`` is compiled and loaded before the C library, so that Python, SQLite, FFmpeg
and PyTorch meet the same faults. :func:`preload_operations` starts the script again with it. Linux
with a C compiler only.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import posixpath
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_suffix(".c")
MARKER = "IMPASTO_FILE_OPERATIONS"
HEADER = struct.Struct("<c3xiqqqii")
KINDS = {
    "r": "open to read",
    "R": "read",
    "L": "list a folder",
    "c": "create",
    "o": "open to write",
    "w": "write",
    "s": "fsync",
    "n": "rename",
    "u": "unlink",
    "m": "mkdir",
    "d": "rmdir",
    "l": "link",
    "t": "truncate",
    "a": "allocate",
    "p": "chmod",
    "y": "copy",
}
"""Names of the operations by the letters that the library uses."""


def find_compiler() -> str | None:
    """Return the C compiler. None: there is none, or this is not Linux."""
    return shutil.which("cc") if sys.platform == "linux" else None


def is_preloaded() -> bool:
    """Tell whether the library is loaded."""
    return MARKER in os.environ


def preload_operations() -> None:
    """Start this script again with the library loaded first, unless it is.

    Raises:
        SystemExit: there is no C compiler.
    """
    if is_preloaded():
        return
    compiler = find_compiler()
    if compiler is None:
        raise SystemExit("faults need Linux and a C compiler named cc")
    library = Path(tempfile.mkdtemp(prefix="impasto-operations-")) / "file_operations.so"
    command = [compiler, "-O1", "-w", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), MARKER: str(library)}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


class Operations:
    """The library's functions."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(None)
        integer, text = ctypes.c_long, ctypes.c_char_p
        self._library.watch_files.argtypes = [
            text,
            integer,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
        ]
        self._library.count_operations.restype = integer
        self._library.find_kind.argtypes, self._library.find_kind.restype = [integer], ctypes.c_char

    def watch(
        self, folder: Path, at: int = 0, error: int = 0, *, full: bool = False, trace: int = -1
    ) -> None:
        """Begin to count the operations on files below a folder.

        Args:
            folder: the folder, without links.
            at: number of the operation that fails, from 1. 0: none does.
            error: its ``errno``.
            full: whether every later operation that takes space fails as well.
            trace: file descriptor that receives everything that happens. -1: nothing is recorded.
        """
        self._library.watch_files(os.fsencode(folder), at, error, int(full), trace)

    def end(self) -> None:
        """Stop counting."""
        self._library.unwatch_files()

    def end_faults(self) -> None:
        """Let everything succeed from now on."""
        self._library.stop_faults()

    def count(self) -> int:
        """Return the number of operations so far."""
        return int(self._library.count_operations())

    def count_faults(self) -> int:
        """Return how many operations have failed on purpose."""
        return int(self._library.count_faults())

    def list_kinds(self) -> str:
        """Return the letters of all operations so far, in order."""
        kinds = [self._library.find_kind(place) for place in range(1, self.count() + 1)]
        return b"".join(kinds).decode()

    def mark(self, text: str) -> None:
        """Write a text into the trace."""
        self._library.mark_moment(text.encode())


@dataclass
class Event:
    """One entry of a trace.

    Attributes:
        kind: letter of what happened.
        file: file descriptor. -1: the event names its files.
        place: number of operations until then.
        at: offset, length, or flags.
        one, other: paths, or the text of a mark.
        data: what was written.
    """

    kind: str
    file: int
    place: int
    at: int
    one: str
    other: str
    data: bytes


def read_trace(path: Path) -> Iterator[Event]:
    """Read a trace."""
    with path.open("rb") as file:
        while head := file.read(HEADER.size):
            kind, handle, place, at, length, one, other = HEADER.unpack(head)
            names = (os.fsdecode(file.read(one)), os.fsdecode(file.read(other)))
            yield Event(kind.decode(), handle, place, at, *names, file.read(length))


@dataclass
class Node:
    """A file or a folder of the model.

    Attributes:
        content: of a file.
        entries: of a folder, by name.
        is_folder: which of both it is.
        changed: time of the last change that has reached the disk, in nanoseconds.
        kept: the content that has reached the disk.
        kept_entries: the entries that have reached the disk.
    """

    content: bytearray = field(default_factory=bytearray)
    entries: dict[str, Node] = field(default_factory=dict)
    is_folder: bool = False
    changed: int = 0
    durable: bytes = b""
    kept_entries: dict[str, Node] = field(default_factory=dict)

    def sync(self) -> None:
        """Bring it to the disk, as fsync does."""
        self.durable, self.kept_entries = bytes(self.content), dict(self.entries)


class DiskModel:
    """What a power failure leaves of a folder, from the trace of what happened in it.

    A file keeps its content of the last fsync. A folder keeps the names of its own last fsync, or,
    in the other model, all of them: some file systems write names before contents.
    """

    def __init__(self, folder: Path) -> None:
        """Start from what is in the folder, as if everything had reached the disk."""
        self._root_path = str(folder)
        self._root = self._load(folder)
        self._open: dict[int, Node] = {}

    def _load(self, path: Path) -> Node:
        node = Node(is_folder=path.is_dir())
        if node.is_folder:
            node.entries = {each.name: self._load(each) for each in path.iterdir()}
        else:
            node.content = bytearray(path.read_bytes())
            node.changed = path.stat().st_mtime_ns
        node.sync()
        return node

    def _split(self, path: str) -> list[str]:
        return [
            part for part in posixpath.normpath(path)[len(self._root_path) :].split("/") if part
        ]

    def _find_parent(self, path: str) -> tuple[Node, str]:
        *folders, name = self._split(path)
        node = self._root
        for folder in folders:
            node = node.entries[folder]
        return node, name

    def apply(self, event: Event) -> None:
        """Let an event happen."""
        match event.kind:
            case "O":
                self._open_file(event)
            case "C":
                self._open.pop(event.file, None)
            case "D":
                self._open[event.file] = self._open[event.at]
            case "W":
                node = self._open[event.file]
                node.content.extend(bytes(max(0, event.at - len(node.content))))
                node.content[event.at : event.at + len(event.data)] = event.data
            case "T":
                node = self._open[event.file]
                del node.content[event.at :]
                node.content.extend(bytes(event.at - len(node.content)))
            case "S":
                self._open[event.file].sync()
                self._open[event.file].changed = event.at
            case "N":
                parent, name = self._find_parent(event.one)
                target, new = self._find_parent(event.other)
                target.entries[new] = parent.entries.pop(name)
            case "K":
                parent, name = self._find_parent(event.one)
                target, new = self._find_parent(event.other)
                target.entries[new] = parent.entries[name]
            case "U":
                parent, name = self._find_parent(event.one)
                parent.entries.pop(name)
            case "M":
                parent, name = self._find_parent(event.one)
                parent.entries[name] = Node(is_folder=True)

    def _open_file(self, event: Event) -> None:
        if not self._split(event.one):
            self._open[event.file] = self._root
            return
        parent, name = self._find_parent(event.one)
        node = parent.entries.setdefault(name, Node())
        if event.at & os.O_TRUNC:
            node.content.clear()
        self._open[event.file] = node

    def describe(self, *, keeps_names: bool) -> str:
        """Return a hash of what a power failure now would leave."""
        digest = hashlib.sha256()
        self._describe(self._root, digest, keeps_names)
        return digest.hexdigest()

    def _describe(self, node: Node, digest: Any, keeps_names: bool) -> None:
        if not node.is_folder:
            digest.update(b"%d:" % len(node.durable) + node.durable)
            return
        for name, child in sorted((node.entries if keeps_names else node.kept_entries).items()):
            digest.update(f"{name}{child.is_folder}(".encode())
            self._describe(child, digest, keeps_names)
            digest.update(b")")

    def write(self, folder: Path, *, keeps_names: bool) -> None:
        """Write what a power failure now would leave.

        Args:
            folder: a new folder.
            keeps_names: whether all names have reached the disk, though contents have not.
        """
        self._write(self._root, folder, keeps_names)

    def _write(self, node: Node, path: Path, keeps_names: bool) -> None:
        if not node.is_folder:
            path.write_bytes(node.durable)
            os.utime(path, ns=(node.changed, node.changed))
            return
        path.mkdir()
        for name, child in (node.entries if keeps_names else node.kept_entries).items():
            if not name.endswith("-shm"):  # SQLite makes it anew
                self._write(child, path / name, keeps_names)
