"""``impasto weights``: list, download, convert and verify network weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import Parser, say

if TYPE_CHECKING:
    from impasto.encoders.sources import WeightSource


def run(argv: list[str]) -> int:
    """Dispatch to one of the actions; listing is the default."""
    parser = Parser(prog="impasto weights", description="Where VGG's weights come from.")
    parser.add_argument("--json", action="store_true", help="the list as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    fetch = actions.add_parser("download", help="fetch an official file into the cache")
    fetch.add_argument("name", metavar="NAME", help="as `impasto weights` lists it")
    change = actions.add_parser("convert", help="between .h5, .pth, .mat and .safetensors")
    change.add_argument("source", metavar="IN", help="a weights file, or `wheel`")
    change.add_argument("target", metavar="OUT")
    change.add_argument("--force", action="store_true", help="replace an existing file")
    check = actions.add_parser("verify", help="read a file and check every layer")
    check.add_argument("file", metavar="FILE")
    options = parser.parse_args(argv)
    match options.action:
        case "download":
            return _download(options.name)
        case "convert":
            return _convert(options.source, Path(options.target), force=options.force)
        case "verify":
            return _verify(Path(options.file))
    return _list(as_json=options.json)


def _rows() -> list[dict[str, Any]]:
    from impasto.cli.reports.error_text import describe_error
    from impasto.encoders.sources import SOURCES, find_cached_file, find_wheel_file, hash_file
    from impasto.errors import WeightsError

    rows = []
    for source in SOURCES:
        try:
            path = find_wheel_file() if source.url is None else find_cached_file(source)
            state = "absent" if path is None or not path.exists() else hash_file(path)
        except WeightsError as error:
            path, state = None, f"unusable: {describe_error(error)}"
        rows.append(
            {
                "name": source.name,
                "network": source.network,
                "licence": source.license,
                "published": _published(source),
                "sha256": state,
                "path": None if path is None else str(path),
                "url": source.url,
            }
        )
    return rows


def _published(source: WeightSource) -> str | None:
    hashes = {"sha256": source.sha256, "md5": source.md5}
    return ", ".join(f"{name} {digits}" for name, digits in hashes.items() if digits) or None


def _list(*, as_json: bool) -> int:
    rows = _rows()
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['name']}  ({row['network']}; {row['licence']})")
        print(f"  published  {row['published'] or 'no hash; the first download is trusted'}")
        print(f"  found      {row['sha256']}")
        print(f"  from       {row['url'] or row['path']}")
    return 0


def _download(name: str) -> int:
    from impasto.encoders.download import download_weights
    from impasto.encoders.sources import SOURCES
    from impasto.errors import InputError

    source = next((each for each in SOURCES if each.name == name), None)
    if source is None:
        raise InputError(f"no source {name!r}; there are {', '.join(s.name for s in SOURCES)}")
    shown = -1

    def progress(have: int, total: int | None) -> None:
        nonlocal shown
        tenth = 10 * have // total if total else have // 2**26
        if tenth != shown:
            shown = tenth
            of = f" of {total / 2**20:.0f}" if total else ""
            print(f"{have / 2**20:.0f}{of} MiB", file=sys.stderr, flush=True)

    print(download_weights(source, progress))
    return 0


def _convert(source: str, target: Path, *, force: bool) -> int:
    from impasto.encoders.formats import read_parameters, write_parameters
    from impasto.encoders.weights import load_parameters
    from impasto.errors import InputError

    if target.exists() and not force:
        raise InputError(f"{target}: exists already; --force replaces it")
    parameters = load_parameters("vgg19") if source == "wheel" else read_parameters(Path(source))
    write_parameters(parameters, target)
    say(f"{target}: {parameters.network} from {parameters.origin}")
    return 0


def _verify(path: Path) -> int:
    from impasto.encoders.formats import read_parameters
    from impasto.encoders.sources import hash_file

    parameters = read_parameters(path)
    count = sum(weight.numel() + bias.numel() for weight, bias in parameters.layers.values())
    print(f"{path}: {parameters.network}, {len(parameters.layers)} layers, {count} numbers, finite")
    print(f"sha256 {hash_file(path)}")
    return 0
