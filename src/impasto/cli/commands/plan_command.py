"""``impasto plan PHOTO --style PAINTING``: estimate a run without running it."""

from __future__ import annotations

import json
from dataclasses import asdict

from impasto.cli.commands.stylize_command import build_parser
from impasto.cli.options.arguments import choose_hardware
from impasto.cli.options.input_files import expand_styles, read_inputs, read_job_inputs
from impasto.cli.options.recipe_options import build_recipe
from impasto.cli.options.style_words import find_drawing_cache
from impasto.cli.reports.plan_text import describe_plan


def run(argv: list[str]) -> int:
    """Read the inputs of the main command, time one small iteration, and print the estimate."""
    parser = build_parser()
    parser.prog = "impasto plan"
    parser.usage = "impasto plan PHOTO --style PAINTING [options of the main command]"
    parser.description = (
        "Estimate the sizes, memory and time of the main command with the same options, without "
        "running it."
    )
    options = expand_styles(parser.parse_args(argv), find_drawing_cache())
    recipe = build_recipe(options)
    recipe, inputs = read_job_inputs(options, recipe, *read_inputs(options, recipe))
    from impasto.engine.factory import make_engine

    plan = make_engine(recipe, choose_hardware(options).resolve()).plan(inputs)
    print(json.dumps(asdict(plan)) if options.json else describe_plan(plan))
    return 0
