"""Filter system calls on Linux (seccomp, in the language of the classic packet filter).

It needs no privileges and no package. What it refuses, and why:

- processes: other programs, copies of the process, the memory, files and signals of others;
- the kernel: mounts, namespaces, modules, keys, tracing, asynchronous calls that no filter sees;
- the network and all other ways to talk to processes;
- the owner, rights and times of files, and links, which Landlock does not control.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from impasto.studio.decoding.linux_calls import set_no_new_privileges

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_REFUSE, _MISSING = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_FILTER, _ALL_THREADS = 1, 1
_X32 = 0x40000000
"""Programs of the x32 kind add it to the numbers of system calls, and would escape the filter."""
_NEWEST = 457
"""Number from which calls are newer than this module. They do not exist; libraries cope."""
_CLONE_THREAD = 0x10000
_SET_NAME, _GET_NAME = 15, 16
_CONTROLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""What Python and libraries ask of files: whether they are terminals, and whether they block."""
_OWNER_COMMANDS = (8, 10, 15, 1026)
"""Commands of ``fcntl`` that have the kernel send signals to other processes."""

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""The number of the architecture, and the column of :data:`CALLS`."""
CALLS: dict[str, tuple[int | None, int | None]] = {
    # The network, and other ways to talk to processes.
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "sendmmsg": (307, 269),
    "recvmmsg": (299, 243),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184),
    "mq_getsetattr": (245, 185),
    "splice": (275, 76),
    "tee": (276, 77),
    "vmsplice": (278, 75),
    # Programs and processes.
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kcmp": (312, 272),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setrlimit": (160, 164),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "personality": (135, 92),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # Users and rights.
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setregid": (114, 143),
    "setresuid": (117, 147),
    "setresgid": (119, 149),
    "setfsuid": (122, 151),
    "setfsgid": (123, 152),
    "setgroups": (116, 159),
    "capset": (126, 91),
    "seccomp": (317, 277),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # Files.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "truncate": (76, 45),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # The kernel.
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
"""Numbers of the refused calls on x86-64 and ARM64. None: the call does not exist there."""
SPECIAL_CALLS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "tgkill": (234, 131),
}
"""Numbers of the calls whose arguments decide."""

Line = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def set_filter() -> str | None:
    """Make the system refuse these calls to all threads of this process, for good.

    Returns:
        Why the filter is not in force. None: it is.
    """
    machine = MACHINES.get(platform.machine())
    if sys.platform != "linux":
        return "only on Linux"
    if machine is None:
        return f"not for {platform.machine()}"
    architecture, column = machine
    code = _compile_filter(architecture, column, os.getpid())
    program = _Program(len(code) // 8, code)
    if not set_no_new_privileges():
        return "privileges cannot be given up"
    library = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(CALLS["seccomp"][column] or 0)
    operation, flags = ctypes.c_ulong(_SET_FILTER), ctypes.c_ulong(_ALL_THREADS)
    if library.syscall(number, operation, flags, ctypes.byref(program)) != 0:
        return f"refused by the kernel ({os.strerror(ctypes.get_errno())})"
    return None


def _compile_filter(architecture: int, column: int, process: int) -> bytes:
    """Return the instructions for a process: code, steps if true, steps if false, value."""
    special = {name: numbers[column] for name, numbers in SPECIAL_CALLS.items()}
    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        *_answer_if(_AT_LEAST, _X32, _REFUSE),
        *_answer_if(_AT_LEAST, _NEWEST, _MISSING),
        # Its flags are in memory, where no filter sees them. Libraries fall back to `clone`.
        *_answer_if(_EQUAL, special["clone3"], _MISSING),
    ]
    for numbers in CALLS.values():
        number = numbers[column]
        if number is not None:
            lines += _answer_if(_EQUAL, number, _REFUSE)
    rules: dict[str, list[Line]] = {
        "clone": [*_load_argument(0), *_answer_if(_ANY_BIT, _CLONE_THREAD, _ALLOW), *_end(_REFUSE)],
        "tgkill": [*_load_argument(0), *_answer_if(_EQUAL, process, _ALLOW), *_end(_REFUSE)],
        "prctl": _allow_values(0, (_SET_NAME, _GET_NAME)),
        "ioctl": _allow_values(1, _CONTROLS),
        "fcntl": [
            *_load_argument(1),
            *(line for value in _OWNER_COMMANDS for line in _answer_if(_EQUAL, value, _REFUSE)),
            *_end(_ALLOW),
        ],
        # Limits may be read, which is without a pointer to new ones.
        "prlimit64": [
            *_load_argument(2),
            (_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, _REFUSE),
            *_load_argument(2, upper=True),
            *_answer_if(_EQUAL, 0, _ALLOW),
            *_end(_REFUSE),
        ],
    }
    for name, rule in rules.items():
        lines += [(_EQUAL, 0, len(rule), special[name]), *rule]
    lines += _end(_ALLOW)
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _answer_if(test: int, value: int, answer: int) -> list[Line]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, answer)]


def _load_argument(place: int, *, upper: bool = False) -> list[Line]:
    return [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * place + 4 * upper)]


def _allow_values(place: int, values: tuple[int, ...]) -> list[Line]:
    tests = [line for value in values for line in _answer_if(_EQUAL, value, _ALLOW)]
    return [*_load_argument(place), *tests, *_end(_REFUSE)]


def _end(answer: int) -> list[Line]:
    return [(_RETURN, 0, 0, answer)]
