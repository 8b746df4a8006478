"""``impasto weights``: list, download, convert and verify network weights."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.options.arguments import Parser, say

if TYPE_CHECKING:
    from impasto.encoders.weight_sources import WeightSource


def run(argv: list[str]) -> int:
    """Run one of the actions. Without an action, list the weights."""
    parser = Parser(
        prog="impasto weights",
        description="List VGG's weights, or download, convert or verify them.",
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    fetch = actions.add_parser("download", help="download an official file to the cache")
    fetch.add_argument("name", metavar="NAME", help="a name listed by `impasto weights`")
    change = actions.add_parser("convert", help="convert between .h5, .pth, .mat and .safetensors")
    change.add_argument(
        "source", metavar="IN", help="a weights file, or wheel for the installed weights"
    )
    change.add_argument("target", metavar="OUT", help="the file to write")
    change.add_argument("--force", action="store_true", help="replace an existing file")
    check = actions.add_parser("verify", help="read a weights file and check every layer")
    check.add_argument("file", metavar="FILE", help="a weights file")
    options = parser.parse_args(argv)
    match options.action:
        case "download":
            return _download(options.name)
        case "convert":
            return _convert(options.source, Path(options.target), force=options.force)
        case "verify":
            return _verify(Path(options.file))
    return _print_list(as_json=options.json)


def _list_sources() -> list[dict[str, Any]]:
    from impasto.cli.reports.error_text import describe_error
    from impasto.encoders.encoder_registry import list_sources
    from impasto.encoders.weight_sources import find_cached_file, find_wheel_file, hash_file
    from impasto.errors import WeightsError

    rows = []
    for source in list_sources():
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
                "published": _format_hashes(source),
                "sha256": state,
                "path": None if path is None else str(path),
                "url": source.url,
            }
        )
    return rows


def _format_hashes(source: WeightSource) -> str | None:
    hashes = {"sha256": source.sha256, "md5": source.md5}
    return ", ".join(f"{name} {digits}" for name, digits in hashes.items() if digits) or None


def _print_list(*, as_json: bool) -> int:
    rows = _list_sources()
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['name']}  ({row['network']}; {row['licence']})")
        print(f"  published  {row['published'] or 'no hash, so the first download is trusted'}")
        print(f"  found      {row['sha256']}")
        print(f"  from       {row['url'] or row['path']}")
    return 0


def _download(name: str) -> int:
    from impasto.encoders.download import download_weights
    from impasto.encoders.encoder_registry import list_sources
    from impasto.errors import InputError

    sources = {each.name: each for each in list_sources()}
    source = sources.get(name)
    if source is None:
        names = ", ".join(sources)
        raise InputError(f"no weights {name!r}", expected=f"one of {names}")
    last = -1

    def report_progress(have: int, total: int | None) -> None:
        nonlocal last
        tenth = 10 * have // total if total else have // 2**26
        if tenth != last:
            last = tenth
            of = f" of {total / 2**20:.0f}" if total else ""
            print(f"{have / 2**20:.0f}{of} MiB", file=sys.stderr, flush=True)

    print(download_weights(source, report_progress))
    return 0


def _convert(source: str, target: Path, *, force: bool) -> int:
    from impasto.cli.options.output_files import check_targets
    from impasto.encoders.formats import read_parameters, write_parameters
    from impasto.encoders.weights import load_parameters
    from impasto.image.files.result_file import ResultFile

    check_targets([target], [] if source == "wheel" else [Path(source)], overwrite=force)
    parameters = load_parameters("vgg19") if source == "wheel" else read_parameters(Path(source))
    file = ResultFile(target, overwrite=force, notice=say, what="the result")
    target = file.write(partial(write_parameters, parameters))
    say(f"{target}: {parameters.network} from {parameters.origin}")
    return 0


def _verify(path: Path) -> int:
    from impasto.encoders.formats import read_parameters
    from impasto.encoders.weight_sources import hash_file

    parameters = read_parameters(path)
    count = sum(weight.numel() + bias.numel() for weight, bias in parameters.layers.values())
    layers = len(parameters.layers)
    print(f"{path}: {parameters.network}, {layers} layers, {count} parameters, all finite")
    print(f"sha256 {hash_file(path)}")
    return 0
