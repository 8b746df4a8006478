"""What is shipped, and what the README promises."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from impasto.network.network_files import SHIPPED

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "browser").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("**/*.md")),
)


def load_script(path: str) -> ModuleType:
    """Import a script of the checkout by its path."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # which dataclasses look up
    spec.loader.exec_module(module)
    return module


def test_the_wheel_holds_recipes_the_page_and_types_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    # Hatchling asks git what is ignored; a tree without git must build as well.
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ})
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "impasto/py.typed" in names
    assert "impasto/recipe/presets/standard.toml" in names
    assert "impasto/words/vocabulary.toml" in names
    assert "impasto/studio/page/static/js/main.js" in names
    assert f"impasto/network/weights/{SHIPPED}" in names
    assert "impasto/studio/page/styles/pond.jpg" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert all(name.startswith(("impasto/", "impasto-")) for name in names)
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist()}
    assert sizes.pop(f"impasto/network/weights/{SHIPPED}") <= 8_000_000
    paintings = [name for name in sizes if name.startswith("impasto/library/paintings/")]
    assert len(paintings) >= 18
    assert sum(map(sizes.pop, paintings)) < 2_100_000
    assert sizes.pop("impasto/library/weights/style-code.safetensors") < 300_000
    assert sum(sizes.values()) < 3_000_000


def test_the_readme_has_two_set_up_commands():
    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^make (\w+)", text, re.MULTILINE)) == {"demo", "test"}


def test_ci_runs_make_test_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if "make" in line] == ["exec make test"]


def import_first(dotted: str) -> list[Any]:
    """The module that a dotted name begins with, and the names of what is inside it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            return [importlib.import_module(".".join(parts[:count])), *parts[count:]]
    raise AssertionError(dotted)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def list_anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get where it is shown as HTML."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_the_documents_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^) ]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in list_anchors(file), f"{page.name}: {target}"


def test_what_the_development_page_names_is_there():
    text = (ROOT / "docs" / "development.md").read_text()
    named = re.findall(r"`([\w./]+(?:\.py|/))(?::([\w.]+))?`", text)
    assert len(named) > 60
    for path, name in named:
        if "NAME" in path:
            continue
        file = next((f for f in (ROOT / path, ROOT / "src" / "impasto" / path) if f.exists()), None)
        inner = [f for f in (ROOT / "src" / "impasto").glob(f"*/{path}") if f.exists()]
        assert file or inner, path
        for part in name.split(".") if name else ():
            definition = rf"^\s*(?:def|class) {part}\b|^{part}(?::.*)? = "
            assert re.search(definition, file.read_text(), re.MULTILINE), f"{path}: {name}"


def test_modules_named_in_the_documents_are_there():
    for page in DOCUMENTS:
        for dotted in re.findall(r"`(impasto(?:\.\w+)+)", page.read_text()):
            module, *names = import_first(dotted)
            assert all(hasattr(module, name) for name in names[:1]), f"{page.name}: {dotted}"


def test_the_reference_is_that_of_the_code():
    script = load_script("docs/make_reference.py")
    assert script.REFERENCE.read_text() == script.render_reference(), "run `make reference`"


def test_the_tables_of_the_documents_are_those_of_their_figures():
    script = load_script("benchmarks/report.py")
    for page in script.list_documents():
        text = page.read_text()
        assert text == script.render_tables(text, page.parent), f"{page.name}: run `make report`"


def test_the_report_and_the_front_page_stay_short():
    for name, most in (("benchmarks/RESULTS.md", 150), ("README.md", 120)):
        assert len((ROOT / name).read_text().splitlines()) <= most, name


@pytest.mark.parametrize("name", ["photo.jpg", "painting.jpg", "cat.jpg"])
def test_every_example_picture_has_its_source(name):
    assert f"`{name}`" in (ROOT / "examples" / "SOURCES.md").read_text()


def test_locked_requirements_have_the_pinned_versions_and_hashes():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines)
    for name in ("run.txt", "test.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "://" not in text
        entries = re.split(r"\n(?=[a-zA-Z])", text)[1:]
        assert len(entries) > 30
        for entry in entries:
            package, version = re.match(r"([\w.-]+)==([\w.]+)", entry).groups()
            assert pins.get(package.lower(), version) == version, package
            assert "--hash=sha256:" in entry
            assert not package.startswith(("nvidia", "torch"))
    assert 'requires = ["hatchling==' in (ROOT / "pyproject.toml").read_text()


def test_what_make_demo_installs_is_in_the_bill_of_materials():
    makefile = (ROOT / "Makefile").read_text()
    demo = re.search(r"^\.venv/installed:.*?\n\n", makefile, re.MULTILINE | re.DOTALL)[0]
    files = {f"{name}.txt" for name in re.findall(r"requirements/([\w-]+)\.txt", demo)}
    assert files == {"run.txt", "torch.txt", "torch-cpu.txt"}
    sbom = re.search(r"^sbom: (.*)", makefile, re.MULTILINE)[1]
    assert "requirements/run.txt requirements/$(TORCH).txt" in sbom
    assert {"test.txt", "torch.txt"} <= set(load_script("requirements/audit.py").FILES)


def test_an_audit_that_looked_nothing_up_does_not_pass():
    audit = load_script("requirements/audit.py")
    sound = {"name": "a", "version": "1", "vulns": []}
    skipped = {"name": "b", "version": "2", "skip_reason": "not found"}
    vulnerable = {"name": "c", "version": "3", "vulns": [{"id": "X-1"}]}
    for packages, code, says in (
        ([sound], 0, "no known vulnerability"),
        ([sound, vulnerable, skipped], 1, "c 3: X-1"),
        ([sound, skipped], 3, "not looked up: b"),
        ([skipped], 3, "nothing was looked up"),
        ([], 3, "nothing was looked up"),
    ):
        status, lines = audit.judge_report({"dependencies": packages})
        assert (status, says in "\n".join(lines)) == (code, True)
