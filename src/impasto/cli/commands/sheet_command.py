"""``impasto sheet PHOTO --style PAINTING``: compare variations on a contact sheet."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli import INTERRUPTED
from impasto.cli.options.arguments import (
    Parser,
    accept_integer,
    add_hardware_flags,
    choose_hardware,
    say,
)
from impasto.cli.options.input_files import expand_styles, read_inputs
from impasto.cli.options.recipe_options import add_recipe_flags, build_recipe
from impasto.cli.options.region_options import add_region_flags, list_mask_files, read_masks

if TYPE_CHECKING:
    from impasto.cli.jobs.sheet_axes import SheetChoice
    from impasto.engine.cache import EngineCache
    from impasto.engine.inputs import Inputs
    from impasto.engine.protocol import PictureEngine
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe
    from impasto.record.contact_sheet import ContactSheet

CELL = 256
"""Longer side of a cell in pixels, without ``--size``."""
SOME_FAILED = 1


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto sheet",
        usage="impasto sheet PHOTO --style PAINTING [--style P2 ...] [options]",
        description="Compare variations of one photo on a contact sheet: one cell for each "
        "painting, or for each combination of the given lists. Lists are separated by commas.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="photo to repaint; - reads standard input")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="file of the sheet (default: PHOTO-sheet.png next to the photo)",
    )
    vary = parser.add_argument_group("variations").add_argument
    vary("--styles", action="store_true", help="one cell for each painting (default)")
    vary(
        "--styles-grid",
        metavar="N",
        nargs="?",
        const=5,
        type=accept_integer(2, 50),
        help="a grid with 2 to 4 paintings at its corners and blends in N steps (5 without N)",
    )
    vary(
        "--recipes",
        metavar="NAMES",
        nargs="?",
        const="",
        help="these recipes, or all without NAMES",
    )
    vary("--strengths", metavar="LIST", help="strengths, such as 0,0.25,0.5,0.75,1")
    vary("--style-scales", metavar="LIST", help="stroke sizes, such as 0.5,1,2")
    vary("--seeds", metavar="LIST", help="seeds, such as 0,1,2")
    vary(
        "--vary",
        metavar="KEY=LIST",
        action="append",
        help="values of any field of the recipe; repeatable",
    )
    add_recipe_flags(
        parser.add_argument_group("style (default: cells of 256 px with the recipe sketch)")
    )
    add_region_flags(parser.add_argument_group("strength and regions"))
    add_hardware_flags(parser)
    add("--force", action="store_true", help="replace an existing output")
    add("--quiet", action="store_true", help="do not report progress")
    parser.set_defaults(snapshot_every=None)
    return parser


def run(argv: list[str]) -> int:
    """Check everything, then paint cell by cell, and write the sheet after each."""
    options = expand_styles(build_parser().parse_args(argv))
    from impasto.cli.jobs.sheet_axes import SheetAxes, label_paintings
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.image.files.encode import choose_format
    from impasto.record.contact_sheet import ContactSheet

    if options.print:
        raise InputError("applies to one picture, not to a sheet", what="--print")
    axes = SheetAxes.from_options(options)
    is_by_painting = any(choice.painting is not None for choice in axes.choices)
    if is_by_painting and (options.mask or options.style_mask):
        raise InputError(
            "cannot have masks, which belong to paintings",
            what="a sheet with one painting in each cell",
        )
    recipes = [_build_cell_recipe(options, choice) for choice in axes.choices]
    output = _choose_output(options)
    choose_format(output)
    files = [Path(each) for each in (options.photo, *options.style) if each != "-"]
    files += map(Path, list_mask_files(options))
    check_targets([output], files, overwrite=options.force)
    photo, paintings = read_inputs(options, recipes[0], reduces=False)
    references = [("photo", photo.to_pil())]
    # A painting of several regions appears once.
    labels = dict(zip(label_paintings(options), paintings, strict=True))
    references += [(label, painting.to_pil()) for label, painting in labels.items()]
    box = _fit_cell(photo, recipes)
    sheet = ContactSheet(box, axes.columns, len(recipes), references)
    masks, style_masks = read_masks(options, photo, paintings)
    from impasto.engine.inputs import Inputs
    from impasto.engine.regions import Regions

    inputs = Inputs(photo, tuple(paintings), Regions(tuple(masks), tuple(style_masks)))
    return SheetPainter(options, inputs, sheet, output).fill(axes.choices, recipes)


class SheetPainter:
    """Paints the cells of one sheet."""

    def __init__(
        self, options: argparse.Namespace, inputs: Inputs, sheet: ContactSheet, output: Path
    ) -> None:
        from impasto.image.files.result_file import ResultFile

        self._options = options
        self._inputs = inputs
        self._sheet = sheet
        self._file = ResultFile(output, overwrite=options.force, notice=say, what="the sheet")
        self._engine: PictureEngine | None = None
        self._cache: EngineCache | None = None
        self._pictures: dict[tuple[str, int | None], Picture] = {}

    def fill(self, choices: Sequence[SheetChoice], recipes: Sequence[Recipe]) -> int:
        """Paint every cell and return the exit code."""
        from impasto.cli.jobs.stop_signals import catch_stop_signals
        from impasto.cli.reports.error_text import describe_error
        from impasto.errors import ImpastoError

        failed: list[ImpastoError] = []
        with catch_stop_signals() as stop:
            for index, (choice, recipe) in enumerate(zip(choices, recipes, strict=True)):
                began = time.monotonic()
                where = f"{index + 1}/{len(choices)} {choice.label}"
                try:
                    picture = self._paint(choice, recipe, stop)
                except ImpastoError as error:
                    failed.append(error)
                    say(f"{where}: failed: {describe_error(error)}")
                    self._sheet.place(index, f"{choice.label}: failed", None)
                    continue
                if picture is None:
                    say(f"stopped; the sheet contains {index} of {len(choices)} cells")
                    break
                self._sheet.place(index, choice.label, picture.to_pil())
                self._write()
                if not self._options.quiet:
                    size = f"{picture.width}x{picture.height}"
                    say(f"{where}  {size}  {time.monotonic() - began:.1f} s")
            if len(failed) == len(choices):
                return failed[-1].exit_code  # there is nothing to show
            self._write()
        if stop:
            return INTERRUPTED
        if not self._options.quiet:
            say(f"{self._file.path} ({len(choices) - len(failed)} of {len(choices)} cells)")
        return SOME_FAILED if failed else 0

    def _paint(self, choice: SheetChoice, recipe: Recipe, stop: list[int]) -> Picture | None:
        """Paint one cell. None: the user stopped it."""
        from impasto.api.stylize import finish_picture
        from impasto.engine.cache import EngineCache
        from impasto.engine.factory import make_engine

        key = (recipe.model_dump_json(), choice.painting)
        if key not in self._pictures:
            inputs = self._inputs
            hardware = choose_hardware(self._options).resolve()
            self._cache = self._cache or EngineCache()
            # The last engine is kept until the next is made, which may share its networks.
            self._engine = make_engine(recipe, hardware, self._cache)
            styles = inputs.paintings
            if choice.painting is not None:
                styles = (styles[choice.painting],)
            inputs = inputs.with_pictures(inputs.photo, styles).with_recipe(recipe)
            for step in self._engine.run(inputs):
                if stop:
                    return None
                last = step
            self._pictures[key] = finish_picture(last, inputs.photo, recipe)
        return self._pictures[key]

    def _write(self) -> None:
        from impasto.image.files.decode import read_picture
        from impasto.image.files.encode import write_picture

        self._file.write(partial(write_picture, read_picture(self._sheet.image)))


def _build_cell_recipe(options: argparse.Namespace, choice: SheetChoice) -> Recipe:
    values = dict(vars(options))
    if choice.recipe is not None:
        values |= {"recipe": choice.recipe}
    elif not options.recipe and not options.quality:
        values |= {"recipe": "sketch"}
    if choice.painting is not None:
        values |= {"style": [options.style[choice.painting]]}
    recipe = build_recipe(argparse.Namespace(**values))
    recipe = recipe.with_changes({"size": recipe.size or CELL})
    return recipe.with_changes(choice.changes)


def _fit_cell(photo: Picture, recipes: Sequence[Recipe]) -> tuple[int, int]:
    from impasto.image.picture import fit_within

    return fit_within(photo.width, photo.height, max(each.size or CELL for each in recipes))


def _choose_output(options: argparse.Namespace) -> Path:
    from impasto.cli.options.output_files import check_present
    from impasto.errors import InputError

    if options.output:
        return Path(options.output)
    if options.photo == "-":
        raise InputError("requires -o OUT", what="a photo from standard input")
    photo = Path(options.photo)
    check_present(photo)
    return photo.with_name(f"{photo.stem}-sheet.png")
