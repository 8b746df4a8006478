"""Run the command line: one module for each command, loaded when the command runs.

``impasto PHOTO --style PAINTING`` needs no command name: a first argument that is not a command is
the photo.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

from impasto.errors import ImpastoError, InputError, ResourceError, is_disk_full, is_out_of_memory

COMMANDS = {
    "stylize": "repaint a photo (the default command: `impasto PHOTO --style PAINTING`)",
    "video": "repaint a video without flicker",
    "scene": "repaint a 3D scene of Gaussian splats, the same from every side",
    "plan": "estimate the sizes, memory and time of a run",
    "sheet": "compare variations of one photo on a contact sheet",
    "batch": "repaint many photos from folders, lists or tables",
    "words": "draw a painting from words, to be used as --style",
    "styles": "find paintings by name and by likeness",
    "replay": "make a picture again from the recipe inside it",
    "refine": "repaint one region of a result",
    "recipes": "list all recipes or show one",
    "inspect": "show what each layer of the network keeps of a picture",
    "mask": "write the mask that --mask would find in a photo",
    "compare": "measure results against their photo and painting",
    "train": "train the one-pass network on your photos and paintings",
    "export": "export the one-pass network to ONNX",
    "serve": "start the studio: a web page and an HTTP API",
    "weights": "list, download, convert and verify network weights",
    "doctor": "check whether impasto can run on this machine",
}
INTERRUPTED = 130
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code, see :mod:`impasto.errors`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # closed by the caller; print would use standard output
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- as long as the process
    _accept_all_characters()
    try:
        _check_folder()
        command = _take_command(arguments)
        code = int(import_module(f"impasto.cli.commands.{command}_command").run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except ImpastoError as error:
        return _report_error(error)
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone, and Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (MemoryError, OSError, RuntimeError) as error:
        resource = _as_resource_error(error)
        if resource is None:
            raise
        return _report_error(resource)


def _accept_all_characters() -> None:
    """Escape what a stream cannot show, such as a file name in the locale C, and never fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")


def _check_folder() -> None:
    """Check that the current folder exists, on which every relative path depends."""
    try:
        os.getcwd()  # noqa: PTH109 -- pathlib is not needed yet
    except OSError:
        raise InputError(
            "has been deleted; change to a folder that exists", what="the current folder"
        ) from None


def _take_command(arguments: list[str]) -> str:
    """Remove the command's name from the arguments and return it."""
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return arguments.pop(0)
    if not first.startswith("-") and not os.path.exists(first):  # noqa: PTH110 -- never raises
        import difflib

        near = difflib.get_close_matches(first, COMMANDS, 1)
        if near:
            raise InputError(f"no such file; did you mean the command {near[0]!r}?", where=first)
        if _WORD.fullmatch(first) and len(arguments) > 1:
            raise InputError("no such file or command; see `impasto --help`", where=first)
    return "stylize"


def _report_error(error: ImpastoError) -> int:
    from impasto.cli.options.arguments import escape_line
    from impasto.cli.reports.error_text import describe_error

    print(f"impasto: error: {escape_line(describe_error(error))}", file=sys.stderr)
    return error.exit_code


def _as_resource_error(error: BaseException) -> ResourceError | None:
    """Translate an error of a library or of the system: memory, disk space, permission, disks."""
    if is_out_of_memory(error):
        return ResourceError("out of memory: ask for a smaller `size`", field="size")
    if isinstance(error, OSError):
        if is_disk_full(error):
            return ResourceError("the disk is full", where=error.filename)
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return ResourceError(f"cannot be written ({error.strerror})", where=error.filename)
        if error.errno is not None:  # the system's, such as a disk that fails
            return ResourceError(f"cannot be used ({error.strerror})", where=error.filename)
    return None
