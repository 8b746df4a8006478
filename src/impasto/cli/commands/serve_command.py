"""``impasto serve``: the studio, a page and an HTTP API."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from impasto.cli.options.arguments import Parser, device, gigabytes, number, say, whole
from impasto.errors import InputError, ResourceError

if TYPE_CHECKING:
    from impasto.studio.log_lines import LogFormat
    from impasto.studio.settings import StudioSettings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
PORT = 8484


def build_parser() -> Parser:
    """The flags."""
    parser = Parser(
        prog="impasto serve",
        description="A page to paint with, and an HTTP API, on this machine. Jobs outlive the "
        "server: what it did not finish goes on when it is started again.",
        allow_abbrev=False,
    )
    _add_place(parser)
    _add_limits(parser)
    return parser


def _add_place(parser: Parser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: this machine only)")
    add("--port", type=whole(0, 65_535), default=PORT, help=f"default: {PORT}; 0: any free one")
    add(
        "--token",
        help="that requests must carry (or IMPASTO_TOKEN, which no list of processes shows); "
        "made up if others can reach the server",
    )
    add(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that the server answers to, such as that of a proxy; repeatable",
    )
    add("--no-open", action="store_true", help="open no browser")
    add("--data", metavar="DIR", help="folder of jobs and results (default: the user's own)")
    add("--log", choices=("text", "json"), help="default: text on a terminal, else json")


def _add_limits(parser: Parser) -> None:
    add = parser.add_argument
    add("--workers", type=whole(1, 256), default=1, help="pictures at a time (default: 1)")
    add("--threads", type=whole(1, 1024), help="of each (default: the cores shared out)")
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add("--weights", metavar="FILE", help="VGG weights")
    add("--max-queue", metavar="N", type=whole(1, 100_000), default=50, help="waiting jobs")
    add("--max-upload", metavar="MB", type=number(0.1, 65_536), default=64, help="of a request")
    add("--max-pixels", metavar="MP", type=number(0.01, 1000), default=50, help="of an upload")
    add("--max-result", metavar="MP", type=number(0.01, 1000), default=16, help="of a result")
    add(
        "--max-film",
        metavar="MP",
        type=number(0.01, 1e6),
        default=500,
        help="of all frames of a film together",
    )
    add("--job-time", metavar="S", type=number(1), default=3600, help="seconds that a job may take")
    add("--job-memory", metavar="GB", type=gigabytes, help="of a worker (default: what is free)")
    add("--keep", metavar="DAYS", type=number(0), default=30, help="ended jobs; 0: for ever")
    add("--max-disk", metavar="GB", type=gigabytes, help="of all jobs; the oldest go to the trash")
    add(
        "--trash",
        metavar="DAYS",
        type=number(0),
        default=7,
        help="that expired jobs stay in the trash (default: 7; 0: delete them at once)",
    )


def run(argv: list[str]) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    options = build_parser().parse_args(argv)
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"the studio needs extra packages ({', '.join(missing)}): pip install 'impasto[serve]'"
        )
    from impasto.studio.server import serve
    from impasto.studio.studio import Studio

    settings = settings_from(options)
    form: LogFormat = options.log or ("text" if sys.stderr.isatty() else "json")
    with _bound(options.host, options.port) as listening:
        studio = Studio(settings, form)
        address = _address(options, settings, listening.getsockname()[1])
        say(f"the studio is at {address} (Ctrl-C ends it; jobs go on later)")
        say(f"jobs and results are in {settings.data}")
        serve(studio, listening, None if options.no_open else address)
    return 0


def _bound(host: str, port: int) -> socket.socket:
    """Listening before anything is loaded, so that a port that is taken is told at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ResourceError(
            f"cannot listen at {host} port {port} ({reason}); --port 0 takes a free one"
        ) from None


def settings_from(options: Any) -> StudioSettings:
    from impasto.studio.settings import DAY_S, StudioSettings, choose_data_folder

    is_local = options.host in LOOPBACK
    token = options.token or os.environ.get("IMPASTO_TOKEN")
    if token is None and not is_local:
        import secrets

        token = secrets.token_urlsafe(24)
    if token is not None and not (token.isascii() and token.isprintable() and len(token) >= 8):
        raise InputError("--token: at least 8 ASCII characters that print")
    hosts = [*LOOPBACK, *(name.lower() for name in options.allow_host)]
    if not is_local:
        hosts += [options.host.lower(), socket.gethostname().lower(), "*"]
    return StudioSettings(
        data=Path(options.data) if options.data else choose_data_folder(),
        token=token,
        hosts=tuple(hosts),
        workers=options.workers,
        threads=options.threads,
        device=options.device,
        weights=options.weights,
        max_queue=options.max_queue,
        max_upload=round(options.max_upload * 2**20),
        max_pixels=round(options.max_pixels * 1e6),
        max_result=round(options.max_result * 1e6),
        max_film=round(options.max_film * 1e6),
        job_seconds=options.job_time,
        job_memory=options.job_memory,
        keep_s=options.keep * DAY_S or None,
        max_disk=options.max_disk,
        trash_s=options.trash * DAY_S,
    )


def _address(options: Any, settings: StudioSettings, port: int) -> str:
    host = options.host
    if host in ("0.0.0.0", "::"):  # any address of the machine, of which this one is sure to work
        host = socket.gethostname() if options.no_open else "localhost"
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + _fragment(settings.token)


def _fragment(token: str | None) -> str:
    """The page takes a token from its address, and out of it."""
    return f"#token={quote(token, safe='')}" if token else ""
