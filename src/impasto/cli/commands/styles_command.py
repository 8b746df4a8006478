"""``impasto styles``: find paintings by name and by likeness, in the library or in a folder."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.jobs.style_folder import update_style_folder
from impasto.cli.options.arguments import JSON_HELP, Parser, accept_integer, say

if TYPE_CHECKING:
    from impasto.library.library_paintings import LibraryPainting


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto styles",
        description="Find paintings by name and by likeness.",
        epilog="See docs/library.md.",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", parser_class=Parser, required=True
    )
    every = actions.add_parser("list", help="list the paintings that --style can name")
    _add_folders(every)
    named = actions.add_parser("find", help="find paintings by title, artist, movement or file")
    named.add_argument("text", metavar="TEXT", help="a name in any language, such as 星夜")
    _add_folders(named)
    _add_count(named)
    index = actions.add_parser("index", help="measure the style of every picture in a folder")
    like = actions.add_parser("similar", help="find the paintings of a folder most like a picture")
    like.add_argument("picture", metavar="PICTURE", help="a painting, or a result")
    groups = actions.add_parser("cluster", help="group the paintings of a folder by likeness")
    copies = actions.add_parser("dedupe", help="find copies: resized, recompressed or cropped")
    chart = actions.add_parser("map", help="draw a folder as a map, like paintings side by side")
    for action in (index, like, groups, copies, chart):
        action.add_argument("folder", metavar="DIR", type=Path, help="folder of paintings")
    _add_count(like)
    groups.add_argument(
        "-k",
        "--count",
        metavar="N",
        type=accept_integer(1, 1000),
        help="number of groups (default: by the number of paintings)",
    )
    chart.add_argument("-o", "--output", metavar="MAP.png", required=True, help="file of the map")
    chart.add_argument(
        "--cell",
        metavar="PX",
        type=accept_integer(16, 512),
        default=96,
        help="side of a painting on the map (default: 96)",
    )
    chart.add_argument("--force", action="store_true", help="replace an existing output")
    for action in (every, named, index, like, groups, copies, chart):
        action.add_argument("--json", action="store_true", help=JSON_HELP)
    return parser


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="*",
        help="folders of paintings, in addition to those that ship with impasto (default: the "
        "variable IMPASTO_LIBRARY)",
    )


def _add_count(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--count",
        metavar="N",
        type=accept_integer(1, 1000),
        default=5,
        help="number of paintings to print (default: 5)",
    )


def run(argv: list[str]) -> int:
    """Run one of the actions."""
    options = build_parser().parse_args(argv)
    match options.action:
        case "list" | "find":
            report = _find_names(options)
        case "index":
            report = _describe_index(options.folder)
        case "similar":
            report = _find_similar(options)
        case "cluster":
            report = _cluster(options)
        case "dedupe":
            report = _find_copies(options.folder)
        case _:
            report = _draw_map(options)
    if options.json:
        print(json.dumps(report))
    return 0


def _find_names(options: argparse.Namespace) -> dict[str, Any]:
    """List all paintings, or those that a name matches, the best first."""
    from impasto.library.library_paintings import load_library
    from impasto.library.painting_search import THRESHOLD, NameIndex

    paintings = load_library(options.folder or None)
    scores: list[float | None] = [None] * len(paintings)
    if options.action == "find":
        index = NameIndex(paintings)
        index.choose(options.text)  # raises if there is none
        matches = [each for each in index.rank(options.text) if each.score >= THRESHOLD]
        matches = matches[: options.count]
        paintings = tuple(each.painting for each in matches)
        scores = [round(each.score, 3) for each in matches]
    rows = [_describe_painting(each) for each in paintings]
    for row, score in zip(rows, scores, strict=True):
        if score is not None:
            row["score"] = score
        if not options.json:
            start = "" if score is None else f"{score:.2f}  "
            print(f"{start}{Path(row['path']).name}: {row['description']}")
    return {"paintings": rows}


def _describe_painting(painting: LibraryPainting) -> dict[str, Any]:
    return {
        "path": str(painting.path),
        "title": painting.title,
        "artist": painting.artist,
        "year": painting.year,
        "movement": painting.movement,
        "other": list(painting.other),
        "description": painting.describe(),
    }


def _describe_index(folder: Path) -> dict[str, Any]:
    from impasto.library.style_index import INDEX_NAME

    index = update_style_folder(folder)
    path = folder / INDEX_NAME
    say(f"{path}: {len(index.names)} paintings, {path.stat().st_size / 1e6:.1f} MB")
    return {"index": str(path), "paintings": list(index.names)}


def _find_similar(options: argparse.Namespace) -> dict[str, Any]:
    from impasto.image.files.decode import read_picture
    from impasto.library.whitened_code import StyleCoder

    picture = read_picture(options.picture)
    index = update_style_folder(options.folder)
    matches = index.search(StyleCoder().measure_code(picture), options.count)
    rows = [
        {"path": str(options.folder / index.names[each.place]), "likeness": round(each.likeness, 3)}
        for each in matches
    ]
    if not options.json:
        for row in rows:
            print(f"{row['likeness']:.2f}  {row['path']}")
    return {"paintings": rows}


def _cluster(options: argparse.Namespace) -> dict[str, Any]:
    from impasto.library.style_map import choose_count, cluster_codes

    index = update_style_folder(options.folder)
    total = len(index.names)
    count = min(options.count or choose_count(total), total)
    labels = cluster_codes(index.codes, count)
    groups = [
        [name for name, label in zip(index.names, labels, strict=True) if label == group]
        for group in range(count)
    ]
    groups = list(filter(None, groups))
    if not options.json:
        for number, names in enumerate(groups, 1):
            print(f"{number}: {', '.join(names)}")
    return {"groups": groups}


def _find_copies(folder: Path) -> dict[str, Any]:
    from impasto.library.duplicates import find_duplicates, group_duplicates

    index = update_style_folder(folder)
    pairs = find_duplicates(index.codes, index.thumbnails)
    groups = [[index.names[place] for place in group] for group in group_duplicates(pairs)]
    say(f"{len(groups)} paintings are there more than once" if groups else "no copies")
    for names in groups:
        say(f"  {', '.join(names)}")
    return {"groups": groups}


def _draw_map(options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from impasto.cli.options.output_files import check_targets
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format, write_picture
    from impasto.image.files.result_file import ResultFile
    from impasto.library.style_map import LARGEST_MAP, draw_map, place_on_grid

    output = Path(options.output)
    choose_format(output)
    check_targets([output], [], overwrite=options.force)
    index = update_style_folder(options.folder)
    total = len(index.names)
    shares = np.linspace(0, total - 1, min(total, LARGEST_MAP)).round().astype(int)
    if total > LARGEST_MAP:
        say(f"the map shows {LARGEST_MAP} of {total} paintings, evenly spaced by name")
    places = place_on_grid(index.codes[shares])
    images = [read_picture(options.folder / index.names[each]).to_pil() for each in shares]
    sheet = draw_map(images, places, options.cell)
    file = ResultFile(output, overwrite=options.force, notice=say, what="the map")
    output = file.write(partial(write_picture, read_picture(sheet)))
    say(f"{output}: {len(shares)} paintings, like ones side by side")
    return {"output": str(output), "paintings": [index.names[each] for each in shares]}
