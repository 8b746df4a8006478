"""``impasto plan PHOTO --style PAINTING``: what a run would take, without running it."""

from __future__ import annotations

import json
from dataclasses import asdict

from impasto.cli.commands.stylize_command import build_parser, recipe_from
from impasto.cli.options.input_files import read_inputs
from impasto.cli.options.recipe_settings import for_print
from impasto.cli.options.region_options import read_masks, spell_out
from impasto.cli.reports.plan_text import in_full


def run(argv: list[str]) -> int:
    """Read what the main job would read, time one small iteration, and tell."""
    parser = build_parser()
    parser.prog = "impasto plan"
    parser.usage = "impasto plan PHOTO --style PAINTING [options of the main job]"
    parser.description = "Tell what the main job would take with the same options: nothing is run."
    options = spell_out(parser.parse_args(argv))
    recipe = recipe_from(options)
    photo, paintings = read_inputs(options, recipe)
    recipe = for_print(recipe, options, photo)
    masks = read_masks(options, photo, paintings)
    from impasto.engine.hardware import Hardware
    from impasto.engine.inputs import Inputs
    from impasto.engine.registry import make_engine

    hardware = Hardware.resolve(
        options.device, options.weights, options.max_memory, options.scratch
    )
    plan = make_engine(recipe, hardware).plan(Inputs.read(recipe, photo, paintings, *masks))
    print(json.dumps(asdict(plan)) if options.json else in_full(plan))
    return 0
