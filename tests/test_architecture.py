"""The shape of the code: imports point down, nothing heavy is loaded early, nothing prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import impasto
from sources import MODULES, SOURCE, list_nodes, name_module, name_place, walk_modules

LAYERS = (
    ("errors", "_version"),
    ("image",),
    ("encoders",),
    ("recipe",),
    ("engine",),
    ("objective",),
    ("canvas",),
    ("optimize",),
    ("evaluate", "record", "explain", "segment", "words"),
    ("library",),
    ("network",),
    ("scene",),
    ("api",),
    ("video",),
    ("plugins",),
    ("batch",),
    ("studio",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
"""From the ground up; within a layer only a package's own modules may import each other."""


def place(module: str) -> tuple[int, str]:
    part = module.split(".")[1] if "." in module else "__init__"
    for height, names in enumerate(LAYERS):
        if part in names:
            return height, part
    raise AssertionError(f"{module} has no place in the layers")


def imports_of(path: Path) -> list[str]:
    names = []
    for node in list_nodes(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module or "")
    return [name for name in names if name == "impasto" or name.startswith("impasto.")]


def test_imports_point_down():
    wrong = []
    for path in MODULES:
        height, package = place(name_module(path))
        for name in imports_of(path):
            other_height, other = place(name)
            if not (other_height < height or (other_height == height and other == package)):
                wrong.append(f"{name_module(path)} imports {name}")
    assert wrong == []


UPWARD = {"recipe/engine_registry.py": {"impasto.plugins"}}
"""What is looked up by name in a higher layer; the module says why. Everything else is imported."""
OTHER_NAMES = {"impasto.engines", "impasto.studio"}
"""A group of entry points, and a logger."""


def test_names_of_modules_in_strings_point_down_too():
    modules = {name_module(path) for path in MODULES}
    wrong = []
    for path, nodes in walk_modules():
        height, package = place(name_module(path))
        allowed = UPWARD.get(str(path.relative_to(SOURCE)), set()) | OTHER_NAMES
        for node in nodes:
            text = node.value if isinstance(node, ast.Constant) else None
            if not isinstance(text, str) or text.partition(":")[0].rstrip(".") not in modules:
                continue
            name = text.partition(":")[0].rstrip(".")
            other_height, other = place(name)
            down = other_height < height or (other_height == height and other == package)
            if not down and name not in allowed and name != "impasto":
                wrong.append(f"{name_place(path, node.lineno)} {name}")
    assert wrong == []


def test_engines_of_impasto_are_entries_like_those_of_other_packages():
    """Each module of ``plugins`` is an entry point's target, under the name of its engine."""
    from impasto.recipe import engine_registry

    modules = {path.stem for path in (SOURCE / "plugins").glob("*.py")} - {"__init__"}
    entries = engine_registry._load_own()
    assert entries.keys() == modules
    assert all(getattr(entry, "name", None) == name for name, entry in entries.items())


def list_calls() -> Iterator[tuple[Path, ast.Call, str]]:
    """Give every call in impasto, and the name that is called."""
    for path, nodes in walk_modules():
        for node in nodes:
            if isinstance(node, ast.Call):
                yield path, node, ast.unparse(node.func)


def test_nothing_prints_outside_the_command_line():
    assert [
        name_place(path, node.lineno)
        for path, node, called in list_calls()
        if called == "print" and place(name_module(path))[1] != "cli"
    ] == []


def test_torch_loads_weights_only():
    unsafe = []
    for path, node, called in list_calls():
        safe = any(
            k.arg == "weights_only" and getattr(k.value, "value", None) is True
            for k in node.keywords
        )
        if called == "torch.load" and not safe:
            unsafe.append(name_place(path, node.lineno))
    assert unsafe == []


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SHORT_FLAG = re.compile(r"(?<= )-[a-zA-Z](?=[ `]|$)")
"""In a sentence or a command: an argument of a process by itself stands at a string's beginning."""
OTHER_FLAGS = {"--no-deps", "--only-binary", "--platform", "--python-version", "-m", "-v"}
"""Of pip, Python and the shell, in the commands that messages tell a user to run."""
CODE_OF_STYLES = re.compile(r"setProperty\([^,]*|--\w+ <=? ")
"""Custom properties of CSS and the decrement, in the page's scripts."""


def test_flags_are_named_only_by_the_command_line():
    wrong = []
    for path, nodes in walk_modules():
        if place(name_module(path))[1] == "cli":
            continue
        for node in nodes:
            named: set[str] = set()
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                flags = FLAG.findall(node.value) + SHORT_FLAG.findall(node.value)
                named = set(flags) - OTHER_FLAGS
            notes = (getattr(node, "annotation", None), getattr(node, "returns", None))
            named |= {"Namespace" for note in notes if note and "Namespace" in ast.unparse(note)}
            wrong += [f"{name_place(path, node.lineno)} {each}" for each in sorted(named)]
    assert wrong == []


def test_the_page_names_no_flags():
    pages = [path for kind in ("html", "js") for path in SOURCE.rglob(f"*.{kind}")]
    assert len(pages) > 10
    wrong = {}
    for path in pages:
        text = CODE_OF_STYLES.sub("", path.read_text())
        flags = set(FLAG.findall(text))
        if path.suffix == ".html":
            flags |= set(SHORT_FLAG.findall(text))
        wrong[path.name] = flags
    assert {name: flags for name, flags in wrong.items() if flags} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import impasto",
        "import impasto.cli",
        "import impasto.image.files.decode, impasto.image.files.encode",
        "from impasto.recipe.recipe import load_recipe; load_recipe('standard')",
    ],
)
def test_torch_is_not_imported_early(code):
    check = f"import sys; {code}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_help_imports_nothing_heavy():
    check = (
        "import sys\nfrom impasto.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'pydantic', 'scipy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_public_names_are_sorted_and_there():
    names = [name for name in impasto.__all__ if not name.startswith("__")]
    assert names == sorted(names)
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    assert dir(impasto) == impasto.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = impasto.nothing
