"""``impasto recipes [NAME]``: list the recipes or show one."""

from __future__ import annotations

import json
from pathlib import Path

from impasto.cli.options.arguments import Parser
from impasto.errors import InputError


def run(argv: list[str]) -> int:
    """Print one line for each recipe, or one recipe."""
    parser = Parser(
        prog="impasto recipes",
        description="List all recipes, or show one. Recipes that come with impasto are shown as "
        "TOML, files as JSON with every field.",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a recipe, or a .toml or .safetensors file"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    from impasto.recipe.engine_registry import list_engines
    from impasto.recipe.recipe import list_recipes, load_recipe, read_preset

    if options.name:
        suffixes = tuple(entry.network_suffix for entry in list_engines() if entry.network_suffix)
        if options.name.endswith(suffixes) and not Path(options.name).is_file():
            raise InputError("no such network file", where=options.name)
        text = (
            load_recipe(options.name).model_dump_json(indent=2)
            if options.json or options.name.endswith((".toml", *suffixes))
            else read_preset(options.name).rstrip()
        )
        print(text)
        return 0
    descriptions = {name: load_recipe(name).description for name in list_recipes()}
    if options.json:
        print(json.dumps(descriptions))
    else:
        for name, description in descriptions.items():
            print(f"{name:14} {description}")
    return 0
