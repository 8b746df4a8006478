"""``impasto batch SOURCE --style PAINTING -o FOLDER``: repaint many photos."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.batch.processes.patience import LIMIT_S
from impasto.cli.options.arguments import (
    JSON_HELP,
    Parser,
    accept_integer,
    accept_number,
    add_hardware_flags,
    choose_hardware,
)
from impasto.cli.options.input_files import expand_network_styles
from impasto.cli.options.recipe_options import add_recipe_flags, build_recipe
from impasto.cli.options.region_options import add_region_flags
from impasto.cli.reports.error_text import describe_error, name_flag

if TYPE_CHECKING:
    from concurrent.futures import Future

    from impasto.batch.batch_job import BatchJob, Probe, WorkerSettings
    from impasto.batch.batch_plan import BatchPlan, BatchPlanner
    from impasto.batch.batch_record import BatchRecord
    from impasto.batch.processes.executors import Executor
    from impasto.batch.processes.patience import Patience
    from impasto.batch.sources.manifest import ManifestRow
    from impasto.batch.sources.photo_search import FoundPhoto, SearchReport
    from impasto.cli.reports.batch_report import BatchReport
    from impasto.recipe.recipe import Recipe


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto batch",
        usage="impasto batch SOURCE... --style PAINTING -o FOLDER [options]",
        description="Repaint many photos. The same command continues where the last one stopped, "
        "even if it was killed. Ctrl-C finishes the current pictures; a second Ctrl-C quits at "
        "once.",
        epilog="See docs/batch.md.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="a folder (with its subfolders), a picture, a quoted pattern such as 'a/**/*.jpg', a "
        "table (.csv or .jsonl) with a row for each picture, - for paths on standard input, or a "
        "URL of any of these",
    )
    add(
        "-o",
        "--output",
        metavar="FOLDER",
        required=True,
        help="folder of the results, as a path or URL",
    )
    add_recipe_flags(parser.add_argument_group("style"))
    add_region_flags(parser.add_argument_group("strength and regions"))
    _add_output_flags(parser.add_argument_group("output"))
    _add_work_flags(parser.add_argument_group("workers and hardware"))
    parser.set_defaults(snapshot_every=None)
    return parser


def _add_output_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    kinds = ("png", "jpg", "webp", "tif", "bmp", "avif")
    add("--format", choices=kinds, default="png", help="format of the results (default: png)")
    add(
        "--depth",
        type=int,
        choices=(8, 16),
        default=8,
        help="bits per channel; 16 for png and tif (default: 8)",
    )
    add("--full-names", action="store_true", help="name the result of a.jpg a.jpg.png, not a.png")
    add(
        "--root",
        metavar="DIR",
        help="results of single files, patterns and lists keep their path below this folder "
        "(default: the current folder)",
    )
    add(
        "--force",
        action="store_true",
        help="replace existing pictures that were made from another photo or recipe",
    )
    add("--no-embed", action="store_true", help="do not store the recipe in the pictures")
    add("--no-metadata", action="store_true", help="do not copy the photos' EXIF and copyright")
    add(
        "--record",
        metavar="FILE",
        help="record of finished pictures (default: impasto-batch.jsonl in FOLDER)",
    )
    add("--json", action="store_true", help=JSON_HELP)
    add("--quiet", action="store_true", help="do not report progress")


def _add_work_flags(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--executor",
        choices=("local", "ray", "serial"),
        default="local",
        help="local: processes on this machine; ray: a Ray cluster; serial: this process "
        "(default: local)",
    )
    add(
        "--workers",
        metavar="N",
        type=accept_integer(1, 100_000),
        help="pictures processed at the same time (default: chosen automatically)",
    )
    add(
        "--ray-address",
        metavar="ADDRESS",
        help="address of the Ray cluster (default: start one on this machine)",
    )
    add(
        "--ray-timeout",
        metavar="S",
        type=accept_number(1, 10**7),
        default=LIMIT_S,
        help="seconds without any worker after which the batch stops with exit code 4 "
        f"(default: {LIMIT_S:g})",
    )
    add(
        "--limit",
        metavar="N",
        type=accept_integer(1, 10**9),
        help="make at most this many pictures now",
    )
    add(
        "--dry-run",
        action="store_true",
        help="report what would be made and how long it would take",
    )
    add(
        "--watch",
        action="store_true",
        help="wait for more photos in the folder until Ctrl-C",
    )
    add_hardware_flags(
        group,
        memory="memory limit of all workers together, or of each with --executor ray "
        "(default: all free memory)",
    )


def run(argv: list[str]) -> int:
    """Find the pictures to make, estimate the work, do it, and report the result."""
    options = build_parser().parse_args(argv)
    expand_network_styles(options, needed=False, folder=_choose_drawing_folder(options))
    from impasto.batch.batch_job import WorkerSettings
    from impasto.batch.batch_plan import BatchPlanner
    from impasto.batch.batch_record import BatchRecord
    from impasto.batch.job_templates import JobTemplates
    from impasto.batch.sources import places
    from impasto.batch.sources.photo_search import SearchReport
    from impasto.cli.reports.batch_report import BatchReport
    from impasto.image.files.encode import choose_format

    _check(options)
    suffix = f".{options.format}"
    choose_format(Path(f"any{suffix}"), options.depth)
    settings = WorkerSettings(
        hardware=choose_hardware(options),
        depth=options.depth,
        embed=not options.no_embed,
        keep_metadata=not options.no_metadata,
        print_size=options.print,
        name_field=name_flag,
    )
    with closing(BatchRecord(_record_path(options), only_read=options.dry_run)) as record:
        planner = BatchPlanner(
            options.output,
            record,
            JobTemplates(
                settings,
                partial(_build_recipe_for, options),
                options.style or (),
                options.mask,
                options.style_mask,
            ),
            suffix=suffix,
            full_names=options.full_names,
            force=options.force,
            absolute=options.executor == "ray",
        )
        if not (options.dry_run or places.is_url(options.output)):
            _remove_partial_files(Path(options.output), record)
        if not options.watch:
            search = SearchReport()
            plan = planner.plan(_find_photos(options, options.source, search))
            if not options.dry_run:
                _record_saved(plan, record)
            report = BatchReport(plan, search, options, record.path)
            del plan.jobs[report.todo :]
            return _make(options, settings, planner, record, iter(plan.jobs), report)
        from impasto.batch.batch_plan import BatchPlan

        report = BatchReport(BatchPlan(), SearchReport(), options, record.path)
        jobs = _watch(options, planner, record, report)
        return _make(options, settings, planner, record, jobs, report)


def _choose_drawing_folder(options: argparse.Namespace) -> Path:
    """Return the folder for paintings drawn from words: that of the results, if it is one here."""
    from impasto.batch.sources import places
    from impasto.cli.options.style_words import find_drawing_cache

    if options.dry_run or places.is_url(options.output):
        return find_drawing_cache()
    return Path(places.normalize_place(options.output))


def _remove_partial_files(output: Path, record: BatchRecord) -> None:
    """Remove partial files of a killed batch, while nothing else is being written."""
    from impasto.image.files.atomic import remove_orphans

    for folder in {Path(output, key).parent for key in record.list_unfinished()}:
        remove_orphans(folder)


def _record_saved(plan: BatchPlan, record: BatchRecord) -> None:
    """Add results to the record that a killed batch wrote but did not record."""
    for outcome in plan.saved:
        record.note_end(outcome)


def _check(options: argparse.Namespace) -> None:
    from impasto.batch.sources import places
    from impasto.batch.sources.manifest import find_mask_file
    from impasto.errors import InputError, ResourceError
    from impasto.image.files.atomic import make_folder
    from impasto.image.files.decode import read_picture
    from impasto.segment.mask_words import expand_auto

    if options.watch and options.limit:
        raise InputError("cannot be combined", what="--watch and --limit")
    options.output = places.normalize_place(options.output)
    if options.style:
        masks, styles, parts = expand_auto(options.mask, options.style, options.style_mask)
        _build_recipe_for(options, None, {}, styles).check_counts(
            len(styles), len(masks), len(parts)
        )
    for file in filter(None, map(find_mask_file, (*options.mask, *options.style_mask))):
        read_picture(places.read(file), name=file)
    if places.is_url(options.output):
        if not options.record:
            raise InputError(
                "requires --record FILE, because a remote store cannot be appended to",
                what="-o URL",
            )
        return
    output = Path(options.output)
    if output.exists() and not output.is_dir():
        raise InputError("is a file, but the results need a folder", where=output)
    for source in options.source:
        if output.is_dir() and Path(source).is_dir() and output.samefile(source):
            raise InputError(
                "is also a source; choose another folder for the results", where=output
            )
        if options.watch and not (places.is_url(source) or Path(source).is_dir()):
            raise InputError("--watch requires a folder", where=source)
    if options.dry_run:
        return
    make_folder(output)
    if not os.access(output, os.W_OK):
        raise ResourceError("the folder cannot be written", where=output)


def _record_path(options: argparse.Namespace) -> Path:
    from impasto.batch.batch_record import RECORD_NAME

    return Path(options.record) if options.record else Path(options.output, RECORD_NAME)


def _build_recipe_for(
    options: argparse.Namespace,
    name: str | None,
    fields: Mapping[str, Any],
    styles: Sequence[str],
) -> Recipe:
    """Build the recipe of the batch, or of a row that names its own recipe or fields."""
    # The number of masks depends on the row and is checked with it.
    values = dict(vars(options)) | {"style": list(styles), "mask": [], "style_mask": []}
    if name is not None:
        values |= {"recipe": name, "quality": None}
    recipe = build_recipe(argparse.Namespace(**values)).with_changes(fields)
    recipe.check_counts(len(styles))
    return recipe


def _find_photos(
    options: argparse.Namespace, sources: Iterable[str], search: SearchReport
) -> Iterator[FoundPhoto | ManifestRow]:
    from impasto.batch.sources.manifest import is_manifest, read_rows
    from impasto.batch.sources.photo_search import find_photos

    for source in sources:
        if is_manifest(source):
            yield from _draw_rows(options, list(read_rows(source)))
        else:
            yield from find_photos(
                source, root=options.root, skip=options.output, report=search, read_list=_read_list
            )


def _draw_rows(options: argparse.Namespace, rows: list[ManifestRow]) -> Iterator[ManifestRow]:
    """Replace styles of rows that are words or names by files; all are read before any is drawn.

    Raises:
        InputError: a word or a name is unknown; the message has its row.
    """
    from impasto.cli.options.style_words import find_named_style, save_drawing
    from impasto.errors import ImpastoError
    from impasto.words.description import StyleDescription, parse_description
    from impasto.words.word_styles import choose_drawing_size, find_words

    descriptions: dict[str, StyleDescription] = {}
    paintings: dict[str, str] = {}
    for row in rows:
        for style in {*row.styles} - {*descriptions, *paintings}:
            text = find_words(style)
            try:
                if text is None:
                    paintings[style] = find_named_style(style, options)
                else:
                    descriptions[style] = parse_description(text)
            except ImpastoError as error:
                raise error.copy_with_place(row.where) from None
    files: dict[tuple[str, int], str] = {}
    folder = _choose_drawing_folder(options)
    for row in rows:
        own = row.fields.get("size")
        size = choose_drawing_size(own if isinstance(own, int) else options.size)
        for style in {*row.styles} & {*descriptions}:
            if (style, size) not in files:
                files[style, size] = save_drawing(descriptions[style], size, folder)
        styles = (files.get((each, size)) or paintings[each] for each in row.styles)
        yield replace(row, styles=tuple(styles))


def _read_list() -> list[str]:
    """Read paths from standard input, separated by newlines or zero bytes."""
    from impasto.errors import InputError

    if sys.stdin is None:
        raise InputError(
            "standard input is closed", where="-", expected="a list of paths through a pipe"
        )
    data = sys.stdin.buffer.read()
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _watch(
    options: argparse.Namespace, planner: BatchPlanner, record: BatchRecord, report: BatchReport
) -> Iterator[BatchJob | None]:
    from impasto.batch.sources.photo_search import SearchReport, watch_photos
    from impasto.errors import ImpastoError

    def plan_jobs(photo: FoundPhoto) -> Iterable[BatchJob] | None:
        try:
            plan: BatchPlan = planner.plan([photo])
        except ImpastoError as error:
            report.add_failure(photo.photo, describe_error(error))
            return ()
        if plan.running:
            return None
        _record_saved(plan, record)
        return report.add_plan(plan)

    def look() -> Iterator[Any]:
        search = SearchReport()
        for source in options.source:
            try:
                yield from _find_photos(options, [source], search)
            except (ImpastoError, OSError) as error:  # a disk that went away may come back
                search.unreadable.append((source, describe_error(error)))
        report.add_unreadable(search)

    return watch_photos(look, plan_jobs)


def _make(
    options: argparse.Namespace,
    settings: WorkerSettings,
    planner: BatchPlanner,
    record: BatchRecord,
    jobs: Iterator[BatchJob | None],
    report: BatchReport,
) -> int:
    """Make the pictures and return the exit code."""
    from impasto.batch.batch_run import group_jobs, run_jobs
    from impasto.batch.processes.patience import NoWorkersError, Patience
    from impasto.cli.jobs.stop_signals import catch_stop_signals
    from impasto.cli.options.arguments import say

    report.begin()
    if not report.todo and not options.watch:
        return report.end(interrupted=False)
    patience = Patience(options.ray_timeout, say)
    executor = _choose_executor(options, settings, patience)
    stop: list[int] = []
    at_once = True
    try:
        probe = _probe_first(executor, report.first)
        workers = executor.start_workers(probe)
        report.estimate(probe, workers)
        if options.dry_run:
            return report.end(interrupted=False)
        with catch_stop_signals(_announce_stop) as stop, report:
            groups = group_jobs(jobs, planner)
            try:
                for outcome in run_jobs(groups, executor, workers, record, stop, patience):
                    report.update(outcome)
            except NoWorkersError as error:
                report.give_up(describe_error(error))
        at_once = False
    finally:
        executor.close(at_once=at_once)
    return report.end(interrupted=bool(stop) and not options.watch)


def _announce_stop() -> None:
    # print is not safe here, because the signal may have interrupted another print.
    os.write(2, b"\nimpasto: finishing the current pictures; Ctrl-C again quits at once\n")


def _choose_executor(
    options: argparse.Namespace, settings: WorkerSettings, patience: Patience
) -> Executor:
    """Make the executor that ``--executor`` names."""
    if options.executor == "ray":
        from impasto.batch.processes.ray_executor import RayExecutor
        from impasto.batch.sources.places import make_absolute

        hardware = settings.hardware
        if hardware.weights:
            hardware = replace(hardware, weights=make_absolute(str(hardware.weights)))
        return RayExecutor(
            replace(settings, hardware=hardware),
            address=options.ray_address,
            workers=options.workers,
            patience=patience,
        )
    from impasto.batch.processes.executors import ProcessExecutor, SerialExecutor
    from impasto.batch.processes.local_machine import share_machine

    kind = ProcessExecutor if options.executor == "local" else SerialExecutor
    workers = options.workers if options.executor == "local" else 1
    limit = settings.hardware.max_memory
    return kind(settings, lambda probe: share_machine(probe, workers, limit))


def _probe_first(executor: Executor, jobs: Sequence[BatchJob]) -> Probe | None:
    """Measure the first photo that can be read.

    Raises:
        ImpastoError: something is missing that all pictures need.
    """
    from impasto.batch.processes.executors import WorkerLost
    from impasto.errors import ImageError, LimitError, ResourceError

    for job in jobs:
        future: Future[Probe] = executor.probe(job)
        try:
            return future.result()
        except (ImageError, LimitError):
            continue
        except WorkerLost as error:
            raise ResourceError(f"the first worker died ({error})", where=job.photo) from None
    return None
