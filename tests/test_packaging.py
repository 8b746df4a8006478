"""What is shipped, and what the README promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from impasto.network.network_files import SHIPPED

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_recipes_the_page_and_types_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    # Hatchling asks git what is ignored; a tree without git must build as well.
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env={**os.environ})
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "impasto/py.typed" in names
    assert "impasto/recipe/presets/standard.toml" in names
    assert "impasto/studio/page/static/js/main.js" in names
    assert f"impasto/network/weights/{SHIPPED}" in names
    assert "impasto/studio/page/styles/pond.jpg" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert all(name.startswith(("impasto/", "impasto-")) for name in names)
    sizes = {info.filename: info.file_size for info in zipfile.ZipFile(wheel).infolist()}
    assert sizes.pop(f"impasto/network/weights/{SHIPPED}") <= 8_000_000
    assert sum(sizes.values()) < 2_000_000


def test_the_readme_has_two_set_up_commands():
    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^make (\w+)", text, re.MULTILINE)) == {"demo", "test"}


def test_ci_runs_make_test_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if "make" in line] == ["exec make test"]


def test_pictures_named_in_the_documents_are_there():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"!?\[[^\]]*\]\(([^)#]+)", page.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["photo.jpg", "painting.jpg", "cat.jpg"])
def test_every_example_picture_has_its_source(name):
    assert f"`{name}`" in (ROOT / "examples" / "SOURCES.md").read_text()
