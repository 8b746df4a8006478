"""``impasto batch SOURCE --style PAINTING -o FOLDER``: many pictures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.cli.commands.stylize_command import recipe_from
from impasto.cli.options.batch_options import build_parser
from impasto.cli.options.own_styles import with_own_styles
from impasto.cli.reports.error_text import describe_error

if TYPE_CHECKING:
    from impasto.batch.batch_job import BatchJob, WorkerSettings
    from impasto.batch.batch_plan import BatchPlan, BatchPlanner
    from impasto.batch.batch_record import BatchRecord
    from impasto.batch.sources.manifest import ManifestRow
    from impasto.batch.sources.photo_search import FoundPhoto, SearchReport
    from impasto.cli.reports.batch_report import Report
    from impasto.recipe.recipe import Recipe


def run(argv: list[str]) -> int:
    """Find what there is to do, tell what it takes, do it, and say what came of it."""
    options = with_own_styles(build_parser().parse_args(argv), needed=False)
    from impasto.batch.batch_job import WorkerSettings
    from impasto.batch.batch_plan import BatchPlanner
    from impasto.batch.batch_record import BatchRecord
    from impasto.batch.job_templates import JobTemplates
    from impasto.batch.sources import places
    from impasto.batch.sources.photo_search import SearchReport
    from impasto.cli.reports.batch_report import Report
    from impasto.image.files.encode import choose_format

    _check(options)
    suffix = f".{options.format}"
    choose_format(Path(f"any{suffix}"), options.depth)
    settings = WorkerSettings(
        device=options.device,
        weights=options.weights,
        scratch=options.scratch,
        depth=options.depth,
        embed=not options.no_embed,
        keep_metadata=not options.no_metadata,
        print_size=options.print,
    )
    with BatchRecord(_record_path(options), only_read=options.dry_run) as record:
        planner = BatchPlanner(
            options.output,
            record,
            JobTemplates(
                settings,
                partial(_recipe_for, options),
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
            _tidy(Path(options.output), record)
        if not options.watch:
            met = SearchReport()
            plan = planner.plan(_found(options, options.source, met))
            if not options.dry_run:
                _note_saved(plan, record)
            report = Report(plan, met, options, record.path)
            del plan.jobs[report.todo :]
            return _make(options, settings, planner, record, iter(plan.jobs), report)
        from impasto.batch.batch_plan import BatchPlan

        report = Report(BatchPlan(), SearchReport(), options, record.path)
        jobs = _coming_in(options, planner, record, report)
        return _make(options, settings, planner, record, jobs, report)


def _tidy(output: Path, record: BatchRecord) -> None:
    """Remove what a kill left half-written; while nothing is in the writing, here or elsewhere."""
    from impasto.image.files.atomic import remove_orphans

    for folder in {Path(output, key).parent for key in record.list_unfinished()}:
        remove_orphans(folder)


def _note_saved(plan: BatchPlan, record: BatchRecord) -> None:
    """What a kill kept from the record."""
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
        raise InputError("--watch has no end that --limit could set: leave one of them out")
    options.output = places.normalize_place(options.output)
    if options.style:
        masks, styles, parts = expand_auto(options.mask, options.style, options.style_mask)
        _recipe_for(options, None, {}, styles).check_counts(len(styles), len(masks), len(parts))
    for file in filter(None, map(find_mask_file, (*options.mask, *options.style_mask))):
        read_picture(places.read(file), name=file)
    if places.is_url(options.output):
        if not options.record:
            raise InputError("-o URL needs --record FILE: a store cannot be appended to")
        return
    output = Path(options.output)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file, a folder is needed for the results")
    for source in options.source:
        if output.is_dir() and Path(source).is_dir() and output.samefile(source):
            raise InputError(f"{output}: is the source too, results need a folder of their own")
        if options.watch and not (places.is_url(source) or Path(source).is_dir()):
            raise InputError(f"{source}: only a folder can be watched")
    if options.dry_run:
        return
    make_folder(output)
    if not os.access(output, os.W_OK):
        raise ResourceError(f"{output}: the folder cannot be written")


def _record_path(options: argparse.Namespace) -> Path:
    from impasto.batch.batch_record import RECORD_NAME

    return Path(options.record) if options.record else Path(options.output, RECORD_NAME)


def _recipe_for(
    options: argparse.Namespace,
    name: str | None,
    fields: Mapping[str, Any],
    styles: Sequence[str],
) -> Recipe:
    """Of a row, or of the batch: the flags', or another by name, with fields changed."""
    # How many masks there may be depends on the row, and is checked with it.
    chosen = dict(vars(options)) | {"style": list(styles), "mask": [], "style_mask": []}
    if name is not None:
        chosen |= {"recipe": name, "quality": None}
    recipe = recipe_from(argparse.Namespace(**chosen)).with_changes(fields)
    recipe.check_counts(len(styles))
    return recipe


