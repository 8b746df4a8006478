"""A fork server whose decoders also answer what they can do; see test_studio_sandbox.py."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

X86 = platform.machine() == "x86_64"
NO_LANDLOCK = "no-landlock"
LIBC = ctypes.CDLL(None, use_errno=True)


def call(x86: int, arm: int, *arguments: Any) -> int:
    words = [each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments]
    answer = LIBC.syscall(ctypes.c_long(x86 if X86 else arm), *words)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def prctl(*arguments: int) -> None:
    if LIBC.prctl(*(ctypes.c_ulong(each) for each in arguments), *[ctypes.c_ulong(0)] * 3) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def touch_memory(victim: int, number: tuple[int, int]) -> None:
    """Read or write a byte at address 0 of another process; EFAULT means that it was tried."""
    here = ctypes.create_string_buffer(16)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(here), 1)
    remote = (ctypes.c_size_t * 2)(0, 1)
    try:
        call(*number, victim, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
    except OSError as error:
        if error.errno != errno.EFAULT:  # the right was there, only the address was not
            raise


def ioctl_input() -> None:
    import fcntl

    try:
        fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise


def set_owner(victim: int) -> None:
    import fcntl

    reading, _ = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, victim)


def list_calls(victim: int) -> dict[str, Any]:
    import resource

    def ptrace() -> None:
        call(101, 117, 0x4206, victim, 0, 0)  # PTRACE_SEIZE
        raise AssertionError

    return {
        "ptrace": ptrace,
        "process_vm_readv": lambda: touch_memory(victim, (310, 270)),
        "process_vm_writev": lambda: touch_memory(victim, (311, 271)),
        "pidfd_open": lambda: call(434, 434, victim, 0),
        "pidfd_getfd": lambda: call(438, 438, 3, 0, 0),
        "kill": lambda: os.kill(victim, 0),
        "kill the parent": lambda: os.kill(os.getppid(), 0),
        "tgkill": lambda: call(234, 131, victim, victim, 0),
        "tkill": lambda: call(200, 130, victim, 0),
        "fcntl F_SETOWN": lambda: set_owner(victim),
        "fork": fork,
        "clone3": lambda: call(435, 435, bytes(64), 64),
        "execve": lambda: call(59, 221, b"/nowhere\0", 0, 0),
        "unshare": lambda: call(272, 97, 0x10000000),
        "setns": lambda: call(308, 268, 0, 0),
        "mount": lambda: call(165, 40, b"none\0", b"/tmp\0", b"tmpfs\0", 0, 0),
        "chroot": lambda: call(161, 51, b"/\0"),
        "bpf": lambda: call(321, 280, 0, bytes(128), 128),
        "perf_event_open": lambda: call(298, 241, bytes(128), 0, -1, -1, 0),
        "keyctl": lambda: call(250, 219, 0, -3, 1),
        "add_key": lambda: call(248, 217, b"user\0", b"a\0", b"b", 1, -3),
        "userfaultfd": lambda: call(323, 282, 1),
        "io_uring_setup": lambda: call(425, 425, 1, bytes(128)),
        "memfd_create": lambda: call(319, 279, b"a\0", 0),
        "socket": socket.socket,
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "socketpair": socket.socketpair,
        "shmget": lambda: call(29, 194, 0, 4096, 0o1600),
        "personality": lambda: call(135, 92, 0xFFFFFFFF),
        "setpriority": lambda: os.setpriority(os.PRIO_PROCESS, victim, 19),
        "sched_setaffinity": lambda: os.sched_setaffinity(victim, {0}),
        "setrlimit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)),
        "prlimit of others": lambda: resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0)),
        "setuid": lambda: os.setuid(os.getuid()),
        "be dumpable": lambda: prctl(4, 1),
        "ioctl TIOCSTI": ioctl_input,
        "a call of the future": lambda: call(460, 460, 0, 0, 0, 0),
    }


def list_files(victim: int, folder: Path, box: Path, outside: Path) -> dict[str, Any]:
    upload = folder / "upload"

    def write(path: Path | str) -> Any:
        return lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

    def read(path: Path | str) -> Any:
        return lambda: os.close(os.open(path, os.O_RDONLY))

    return {
        "memory of the server": read(f"/proc/{victim}/mem"),
        "environment of the server": read(f"/proc/{victim}/environ"),
        "files of the server": lambda: list(Path(f"/proc/{victim}/fd").iterdir()),
        "a secret": read(outside / "secret"),
        "list another folder": lambda: list(outside.iterdir()),
        "change another file": write(outside / "secret"),
        "make another file": write(outside / "new"),
        "change the upload": write(upload),
        "make a file beside the upload": write(folder / "new"),
        "remove the upload": upload.unlink,
        "replace the upload": lambda: (box / "other").rename(upload),
        "link out": lambda: (box / "link").symlink_to(outside / "secret"),
        "hard link": lambda: os.link(upload, box / "hard"),
        "pipe": lambda: os.mkfifo(box / "pipe"),
        "permissions": lambda: outside.chmod(0o777),
        "times": lambda: os.utime(outside / "secret", (0, 0)),
        "attributes": lambda: os.setxattr(outside / "secret", "user.a", b"1"),
        "truncate": lambda: os.truncate(outside / "secret", 0),
        "users": read("/etc/passwd"),
        "a device": read("/dev/zero"),
    }


def list_allowed(folder: Path, box: Path) -> dict[str, Any]:
    return {
        "read the upload": (folder / "upload").read_bytes,
        "write the output": lambda: (box / "output").write_bytes(b"made"),
        "replace the output": lambda: (box / "output").replace(box / "other"),
        "start a thread": lambda: threading.Thread(target=int).start(),
        "load a module": lambda: __import__("colorsys"),
        "end by itself": lambda: call(234, 131, os.getpid(), threading.get_native_id(), 0),
    }


def attempt(actions: dict[str, Any]) -> dict[str, str]:
    outcomes = {}
    for name, action in actions.items():
        try:
            action()
            outcomes[name] = "allowed"
        except OSError as error:
            outcomes[name] = errno.errorcode[error.errno or 0]
        except ValueError:  # with which Python reports EPERM of setrlimit
            outcomes[name] = "EPERM"
    return outcomes


def probe(path: Path, name: str, limits: Any, box: str, outside: str, victim: int) -> Any:
    folder = path.parent
    open_files = []
    for handle in range(64):
        try:
            os.fstat(handle)
            open_files.append(handle)
        except OSError:
            pass
    return {
        "calls": attempt(list_calls(victim)),
        "allowed": attempt(list_allowed(folder, Path(box))),
        "files": attempt(list_files(victim, folder, Path(box), Path(outside))),
        "environment": dict(os.environ),
        "arguments": sys.argv,
        "open": open_files,
    }


def probe_calls(path: Path, name: str, limits: Any, victim: int) -> Any:
    return attempt(list_calls(victim))


def restrict_unless_told(rules: Any) -> str | None:
    """Leave Landlock out for a folder that says so, to see what the other restrictions do alone."""
    if any((folder / NO_LANDLOCK).exists() for folder, _ in rules):
        return "left out"
    from impasto.studio.decoding import landlock

    return landlock.restrict_files(rules)


def exhaust(path: Path, name: str, limits: Any, how: str) -> Any:
    if how == "time":
        while True:
            pass
    if how == "disk":
        path.with_name(name).write_bytes(bytes(1 << 20))
    if how == "lie":
        return {"width": 10**9, "height": 1}
    if how == "crash":
        os.abort()
    if how == "answer":
        return {"text": "x" * (20 << 20)}
    signal.pause()
    return {}


if __name__ == "__main__":
    from impasto.studio.decoding import decoder_process, fork_server, landlock, sandbox

    decoder_process.PICTURE_ANSWERS |= {"probe": probe, "exhaust": exhaust}
    decoder_process.PICTURE_ANSWERS |= {"probe_calls": probe_calls}
    sandbox.landlock = SimpleNamespace(**vars(landlock) | {"restrict_files": restrict_unless_told})
    fork_server.main()
