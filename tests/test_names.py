"""Names: one name means one thing, functions are verbs, and tests stand on their own."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from conftest import TESTS
from sources import (
    MODULES,
    SOURCE,
    list_nodes,
    name_module,
    name_place,
    parse,
    walk_everything,
    walk_modules,
)

FORBIDDEN = frozenset(
    [
        "told",
        "seen",
        "begun",
        "worked",
        "kept",
        "found",
        "known",
        "made",
        "shown",
        "asked",
        "given",
        "done",
        "taken",
        "measured",
        "painted",
        "wanted",
        "stepped",
        "chosen",
        "drawn",
        "held",
        "sought",
        "judged",
        "spelled",
        "stamped",
        "noted",
        "said",
    ]
)
"""Participles that say nothing, as names of values or as the first word of a function's name: in
impasto, its tests and its benchmarks."""
ALLOWED = frozenset({"dropped_frames"})
COLUMNS = frozenset({"asked"})
"""Columns of the studio's table, which files of version 0.1 have too; names in impasto alone."""
RIDDLES = frozenset({"bury", "expedite", "make_way", "should_make_way", "sort_out", "stand_in"})
OF_EVERY_PROGRAM = frozenset({"main", "build_parser", "run"})
"""Functions that each command or process has."""
OUTSIDE_THE_SOURCE = frozenset({"faults", "fuzz", "golden"})
"""Folders of tests that no folder of the source corresponds to."""


def list_functions(nodes: list[ast.AST]) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = {ast.unparse(each).split("(")[0] for each in function.decorator_list}
    return bool(names & {"property", "cached_property", "functools.cached_property"})


def test_every_class_has_a_name_of_its_own():
    places = defaultdict(list)
    for path, nodes in walk_modules():
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_place(path, node.lineno))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_every_module_and_package_has_a_name_of_its_own():
    """A package's main module may have its name, and a plugin has that of its engine."""
    places = defaultdict(list)
    for path in MODULES:
        named = path.parent if path.stem == "__init__" else path
        is_main = path.stem == path.parent.name
        if path.stem != "__main__" and not is_main and path.parent.name != "plugins":
            places[named.stem].append(str(path.relative_to(SOURCE)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_every_public_function_has_a_name_of_its_own():
    places = defaultdict(list)
    for path in MODULES:
        for function in list_functions(parse(path).body):
            if not function.name.startswith("_") and function.name not in OF_EVERY_PROGRAM:
                places[function.name].append(name_place(path, function.lineno))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_functions_and_methods_are_not_named_by_participles():
    bad = [
        f"{name_place(path, function.lineno)} {function.name}"
        for path, nodes in walk_everything()
        for function in list_functions(nodes)
        if not is_property(function)
        and function.name not in ALLOWED
        and function.name.strip("_").split("_")[0] in FORBIDDEN
    ]
    assert bad == []


def list_values(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the names of arguments, variables and attributes where they are made."""
    for node in nodes:
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name


def test_values_are_not_named_by_participles():
    bad = []
    for path, nodes in walk_everything():
        forbidden = FORBIDDEN - COLUMNS if path.is_relative_to(SOURCE) else FORBIDDEN
        bad += [
            f"{name_place(path, line)} {name}"
            for line, name in list_values(nodes)
            if name.strip("_") in forbidden
        ]
    assert bad == []


def test_functions_are_not_named_by_riddles():
    bad = [
        f"{name_place(path, function.lineno)} {function.name}"
        for path, nodes in walk_everything()
        for function in list_functions(nodes)
        if function.name.strip("_") in RIDDLES
    ]
    assert bad == []


def is_imperative(docstring: str) -> bool:
    """Tell whether a docstring may start with a verb in the imperative."""
    text = re.sub(r"^``impasto[^`]*``: ", "", docstring)
    word = re.split(r"[\s:,.]", text)[0]
    return word not in ("A", "An", "The", "What") and not re.search(r"[^s]s$", word)


def test_docstrings_of_modules_and_functions_are_imperative():
    bad = []
    for path, nodes in walk_modules():
        documented = [nodes[0], *(f for f in list_functions(nodes) if not is_property(f))]
        for node in documented:
            docstring = ast.get_docstring(node)
            if docstring and not is_imperative(docstring) and path.stem != "__main__":
                bad.append(f"{name_place(path, getattr(node, 'lineno', 1))} {docstring[:40]}")
    assert bad == []


def test_arguments_are_not_packed_into_starred_tuples():
    bad = [
        name_place(path, node.lineno)
        for path, nodes in walk_modules()
        for node in nodes
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple)
    ]
    assert bad == []


REASON = re.compile(r"\bhas many parameters because \w+ \w+")


def test_functions_take_more_than_seven_parameters_only_for_a_reason():
    """The reason is a sentence of the docstring: "It has many parameters because ..."."""
    bad = []
    for path, nodes in walk_modules():
        for function in list_functions(nodes):
            arguments = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
            count = len([a for a in arguments if a not in ("self", "cls")])
            reason = REASON.search(" ".join((ast.get_docstring(function) or "").split()))
            if count > 7 and reason is None:
                bad.append(f"{name_place(path, function.lineno)} {function.name}: {count}")
    assert bad == []


HARDWARE = {"device", "weights", "max_memory", "scratch"}
PUBLIC_CALLS = {"stylize", "stylize_scene", "refine", "Stylizer"}
"""Users give the hardware to these by name; they build a ``HardwareChoice`` at once."""


def test_hardware_travels_as_one_object():
    bad = []
    for path, nodes in walk_modules():
        owners = {
            part: node.name
            for node in nodes
            if isinstance(node, ast.ClassDef)
            for part in node.body
        }
        for function in list_functions(nodes):
            arguments = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
            name = owners.get(function, function.name)
            if len(arguments & HARDWARE) > 2 and name not in PUBLIC_CALLS:
                bad.append(f"{name_place(path, function.lineno)} {name}")
        for node in (each for each in nodes if isinstance(each, ast.ClassDef)):
            fields = {ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)}
            if len(fields & HARDWARE) > 2 and node.name not in ("Hardware", "HardwareChoice"):
                bad.append(f"{name_place(path, node.lineno)} {node.name}")
    assert bad == []


def test_no_modules_import_each_other_in_a_circle():
    names = {}
    for path in MODULES:
        names[name_module(path)] = path
    imports: dict[str, set[str]] = {}
    for name, path in names.items():
        imports[name] = set()
        for node in list_nodes(path):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    imports[name].add(full if full in names else node.module)
            elif isinstance(node, ast.Import):
                imports[name] |= {alias.name for alias in node.names}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in finished:
            return
        for other in sorted(imports[name] & names.keys() - {name}):
            visit(other, (*trail, name))
        finished.add(name)

    for name in sorted(names):
        visit(name, ())


def test_no_test_imports_another_test():
    wrong = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in list_nodes(path):
            modules = []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            wrong += [
                f"{path.name} imports {name}"
                for name in modules
                if name.split(".")[0].startswith("test_")
            ]
    assert wrong == []


def test_every_test_module_has_a_name_of_its_own_and_lies_in_a_folder_of_the_source():
    places = defaultdict(list)
    for path in TESTS.rglob("test_*.py"):
        folder = path.relative_to(TESTS).parent
        places[path.stem].append(str(folder))
        assert (SOURCE / folder).is_dir() or folder.parts[0] in OUTSIDE_THE_SOURCE, folder
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
