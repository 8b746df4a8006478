"""``impasto serve``: start the studio, a web page and an HTTP API."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import (
    Parser,
    accept_integer,
    accept_number,
    parse_byte_count,
    parse_device,
    say,
)
from impasto.errors import InputError, ResourceError

if TYPE_CHECKING:
    from impasto.studio.log_lines import LogFormat
    from impasto.studio.settings import StudioSettings
    from impasto.studio.studio import Studio

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
        "--token-file",
        metavar="FILE",
        help="file with the token that requests must send. Without it, IMPASTO_TOKEN is used, or a "
        "random token, kept in the data folder, if other machines can reach the server",
    )
    add(
        "--token",
        help="the token itself; other users of the machine may see it when the server starts, so "
        "--token-file is better",
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
        metavar="N",
        type=accept_integer(1, 256),
        default=1,
        help="pictures processed at the same time (default: 1)",
    )
    add(
        "--threads",
        metavar="N",
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
        metavar="SIZE",
        type=parse_byte_count,
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
        metavar="SIZE",
        type=parse_byte_count,
        help="disk space of all jobs and the trash; the oldest go first (default: no limit)",
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
    _hide_token(settings.token)
    form: LogFormat = options.log or ("text" if sys.stderr.isatty() else "json")
    with _listen(options.host, options.port) as server_socket:
        studio = Studio(settings, form)
        address = _make_address(options, server_socket.getsockname()[1])
        say(f"the studio is at {address}; Ctrl-C stops it, and unfinished jobs continue later")
        say(f"jobs and results are in {settings.data}")
        try:
            _explain_login(options, studio)
            serve(studio, server_socket, None if options.no_open else address)
        finally:
            studio.folder.token.unlink(missing_ok=True)
    return 0


def _hide_token(token: str | None) -> None:
    """Keep the token out of the list of processes, and from processes that are started later."""
    os.environ.pop("IMPASTO_TOKEN", None)
    if token is None:
        return
    from impasto.studio.decoding.linux_calls import hide_argument

    hide_argument(token)
    sys.argv = [argument.replace(token, "x" * len(token)) for argument in sys.argv]


def _explain_login(options: argparse.Namespace, studio: Studio) -> None:
    """Say where the token is. It never appears on standard error, which may be a log."""
    from impasto.studio.page.browser_opening import write_secret

    token = studio.settings.token
    if token is None:
        return
    if options.token_file is not None:
        say(f"log in with the token in {options.token_file}")
    elif options.token is not None:
        say("log in with the token given by --token")
    elif options.environment_token is not None:
        say("log in with the token in IMPASTO_TOKEN")
    else:
        write_secret(studio.folder.token, f"{token}\n")
        say(f"log in with the token in {studio.folder.token}, which only you can read")


def _listen(host: str, port: int) -> socket.socket:
    """Listen before anything is loaded, so that a used port is reported at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
            reason = os.strerror(error.errno)  # create_server's own text repeats the address
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
    token = _read_token(options)
    if token is None and not is_local:
        token = secrets.token_urlsafe(24)
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


def _read_token(options: argparse.Namespace) -> str | None:
    """Return the token that the user has chosen. None: there is none.

    Raises:
        InputError: it cannot be read, is too short, or contains other than ASCII characters.
    """
    options.environment_token = os.environ.get("IMPASTO_TOKEN")
    source = "--token"
    token: str | None = options.token
    if options.token_file is not None:
        if token is not None:
            raise InputError("cannot be combined", what="--token and --token-file")
        source = options.token_file
        try:
            token = Path(source).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise InputError(f"cannot be read ({reason})", where=source) from None
    elif token is None:
        source, token = "IMPASTO_TOKEN", options.environment_token
    if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
        raise InputError(where=source, expected="at least 8 printable ASCII characters")
    return token


def _make_address(options: argparse.Namespace, port: int) -> str:
    host = options.host
    if host in ("0.0.0.0", "::"):  # all addresses of the machine; this one always works
        host = socket.gethostname() if options.no_open else "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/"
