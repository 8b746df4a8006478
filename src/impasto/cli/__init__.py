"""The command line: one module a command, loaded only when it is called.

``impasto PHOTO --style PAINTING`` needs no command word; anything that is not the name of a
command is the photo.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from importlib import import_module

from impasto.errors import ImpastoError, ResourceError

COMMANDS = {
    "stylize": "repaint a photo (the default: `impasto PHOTO --style PAINTING`)",
    "replay": "make a picture again from the recipe inside it",
    "recipes": "list the recipes, or show one",
    "inspect": "see what each layer of the network keeps of a picture",
    "compare": "measure a result against its photo and painting",
    "weights": "list, download, convert and verify network weights",
    "doctor": "what this machine has, and whether impasto can run",
}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; see :mod:`impasto.errors` for the codes."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = "stylize"
    if arguments and arguments[0] in COMMANDS:
        command = arguments.pop(0)
    try:
        return int(import_module(f"impasto.cli.{command}").run(arguments))
    except ImpastoError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; Python would complain again when it flushes at exit.
        sys.stdout = None
        return 0
    except (MemoryError, OSError, RuntimeError) as error:
        resource = _as_resource_error(error)
        if resource is None:
            raise
        return _complain(resource)


def _complain(error: ImpastoError) -> int:
    line = str(error).replace("\n", "\\n").replace("\r", "\\r")
    print(f"impasto: error: {line}", file=sys.stderr)
    return error.exit_code


def _as_resource_error(error: BaseException) -> ResourceError | None:
    """Running out of something, in whatever words the library below used."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return ResourceError("out of memory: ask for a smaller --size")
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ResourceError(f"the disk is full ({error.filename or 'while writing'})")
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return ResourceError(f"cannot write {error.filename}: {error.strerror}")
    return None
