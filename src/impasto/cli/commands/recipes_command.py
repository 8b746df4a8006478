"""``impasto recipes [NAME]``: what there is to choose from."""

from __future__ import annotations

import json
from pathlib import Path

from impasto.cli.options.arguments import Parser
from impasto.errors import InputError


def run(argv: list[str]) -> int:
    """List the recipes with a line each, or print one."""
    parser = Parser(
        prog="impasto recipes",
        description="List the recipes, or show one: ours as TOML, a file with all it comes to, as "
        "JSON.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(argv)
    from impasto.recipe.recipe import NETWORK_SUFFIX, list_recipes, load_recipe, read_preset

    if options.name:
        if options.name.endswith(NETWORK_SUFFIX) and not Path(options.name).is_file():
            raise InputError(f"no network file {options.name}")
        shown = (
            load_recipe(options.name).model_dump_json(indent=2)
            if options.json or options.name.endswith((".toml", NETWORK_SUFFIX))
            else read_preset(options.name).rstrip()
        )
        print(shown)
        return 0
    listed = {name: load_recipe(name).description for name in list_recipes()}
    if options.json:
        print(json.dumps(listed))
    else:
        for name, description in listed.items():
            print(f"{name:14} {description}")
    return 0
