"""Make decoder processes quickly: a process that has loaded the libraries copies itself.

It never sees the bytes of a client, so that every decoder starts clean. Its only orders come from
the socket of the process that started it, and it ends with that one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from impasto.image.files.limits import Limits
from impasto.studio.decoding.decoder_process import answer_questions, load_libraries
from impasto.studio.decoding.linux_calls import (
    set_death_signal,
    set_no_new_privileges,
    set_not_dumpable,
)
from impasto.studio.decoding.sandbox import Restrictions

ORDER_BYTES = 1 << 16
"""Largest size of an order and of a reply."""


def serve_forks(control: socket.socket) -> None:
    """Follow orders until the socket is closed.

    ``{"limits": ..., "restrictions": ...}``, with the decoder's end of its line, starts a decoder,
    and the reply is ``{"process": ID}``. ``{"kill": ID}`` ends one, and the reply says which
    signal had ended it before, if one had.

    Args:
        control: carries orders and replies in JSON.
    """
    processes: set[int] = set()
    control.send(b"{}")
    while True:
        data, handles, _, _ = socket.recv_fds(control, ORDER_BYTES, 1)
        if not data:
            break
        order = json.loads(data)
        if "kill" in order:
            reply = _end_decoder(order["kill"], processes)
        else:
            process = os.fork()
            if process == 0:
                _become_decoder(handles[0], order)
            os.close(handles[0])
            processes.add(process)
            reply = {"process": process}
        control.send(json.dumps(reply).encode())


def _end_decoder(process: int, processes: set[int]) -> dict[str, Any]:
    """Kill a decoder. Its id cannot have passed to another process, because it is awaited here."""
    if process not in processes:
        return {}
    processes.remove(process)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}


def _become_decoder(handle: int, order: dict[str, Any]) -> NoReturn:
    """Turn this copy into a decoder, with no open file but its line."""
    try:
        set_death_signal(signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # what libraries print is the file's own choice
            os.dup2(nothing, standard)
        line = os.dup2(handle, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        answer_questions(
            Connection(line), Limits(**order["limits"]), Restrictions(**order["restrictions"])
        )
    finally:
        os._exit(0)


def main() -> None:
    """Serve on the socket whose number is the argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_not_dumpable()
    set_no_new_privileges()
    load_libraries()
    gc.freeze()  # copies share these objects
    serve_forks(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
