"""Write the tables of the report, of the history and of the guides from their CSV files.

``make report`` runs ``python benchmarks/report.py``. A table in a Markdown file follows a comment
that says which figures it shows:

    <!-- table: peers.csv; columns: pair | tool | CPU s; where: tool=impasto -->

The caption and the table below the comment are replaced. The CSV file lies beside the document or
in ``benchmarks``. Options, separated by semicolons:

- ``columns``: which, in this order, separated by bars; ``CPU s as seconds`` renames one.
  Without it, all of them.
- ``where``: conditions that rows must meet, separated by commas, such as ``way=ours or per frame``.
- ``mean by``: columns whose rows are averaged together, over the cases that all groups have. The
  columns ``photo``, ``painting`` and ``pair`` name a case.

Machine, date, commit and command go into the caption where all rows agree on them. Machine and date
become columns where they differ.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = Path(__file__).parent
ROOT = BENCHMARKS.parent
MARKER = re.compile(r"<!-- table: (?P<options>.+?) -->")
SOURCES = ("machine", "date", "commit", "command")
CASES = ("photo", "painting", "pair")
UNKNOWN = "not recorded"
Row = dict[str, str]


@dataclass(frozen=True)
class TableRequest:
    """What one comment asks for.

    Attributes:
        file: the CSV file.
        columns: (name in the file, heading) of each column. Empty: all columns.
        where: (column, values) of which rows must have one.
        groups: columns whose rows are averaged together. Empty: rows are shown as they are.
    """

    file: Path
    columns: tuple[tuple[str, str], ...]
    where: tuple[tuple[str, tuple[str, ...]], ...]
    groups: tuple[str, ...]

    @classmethod
    def parse(cls, options: str, folder: Path) -> TableRequest:
        """Parse the text of a comment in a document of a folder."""
        name, *rest = (part.strip() for part in options.split(";"))
        fields = {key.strip(): value.strip() for key, _, value in (r.partition(":") for r in rest)}
        if unknown := set(fields) - {"columns", "where", "mean by"}:
            raise ValueError(f"{name}: unknown options {sorted(unknown)}")
        near = folder / name
        return cls(
            file=near if near.exists() else BENCHMARKS / name,
            columns=tuple(_split_heading(each) for each in _split(fields.get("columns", ""), "|")),
            where=tuple(_split_condition(each) for each in _split(fields.get("where", ""), ",")),
            groups=_split(fields.get("mean by", ""), "|"),
        )


def render_tables(text: str, folder: Path) -> str:
    """Replace every table that follows a comment.

    Args:
        text: of a Markdown document.
        folder: of the document.
    """
    lines = text.split("\n")
    rendered: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        rendered.append(line)
        position += 1
        marker = MARKER.fullmatch(line)
        if marker is not None:
            position = _find_end(lines, position)
            rendered += _render_table(TableRequest.parse(marker["options"], folder))
    return "\n".join(rendered)


def list_documents() -> list[Path]:
    """List the documents that may have such tables."""
    return [
        *sorted(BENCHMARKS.glob("*.md")),
        *sorted((BENCHMARKS / "history").glob("*.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]


def _find_end(lines: list[str], position: int) -> int:
    """Find the line after the table that begins below a comment, or the comment's next line."""
    end = position
    if end < len(lines) and lines[end].startswith("*"):  # the caption
        end += 1
    while end < len(lines) and not lines[end]:
        end += 1
    if end == len(lines) or not lines[end].startswith("|"):
        return position
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return end


def _render_table(request: TableRequest) -> Iterator[str]:
    rows = _select_rows(request)
    if not rows:
        raise ValueError(f"{request.file.name}: no row has {request.where}")
    columns = list(request.columns) or [(name, name) for name in rows[0] if name not in SOURCES]
    common = {name: rows[0].get(name, "") for name in SOURCES if _is_common(rows, name)}
    columns += [(name, name) for name in ("machine", "date") if name not in common]
    caption = _render_caption(common)
    if caption:
        yield from (f"*{caption}*", "")
    yield "| " + " | ".join(heading for _, heading in columns) + " |"
    yield "| --- " * len(columns) + "|"
    for row in rows:
        yield "| " + " | ".join(row[name].replace("|", "\\|") for name, _ in columns) + " |"


def _select_rows(request: TableRequest) -> list[Row]:
    with request.file.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if all(row[name] in values for name, values in request.where)]
    return _average_rows(rows, request.groups) if request.groups else rows


def _average_rows(rows: list[Row], groups: tuple[str, ...]) -> list[Row]:
    """Average the numbers of each group over the cases that every group has."""
    by_group: dict[tuple[str, ...], dict[tuple[str, ...], Row]] = {}
    for row in rows:
        case = tuple(row[name] for name in CASES if name in row)
        by_group.setdefault(tuple(row[name] for name in groups), {})[case] = row
    common = set.intersection(*(set(cases) for cases in by_group.values()))
    numbers = [name for name in rows[0] if name not in groups and _is_number(rows[0][name])]
    decimals = {name: min(4, max(_count_decimals(row[name]) for row in rows)) for name in numbers}
    averages = []
    for group, cases in by_group.items():
        average = {name: rows[0][name] for name in SOURCES if name in rows[0]}
        average |= dict(zip(groups, group, strict=True)) | {"cases": str(len(common))}
        for name in numbers:
            mean = math.fsum(float(cases[case][name]) for case in common) / len(common)
            average[name] = f"{mean:.{decimals[name]}f}"
        averages.append(average)
    return averages


def _render_caption(common: Row) -> str:
    machine, date = common.get("machine", ""), common.get("date", "")
    if machine == date == UNKNOWN:
        place = f"Machine and date {UNKNOWN}"
    else:
        named = {UNKNOWN: f"machine {UNKNOWN}"}.get(machine, machine)
        place = ", ".join(each for each in (named, date) if each)
        place = place[:1].upper() + place[1:]
    if common.get("commit"):
        place += f", commit {common['commit']}"
    command = common.get("command", "")
    if command:
        prefix = "python " if command.startswith("benchmarks/") else ""
        place = f"{place}: `{prefix}{command}`" if place else f"`{prefix}{command}`"
    return place


def _is_common(rows: list[Row], name: str) -> bool:
    return len({row.get(name, "") for row in rows}) == 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _count_decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _split(text: str, mark: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(mark) if part.strip())


def _split_heading(column: str) -> tuple[str, str]:
    name, _, heading = column.partition(" as ")
    return name, heading or name


def _split_condition(condition: str) -> tuple[str, tuple[str, ...]]:
    name, _, values = condition.partition("=")
    return name, _split(values, " or ")


def main() -> None:
    """Render every document."""
    for path in list_documents():
        text = path.read_text("utf-8")
        rendered = render_tables(text, path.parent)
        if rendered != text:
            path.write_text(rendered, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
