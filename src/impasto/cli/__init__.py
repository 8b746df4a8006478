"""The command line: one module a command, loaded only when it is called.

``impasto PHOTO --style PAINTING`` needs no command word; anything that is not the name of a
command is the photo.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from impasto.errors import ImpastoError, InputError, ResourceError, is_out_of_memory

COMMANDS = {
    "stylize": "repaint a photo (the default: `impasto PHOTO --style PAINTING`)",
    "video": "repaint a film, without flicker",
    "plan": "what a run would take: sizes, memory, time",
    "sheet": "variations side by side: paintings, recipes, seeds, any field",
    "batch": "many photos: folders, lists, tables; goes on where it stopped",
    "replay": "make a picture again from the recipe inside it",
    "refine": "paint one region of a result again",
    "recipes": "list the recipes, or show one",
    "inspect": "see what each layer of the network keeps of a picture",
    "mask": "see what --mask would find in a photo",
    "compare": "measure a result against its photo and painting",
    "train": "train the one-pass network, on your own photos and paintings",
    "export": "write the one-pass network for other programs (ONNX)",
    "serve": "the studio: a page to paint with, and an HTTP API",
    "weights": "list, download, convert and verify network weights",
    "doctor": "what this machine has, and whether impasto can run",
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; see :mod:`impasto.errors` for the codes."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # closed by the caller; print would turn to standard output
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- as long as the process
    try:
        command = _command(arguments)
        code = int(import_module(f"impasto.cli.commands.{command}_command").run(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except ImpastoError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (MemoryError, OSError, RuntimeError) as error:
        resource = _as_resource_error(error)
        if resource is None:
            raise
        return _complain(resource)


def _command(arguments: list[str]) -> str:
    """Take the command's name off the arguments; without one it is the main job."""
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return arguments.pop(0)
    if not first.startswith("-") and not os.path.exists(first):  # noqa: PTH110 -- never raises
        import difflib

        near = difflib.get_close_matches(first, COMMANDS, 1)
        if near:
            raise InputError(f"{first}: no such file; did you mean the command {near[0]!r}?")
    return "stylize"


def _complain(error: ImpastoError) -> int:
    from impasto.cli.options.arguments import one_line
    from impasto.cli.reports.error_text import describe_error

    print(f"impasto: error: {one_line(describe_error(error))}", file=sys.stderr)
    return error.exit_code


def _as_resource_error(error: BaseException) -> ResourceError | None:
    """Running out of something, in whatever words the library below used."""
    if is_out_of_memory(error):
        return ResourceError("out of memory: ask for a smaller `size`", field="size")
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ResourceError(f"the disk is full ({error.filename or 'while writing'})")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return ResourceError(f"cannot write {error.filename}: {error.strerror}")
    return None
