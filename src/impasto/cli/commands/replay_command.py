"""``impasto replay OUT.png``: make a picture again from the recipe inside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from impasto._version import __version__
from impasto.cli.options.arguments import (
    JSON_HELP,
    Parser,
    add_hardware_flags,
    choose_hardware,
    say,
)


def build_parser() -> Parser:
    """Build the parser of the command."""
    parser = Parser(
        prog="impasto replay",
        description="Make a picture again from the recipe inside it. Its photo and painting are "
        "looked for next to it and in the current folder.",
    )
    add = parser.add_argument
    add("picture", metavar="OUT.png", help="picture made by impasto")
    add("-o", "--output", metavar="AGAIN.png", help="file of the result (default: OUT-replay.png)")
    add("--photo", metavar="FILE", help="path of the photo")
    add("--style", metavar="FILE", action="append", help="path of the painting; repeatable")
    add("--mask", metavar="FILE", action="append", help="path of the mask; repeatable")
    add(
        "--style-mask",
        metavar="FILE",
        action="append",
        help="path of the painting's mask, or none; repeatable",
    )
    add("--init", metavar="FILE", help="path of the starting picture")
    add("--network", metavar="FILE", help="path of the one-pass network")
    add_hardware_flags(parser, default_device=None)
    add("--force", action="store_true", help="replace an existing output")
    add(
        "--accept-changed",
        action="store_true",
        help="continue even if inputs or weights differ from those in the record",
    )
    add("--quiet", action="store_true", help="do not report progress")
    add("--json", action="store_true", help=JSON_HELP)
    return parser


def run(argv: list[str]) -> int:
    """Find the inputs, check that they are unchanged, and make the picture again."""
    options = build_parser().parse_args(argv)
    from impasto.cli.jobs.input_search import InputSearch
    from impasto.cli.jobs.paint import PaintJob, paint
    from impasto.cli.options.output_files import check_targets
    from impasto.cli.options.style_words import draw_word_styles
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format
    from impasto.record.provenance import FileHash, read_provenance

    path = Path(options.picture)
    original = read_picture(path)
    provenance = read_provenance(path)
    output = Path(options.output or path.with_name(f"{path.stem}-replay{path.suffix}"))
    depth = 16 if original.metadata.depth == 16 else 8
    choose_format(output, depth)
    if provenance.refined:
        say(f"{path} was refined later; the replay is the picture before that")
    draw_word_styles(options, output.parent)
    search = InputSearch(path, provenance, accept_changed=options.accept_changed)
    photo, *paintings = search.find_inputs(options.photo, options.style)
    sources: list[str | None] = [str(each) for each in search.files]
    masks = search.find_masks((photo, paintings), options.mask, options.style_mask)
    recipe = provenance.recipe
    # The recipe decides what is needed, because entries of the record may be missing.
    if recipe.start.image is not None:
        start = provenance.start or FileHash(recipe.start.image, "")
        search.find_picture(start, options.init, "--init")
        recipe = recipe.with_changes({"start.image": str(search.files[-1])})
    if recipe.engine.file is not None or provenance.network is not None:
        recipe = recipe.with_changes({"engine.file": search.find_network(options.network)})
    check_targets([output], [path, *search.files], overwrite=options.force)
    search.check_weights(options.weights)
    device = options.device or _choose_device(provenance.device)
    is_same = not search.has_changes and device.split(":")[0] == provenance.device
    from impasto.engine.inputs import Inputs

    job = PaintJob(
        recipe=recipe,
        inputs=Inputs.read(recipe, photo, paintings, *masks),
        sources=sources,
        output=output,
        hardware=replace(choose_hardware(options), device=device),
        depth=depth,
        overwrite=options.force,
        quiet=options.quiet,
        json=options.json,
        keep_metadata=provenance.keeps_metadata,
        record=replace(provenance, version=__version__, refined=()) if is_same else None,
    )
    return paint(job)


def _choose_device(recorded: str) -> str:
    """Return the kind of device in the record if this machine has one, or another with a notice."""
    from impasto.engine.machine.hardware import resolve_device
    from impasto.errors import ImpastoError

    try:
        return resolve_device(recorded).type
    except ImpastoError:
        available = resolve_device("auto").type
        say(
            f"the picture was made on {recorded}, this machine uses {available}: expect small "
            "differences"
        )
        return available