def _found(
    options: argparse.Namespace, sources: Iterable[str], met: SearchReport
) -> Iterator[FoundPhoto | ManifestRow]:
    from impasto.batch.sources.manifest import is_manifest, read_rows
    from impasto.batch.sources.photo_search import find_photos

    for source in sources:
        if is_manifest(source):
            yield from read_rows(source)
        else:
            yield from find_photos(
                source, root=options.root, skip=options.output, report=met, read_list=_listed
            )


def _listed() -> list[str]:
    """Paths on standard input, one a line, or with a zero byte between them."""
    from impasto.errors import InputError

    if sys.stdin is None:
        raise InputError("-: standard input is closed, pipe a list of paths in")
    data = sys.stdin.buffer.read()
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(line) for line in lines if line.strip()]


def _coming_in(
    options: argparse.Namespace, planner: BatchPlanner, record: BatchRecord, report: Report
) -> Iterator[BatchJob | None]:
    from impasto.batch.sources.photo_search import SearchReport, watch_photos
    from impasto.errors import ImpastoError

    def jobs_of(found: FoundPhoto) -> Iterable[BatchJob] | None:
        try:
            plan: BatchPlan = planner.plan([found])
        except ImpastoError as error:
            report.refused(found.photo, describe_error(error))
            return ()
        if plan.running:
            return None
        _note_saved(plan, record)
        return report.planned(plan)

    def look() -> Iterator[Any]:
        met = SearchReport()
        for source in options.source:
            try:
                yield from _found(options, [source], met)
            except (ImpastoError, OSError) as error:  # a disk that went away may come back
                met.unreadable.append((source, describe_error(error)))
        report.looked(met)

    return watch_photos(look, jobs_of)


def _make(
    options: argparse.Namespace,
    settings: WorkerSettings,
    planner: BatchPlanner,
    record: BatchRecord,
    jobs: Iterator[BatchJob | None],
    report: Report,
) -> int:
    """Have the jobs done; the exit code."""
    from impasto.batch.batch_run import group_jobs, run_jobs
    from impasto.batch.workers.patience import NoWorkersError, Patience
    from impasto.cli.jobs.batch_workers import executor_of, probed
    from impasto.cli.jobs.paint import stoppable
    from impasto.cli.options.arguments import say

    report.begin()
    if not report.todo and not options.watch:
        return report.end(interrupted=False)
    patience = Patience(options.ray_timeout, say)
    executor = executor_of(options, settings, patience)
    stop: list[int] = []
    at_once = True
    try:
        probe = probed(executor, report.first)
        workers = executor.start_workers(probe)
        report.estimate(probe, workers)
        if options.dry_run:
            return report.end(interrupted=False)
        with stoppable(_tell_of_the_end) as stop, report:
            groups = group_jobs(jobs, planner)
            try:
                for outcome in run_jobs(groups, executor, workers, record, stop, patience):
                    report.see(outcome)
            except NoWorkersError as error:
                report.given_up(describe_error(error))
        at_once = False
    finally:
        executor.close(at_once=at_once)
    return report.end(interrupted=bool(stop) and not options.watch)


def _tell_of_the_end() -> None:
    # Not by print, which a signal may have interrupted.
    os.write(2, b"\nimpasto: ending with what is begun; Ctrl-C again ends it at once\n")
