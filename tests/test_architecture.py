"""The shape of the code: imports point down, nothing heavy is loaded early, nothing prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import impasto

SOURCE = Path(impasto.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    ("errors", "_version"),
    ("image",),
    ("encoders",),
    ("recipe",),
    ("engine",),
    ("objective",),
    ("canvas",),
    ("optimize",),
    ("evaluate", "record", "explain", "segment"),
    ("network",),
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


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
    return [name for name in found if name == "impasto" or name.startswith("impasto.")]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_point_down(path):
    height, package = place(dotted(path))
    for name in imports_of(path):
        other_height, other = place(name)
        assert other_height < height or (other_height == height and other == package), name


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_prints_outside_the_command_line_and_no_unsafe_loads(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called != "print" or place(dotted(path))[1] == "cli"
        if called == "torch.load":
            assert any(
                k.arg == "weights_only" and getattr(k.value, "value", None) is True
                for k in node.keywords
            )


FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
FLAGS_OF_PIP = {"--no-deps", "--only-binary", "--platform", "--python-version"}
"""In the commands that messages tell a user to run."""
BELOW_THE_COMMAND_LINE = [path for path in MODULES if place(dotted(path))[1] != "cli"]


@pytest.mark.parametrize("path", BELOW_THE_COMMAND_LINE, ids=dotted)
def test_flags_are_named_only_by_the_command_line(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert set(FLAG.findall(node.value)) <= FLAGS_OF_PIP, node.lineno
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            assert annotation is None or "Namespace" not in ast.unparse(annotation), node.lineno


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
