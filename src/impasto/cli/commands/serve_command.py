"""``impasto serve``: starts the studio, a web page and an HTTP API."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from impasto.cli.options.arguments import (
    Parser,
    accept_integer,
    accept_number,
    parse_device,
    parse_gigabytes,
    say,
)
from impasto.errors import InputError, ResourceError

if TYPE_CHECKING:
    from impasto.studio.log_lines import LogFormat
    from impasto.studio.settings import StudioSettings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
PORT = 8484


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto serve",
        description="Start the studio, a web page and an HTTP API on this machine. Unfinished jobs "
        "continue when the server is started again.",
        allow_abbrev=False,
    )
    _add_server_flags(parser.add_argument_group("server"))
    _add_worker_flags(parser.add_argument_group("workers"))
    _add_limit_flags(parser.add_argument_group("limits"))
    return parser


def _add_server_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, this machine only)",
    )
    add(
        "--port",
        type=accept_integer(0, 65_535),
        default=PORT,
        help=f"port to listen on; 0 chooses a free one (default: {PORT})",
    )
    add(
        "--token",
        help="token that requests must send. Without it, IMPASTO_TOKEN is used, or a random token "
        "if other machines can reach the server",
    )
    add(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="host name that the server answers to, such as that of a proxy; repeatable",
    )
    add("--no-open", action="store_true", help="do not open a browser")
    add(
        "--data",
        metavar="DIR",
        help="folder of jobs and results (default: a folder of the current user)",
    )
    add(
        "--log",
        choices=("text", "json"),
        help="log format (default: text on a terminal, json otherwise)",
    )


def _add_worker_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--workers",
        type=accept_integer(1, 256),
        default=1,
        help="pictures processed at the same time (default: 1)",
    )
    add(
        "--threads",
        type=accept_integer(1, 1024),
        help="threads of each worker (default: an equal share of the cores)",
    )
    add(
        "--device",
        default="auto",
        type=parse_device,
        help="auto, cpu, cuda, cuda:N or mps (default: auto)",
    )
    add("--weights", metavar="FILE", help="VGG weights file (.h5, .pth, .mat or .safetensors)")


def _add_limit_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--max-queue",
        metavar="N",
        type=accept_integer(1, 100_000),
        default=50,
        help="waiting jobs (default: 50)",
    )
    add(
        "--max-upload",
        metavar="MB",
        type=accept_number(0.1, 65_536),
        default=64,
        help="size of a request (default: 64)",
    )
    add(
        "--max-pixels",
        metavar="MP",
        type=accept_number(0.01, 1000),
        default=50,
        help="megapixels of an upload (default: 50)",
    )
    add(
        "--max-result",
        metavar="MP",
        type=accept_number(0.01, 1000),
        default=16,
        help="megapixels of a result (default: 16)",
    )
    add(
        "--max-film",
        metavar="MP",
        type=accept_number(0.01, 1e6),
        default=500,
        help="megapixels of all frames of a film together (default: 500)",
    )
    add(
        "--job-time",
        metavar="S",
        type=accept_number(1),
        default=3600,
        help="seconds that a job may take (default: 3600)",
    )
    add(
        "--job-memory",
        metavar="GB",
        type=parse_gigabytes,
        help="memory of a worker (default: all free memory)",
    )
    add(
        "--keep",
        metavar="DAYS",
        type=accept_number(0),
        default=30,
        help="days until finished jobs expire; 0: never (default: 30)",
    )
    add(
        "--max-disk",
        metavar="GB",
        type=parse_gigabytes,
        help="disk space of all jobs; the oldest move to the trash (default: no limit)",
    )
    add(
        "--trash",
        metavar="DAYS",
        type=accept_number(0),
        default=7,
        help="days that expired jobs stay in the trash; 0: delete them at once (default: 7)",
    )


def run(argv: list[str]) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    options = build_parser().parse_args(argv)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"requires extra packages ({', '.join(missing)}): pip install 'impasto[serve]'",
            what="the studio",
        )
    from impasto.studio.server import serve
    from impasto.studio.studio import Studio

    settings = build_settings(options)
    form: LogFormat = options.log or ("text" if sys.stderr.isatty() else "json")
    with _listen(options.host, options.port) as server_socket:
        studio = Studio(settings, form)
        address = _make_address(options, settings, server_socket.getsockname()[1])
        say(f"the studio is at {address}; Ctrl-C stops it, and unfinished jobs continue later")
        say(f"jobs and results are in {settings.data}")
        serve(studio, server_socket, None if options.no_open else address)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Listen before anything is loaded, so that a used port is reported at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ResourceError(
            f"cannot be used ({reason}); --port 0 chooses a free port",
            where=f"{host} port {port}",
        ) from None


def build_settings(options: argparse.Namespace) -> StudioSettings:
    """Build the studio's settings from the options.

    Raises:
        InputError: the token is too short or contains other than ASCII characters.
    """
    from impasto.engine.machine.hardware_choice import HardwareChoice
    from impasto.studio.settings import DAY_S, StudioSettings, choose_data_folder

    is_local = options.host in LOOPBACK
    token = options.token or os.environ.get("IMPASTO_TOKEN")
    if token is None and not is_local:
        import secrets

        token = secrets.token_urlsafe(24)
    if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
        raise InputError(where="--token", expected="at least 8 printable ASCII characters")
    hosts = [*LOOPBACK, *(name.lower() for name in options.allow_host)]
    if not is_local:
        hosts += [options.host.lower(), socket.gethostname().lower(), "*"]
    return StudioSettings(
        data=Path(options.data) if options.data else choose_data_folder(),
        token=token,
        hosts=tuple(hosts),
        workers=options.workers,
        threads=options.threads,
        hardware=HardwareChoice(options.device, options.weights, options.job_memory),
        max_queue=options.max_queue,
        max_upload=round(options.max_upload * 2**20),
        max_pixels=round(options.max_pixels * 1e6),
        max_result=round(options.max_result * 1e6),
        max_film=round(options.max_film * 1e6),
        job_seconds=options.job_time,
        keep_s=options.keep * DAY_S or None,
        max_disk=options.max_disk,
        trash_s=options.trash * DAY_S,
    )


def _make_address(options: argparse.Namespace, settings: StudioSettings, port: int) -> str:
    host = options.host
    if host in ("0.0.0.0", "::"):  # all addresses of the machine; this one always works
        host = socket.gethostname() if options.no_open else "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + _make_fragment(settings.token)


def _make_fragment(token: str | None) -> str:
    """Return the part of the address from which the page reads the token, and which it removes."""
    return f"#token={quote(token, safe='')}" if token else ""
