"""``impasto sheet PHOTO --style PAINTING``: variations side by side on one picture."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli import INTERRUPTED
from impasto.cli.commands.stylize_command import add_recipe_flags, recipe_from
from impasto.cli.options.arguments import Parser, device, gigabytes, say, whole
from impasto.cli.options.input_files import read_inputs
from impasto.cli.options.region_options import add_region_flags, mask_files, read_masks, spell_out

if TYPE_CHECKING:
    from impasto.cli.jobs.sheet_axes import Choice
    from impasto.engine.cache import EngineCache
    from impasto.engine.protocol import PictureEngine
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe
    from impasto.record.contact_sheet import ContactSheet

CELL = 256
"""Longer side of a cell in pixels, unless ``--size`` says another."""
SOME_FAILED = 1


def build_parser() -> Parser:
    """The flags of a sheet."""
    parser = Parser(
        prog="impasto sheet",
        usage="impasto sheet PHOTO --style PAINTING [--style P2 ...] [options]",
        description="Variations of one job on one contact sheet: every combination of what is "
        "listed, or one cell a painting. Lists are separated by commas.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="the picture to repaint; - reads standard input")
    add("-o", "--output", metavar="OUT", help="default: PHOTO-sheet.png beside the photo")
    varied = parser.add_argument_group("what varies").add_argument
    varied("--styles", action="store_true", help="one painting a cell (the default)")
    varied(
        "--styles-grid",
        metavar="N",
        nargs="?",
        const=5,
        type=whole(2, 50),
        help="2 to 4 paintings at the corners, blended in N steps (default: 5) in between",
    )
    varied("--recipes", metavar="NAMES", nargs="?", const="", help="these recipes, or all of them")
    varied("--strengths", metavar="LIST", help="such as 0,0.25,0.5,0.75,1")
    varied("--style-scales", metavar="LIST", help="such as 0.5,1,2")
    varied("--seeds", metavar="LIST", help="such as 0,1,2")
    varied("--vary", metavar="KEY=LIST", action="append", help="any field of the recipe")
    add_recipe_flags(parser.add_argument_group("what to do (a cell is 256 px, a sketch)"))
    add_region_flags(parser.add_argument_group("how strong, and where"))
    add("--device", default="auto", type=device, help="auto, cpu, cuda, cuda:N or mps")
    add("--max-memory", metavar="GB", type=gigabytes, help="as of the main job")
    add("--scratch", metavar="DIR", help="likewise")
    add("--weights", metavar="FILE", help="likewise")
    add("--force", action="store_true", help="replace an existing output")
    add("--quiet", action="store_true", help="no progress")
    parser.set_defaults(snapshot_every=None)
    return parser


def run(argv: list[str]) -> int:
    """Check everything, then fill the sheet cell by cell; it is written after each."""
    options = spell_out(build_parser().parse_args(argv))
    from impasto.cli.jobs.sheet_axes import Axes, painting_labels
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.image.files.encode import choose_format
    from impasto.record.contact_sheet import ContactSheet

    if options.print:
        raise InputError("--print is for one picture, not for a sheet")
    axes = Axes.of(options)
    apart = any(choice.painting is not None for choice in axes.choices)
    if apart and (options.mask or options.style_mask):
        raise InputError("masks belong to paintings: a sheet that tries one by one cannot have any")
    recipes = [_recipe(options, choice) for choice in axes.choices]
    output = _output(options)
    choose_format(output)
    inputs = [Path(each) for each in (options.photo, *options.style) if each != "-"]
    inputs += map(Path, mask_files(options))
    check_targets([output], inputs, overwrite=options.force)
    photo, paintings = read_inputs(options, recipes[0])
    references = [("photo", photo.to_pil())]
    # Each once, however many regions it has.
    named = dict(zip(painting_labels(options), paintings, strict=True))
    references += [(label, painting.to_pil()) for label, painting in named.items()]
    box = _box(photo, recipes)
    sheet = ContactSheet(box, axes.columns, len(recipes), references)
    masks = read_masks(options, photo, paintings)
    return _Filling(options, photo, paintings, masks, sheet, output).fill(axes.choices, recipes)


class _Filling:
    """The work on one sheet."""

    def __init__(
        self,
        options: argparse.Namespace,
        photo: Picture,
        paintings: Sequence[Picture],
        masks: tuple[list[Mask], list[Mask | None]],
        sheet: ContactSheet,
        output: Path,
    ) -> None:
        self._options = options
        self._photo = photo
        self._paintings = list(paintings)
        self._masks = masks
        self._sheet = sheet
        self._output = output
        self._engine: PictureEngine | None = None
        self._cache: EngineCache | None = None
        self._made: dict[tuple[str, int | None], Picture] = {}

    def fill(self, choices: Sequence[Choice], recipes: Sequence[Recipe]) -> int:
        """Every cell in turn; the exit code."""
        from impasto.cli.jobs.paint import stoppable
        from impasto.cli.reports.error_text import describe_error
        from impasto.errors import ImpastoError

        failed: list[ImpastoError] = []
        with stoppable() as stop:
            for index, (choice, recipe) in enumerate(zip(choices, recipes, strict=True)):
                began = time.monotonic()
                where = f"{index + 1}/{len(choices)} {choice.label}"
                try:
                    picture = self._painted(choice, recipe, stop)
                except ImpastoError as error:
                    failed.append(error)
                    say(f"{where}: failed: {describe_error(error)}")
                    self._sheet.place(index, f"{choice.label}: failed", None)
                    continue
                if picture is None:
                    say(f"stopped after {index} of {len(choices)} cells, which are in the sheet")
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
            say(f"{self._output} ({len(choices) - len(failed)} of {len(choices)} cells)")
        return SOME_FAILED if failed else 0

    def _painted(self, choice: Choice, recipe: Recipe, stop: list[int]) -> Picture | None:
        """One cell's picture; none if the user stopped it."""
        from impasto.api.stylize import finish_picture
        from impasto.engine.cache import EngineCache
        from impasto.engine.hardware import Hardware
        from impasto.engine.inputs import Inputs
        from impasto.engine.registry import make_engine

        key = (recipe.model_dump_json(), choice.painting)
        if key not in self._made:
            options, paintings = self._options, self._paintings
            hardware = Hardware.resolve(
                options.device, options.weights, options.max_memory, options.scratch
            )
            self._cache = self._cache or EngineCache()
            # The latest engine is kept until there is the next, which may share its networks.
            self._engine = make_engine(recipe, hardware, self._cache)
            chosen = paintings if choice.painting is None else [paintings[choice.painting]]
            for step in self._engine.run(Inputs.read(recipe, self._photo, chosen, *self._masks)):
                if stop:
                    return None
                last = step
            self._made[key] = finish_picture(last, self._photo, recipe)
        return self._made[key]

    def _write(self) -> None:
        from impasto.image.files.decode import read_picture
        from impasto.image.files.encode import write_picture

        write_picture(read_picture(self._sheet.image), self._output, overwrite=True)


def _recipe(options: argparse.Namespace, choice: Choice) -> Recipe:
    chosen = dict(vars(options))
    if choice.recipe is not None:
        chosen |= {"recipe": choice.recipe}
    elif not options.recipe and not options.quality:
        chosen |= {"recipe": "sketch"}
    if choice.painting is not None:
        chosen |= {"style": [options.style[choice.painting]]}
    recipe = recipe_from(argparse.Namespace(**chosen))
    recipe = recipe.with_changes({"size": recipe.size or CELL})
    return recipe.with_changes(choice.changes)


def _box(photo: Picture, recipes: Sequence[Recipe]) -> tuple[int, int]:
    from impasto.image.picture import fit_within

    return fit_within(photo.width, photo.height, max(each.size or CELL for each in recipes))


def _output(options: argparse.Namespace) -> Path:
    from impasto.errors import InputError

    if options.output:
        return Path(options.output)
    if options.photo == "-":
        raise InputError("a photo from standard input needs -o OUT")
    photo = Path(options.photo)
    return photo.with_name(f"{photo.stem}-sheet.png")
