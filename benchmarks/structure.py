"""Count what the source consists of, before and after a change of its shape.

    python benchmarks/structure.py COMMIT ... > benchmarks/history/structure.csv

One row for each figure, one column for each commit. A parameter *travels* in a function that only
hands it on, under its own name, to other calls.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import subprocess
import sys
import tarfile
from collections import Counter
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_PARAMETERS = 7
HARDWARE = {"device", "weights", "max_memory", "scratch"}
INPUTS = {"photo", "paintings", "masks", "style_masks", "strengths"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_sources(commit: str) -> dict[str, str]:
    """Read the modules of impasto at a commit, by path."""
    command = ["git", "-C", str(ROOT), "archive", commit, "src/impasto"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        modules = {each.name: files.extractfile(each) for each in files if each.isfile()}
        return {
            name: file.read().decode()
            for name, file in modules.items()
            if file is not None and name.endswith(".py")
        }


def count_structure(sources: dict[str, str]) -> dict[str, int]:
    """Count modules, lines, names and parameters."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    stems = Counter(Path(name).stem for name in sources)
    del stems["__init__"], stems["__main__"]
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    parameters = [list_parameters(each) for each in functions]
    long = [
        function
        for function, names in zip(functions, parameters, strict=True)
        if len(names) > MOST_PARAMETERS
    ]
    lines = sorted(text.count("\n") for text in sources.values())
    return {
        "modules": len(sources),
        "lines": sum(lines),
        "lines of code": sum(map(count_code, sources.values())),
        "lines of the median module": lines[len(lines) // 2],
        "names of the package": len(list_exports(trees["src/impasto/__init__.py"])),
        "public names of all modules": sum(map(count_public_names, trees.values())),
        "class names that are not unique": sum(number > 1 for number in classes.values()),
        "module names that are not unique": sum(number > 1 for number in stems.values()),
        "functions of more than 7 parameters": len(long),
        "of these without a reason": sum(
            "parameters" not in (ast.get_docstring(each) or "") for each in long
        ),
        "functions with three of the hardware's parameters": sum(
            len(HARDWARE & set(names)) > 2 for names in parameters
        ),
        "functions with three of the inputs' parameters": sum(
            len(INPUTS & set(names)) > 2 for names in parameters
        ),
        "travelling parameters of the hardware": count_travelling(functions, HARDWARE),
        "travelling parameters of the inputs": count_travelling(functions, INPUTS),
    }


def count_code(text: str) -> int:
    """Count the lines that are not blank, comments or docstrings."""
    texts: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in texts
        for number, line in enumerate(text.splitlines(), 1)
    )


def list_exports(tree: ast.Module) -> list[str]:
    """List the names in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def count_public_names(tree: ast.Module) -> int:
    """Count the classes, functions and values of a module that begin without an underscore."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names += [each.id for each in targets if isinstance(each, ast.Name)]
    return sum(not name.startswith("_") for name in names)


def list_parameters(function: Function) -> list[str]:
    """List the parameters of a function without ``self`` and ``cls``."""
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return [each.arg for each in every if each.arg not in ("self", "cls")]


def count_travelling(functions: list[Function], names: set[str]) -> int:
    """Count parameters of some names that a function only hands on."""
    count = 0
    for function in functions:
        inside = list(ast.walk(function))
        calls = [node for node in inside if isinstance(node, ast.Call)]
        for name in names.intersection(list_parameters(function)):
            uses = sum(isinstance(node, ast.Name) and node.id == name for node in inside)
            values = [value for call in calls for value in call.args]
            values += [each.value for call in calls for each in call.keywords if each.arg == name]
            handed = sum(isinstance(value, ast.Name) and value.id == name for value in values)
            count += 0 < uses == handed
    return count


def main() -> None:
    """Print the figures of some commits as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commits", metavar="COMMIT", nargs="+")
    commits = parser.parse_args().commits
    figures = [count_structure(read_sources(commit)) for commit in commits]
    command = f"python benchmarks/structure.py {' '.join(commits)}"
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["figure", *commits, "date", "command"])
    for name in figures[0]:
        row = [each[name] for each in figures]
        writer.writerow([name, *row, date.today().isoformat(), command])


if __name__ == "__main__":
    main()
