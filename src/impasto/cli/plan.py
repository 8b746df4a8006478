"""``impasto plan PHOTO --style PAINTING``: what a run would take, without running it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from impasto.cli.progress import clock
from impasto.cli.stylize import build_parser, read_inputs, recipe_from

if TYPE_CHECKING:
    from impasto.optimize.plan import Plan


def run(argv: list[str]) -> int:
    """Read what the main job would read, time one small iteration, and tell."""
    parser = build_parser()
    parser.prog = "impasto plan"
    parser.usage = "impasto plan PHOTO --style PAINTING [options of the main job]"
    parser.description = "Tell what the main job would take with the same options: nothing is run."
    options = parser.parse_args(argv)
    recipe = recipe_from(options)
    photo, paintings = read_inputs(options, recipe)
    from impasto.optimize.loop import Stylizer

    engine = Stylizer(
        recipe, device=options.device, weights=options.weights, max_memory=options.max_memory
    )
    plan = engine.plan(photo, paintings)
    print(json.dumps(asdict(plan)) if options.json else described(plan))
    return 0


def described(plan: Plan) -> str:
    """A few lines for people."""
    sizes = ", ".join(f"{s.width}x{s.height} ({s.iterations})" for s in plan.scales)
    free = "" if plan.bytes_free is None else f" of {plan.bytes_free / 2**30:.1f} that may be used"
    tiles = f"in tiles of {plan.tile} px" if plan.tile else "as a whole"
    return "\n".join(
        (
            f"result  {plan.width}x{plan.height} px",
            f"scales  {sizes}",
            f"memory  about {plan.bytes_needed / 2**30:.1f} GiB{free}, {tiles}",
            f"time    about {clock(plan.seconds)} on {plan.device}, {plan.precision}",
        )
    )
