"""A new engine is one file: every face paints with it once it is registered or installed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import impasto
from conftest import complaint
from impasto.cli import main
from impasto.engine.machine.hardware import Hardware
from impasto.errors import InputError, RecipeError
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe import engine_registry
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.engine_registry import find_engine, list_engines, register_engine
from impasto.recipe.recipe import Recipe, list_recipes
from impasto.video.engines.frame_context import FrameContext, FrameSettings
from impasto.video.engines.frame_engines import make_frame_engine
from toy_engine import ENTRY

OWN = ("optimizer", "network", "magenta")
SOURCE = Path(impasto.__file__).parent


@pytest.fixture
def empty_registry(monkeypatch):
    """A registry of impasto's own engines, which forgets others afterwards."""
    monkeypatch.setattr(engine_registry, "_REGISTERED", {})
    engine_registry._load_installed.cache_clear()
    yield
    engine_registry._load_installed.cache_clear()


@pytest.fixture
def toy(empty_registry):
    register_engine(ENTRY)


def install(folder, monkeypatch, target):
    """Install a distribution whose only content is an entry point."""
    place = folder / "toy-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(f"[impasto.engines]\ntoy = {target}\n")
    monkeypatch.syspath_prepend(folder)


def read_levels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def assert_negative(picture, photo):
    assert np.abs(255 - read_levels(photo) - read_levels(picture)).max() <= 1


@pytest.mark.usefixtures("toy", "in_work")
def test_python_and_the_command_line_paint_with_it():
    impasto.stylize("photo.png", "painting.png", recipe="toy-negative", device="cpu").save("a.png")
    assert_negative("a.png", "photo.png")
    flags = ["--style", "painting.png", "--recipe", "toy-negative", "--quiet", "-o", "b.png"]
    assert main(["photo.png", *flags]) == 0
    assert_negative("b.png", "photo.png")
    assert main(["replay", "b.png", "-o", "c.png", "--quiet"]) == 0
    assert_negative("c.png", "photo.png")


@pytest.mark.usefixtures("toy", "in_work")
def test_a_batch_of_one_is_painted_with_it():
    flags = ["--style", "painting.png", "--recipe", "toy-negative", "--executor", "serial"]
    assert main(["batch", "photo.png", *flags, "-o", "out", "--quiet"]) == 0
    assert_negative("out/photo.png", "photo.png")


@pytest.mark.usefixtures("toy", "in_work")
def test_a_film_is_painted_with_it():
    pytest.importorskip("cv2")
    photo = read_levels("photo.png").astype(np.uint8)
    for number in range(3):
        Image.fromarray(np.roll(photo, number, 1)).save(f"in-{number}.png")
    flags = ["--style", "painting.png", "--recipe", "toy-negative", "--stability", "0", "--quiet"]
    assert main(["video", "in-%d.png", *flags, "-o", "out-%d.png"]) == 0
    pairs = list(
        zip(sorted(Path().glob("out-*.png")), sorted(Path().glob("in-*.png")), strict=True)
    )
    assert len(pairs) == 3
    for result, frame in pairs:
        assert_negative(result, frame)


@pytest.mark.usefixtures("empty_registry")
def test_films_of_a_temporal_engine_are_its_own():
    capabilities = Capabilities(temporal=True, iterates=True)
    frames = object()
    contexts = []
    make = lambda context: contexts.append(context) or frames  # noqa: E731
    register_engine(replace(ENTRY, capabilities=capabilities, make_frames=make))
    recipe, settings = impasto.load_recipe("toy-negative"), FrameSettings(0.8)
    context = FrameContext(recipe, [], (48, 36), settings, Hardware.resolve("cpu"))
    assert make_frame_engine(context) is frames
    assert contexts == [context]


@pytest.mark.usefixtures("toy")
def test_recipes_are_checked_as_its_entry_says():
    recipe = impasto.load_recipe("toy-negative")
    assert recipe.with_changes({"style.scale": 2, "strength": 0.5}).style.scale == 2
    with pytest.raises(
        RecipeError, match=r"engine \"toy\", which .* does not use `schedule\.total`"
    ):
        recipe.with_changes({"schedule.total": 3})
    with pytest.raises(RecipeError, match="the toy has no luminance"):
        recipe.with_changes({"colors": "luminance"})
    with pytest.raises(RecipeError, match='"toy" does not support tiles'):
        recipe.with_changes({"tile": 64})
    with pytest.raises(RecipeError, match=r'engine\.file requires engine\.kind "network"'):
        recipe.with_changes({"engine.file": "toy.bin"})


@pytest.mark.usefixtures("toy")
def test_it_is_listed_with_the_others(capsys):
    kind = Recipe.model_json_schema()["$defs"]["EngineChoice"]["properties"]["kind"]
    assert kind["enum"] == [*OWN, "toy"]
    assert "toy-negative" in list_recipes()
    assert main(["recipes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["toy-negative"] == "Negatives."
    assert main(["doctor", "--json"]) in (0, 4)
    assert json.loads(capsys.readouterr().out)["extras"]["toy"] is False


@pytest.mark.usefixtures("empty_registry", "in_work")
def test_an_installed_package_brings_its_engine(tmp_path, monkeypatch):
    with pytest.raises(RecipeError, match="'optimizer', 'network' or 'magenta'"):
        impasto.load_recipe("draft").with_changes({"engine.kind": "toy"})
    install(tmp_path, monkeypatch, "toy_engine:ENTRY")
    engine_registry._load_installed.cache_clear()
    assert find_engine("toy") is ENTRY
    result = impasto.stylize("photo.png", "painting.png", recipe="toy-negative", device="cpu")
    assert result.recipe.engine.kind == "toy"


@pytest.mark.usefixtures("empty_registry", "in_work")
def test_a_broken_package_is_reported_only_to_those_who_ask_for_its_engine(
    tmp_path, monkeypatch, capsys
):
    install(tmp_path, monkeypatch, "no_such_module:ENTRY")
    assert [entry.name for entry in list_engines()] == [*OWN]
    flags = ["--style", "painting.png", "--recipe", "draft", "-o", "out.png", "--quiet"]
    assert main(["photo.png", *flags, "--set", "engine.kind=toy"]) == 2
    assert "engine 'toy' cannot be loaded: No module named 'no_such_module'" in complaint(capsys)


def test_an_entry_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="temporal requires make_frames"):
        replace(ENTRY, capabilities=Capabilities(temporal=True))
    with pytest.raises(ValueError, match="engine 'toy': shots requires a method begin_shot"):
        replace(ENTRY, make=object)


@pytest.mark.usefixtures("empty_registry")
def test_an_engine_that_turns_out_to_have_no_shots_paints_no_films():
    register_engine(replace(ENTRY, make=lambda *_: object()))
    recipe = impasto.load_recipe("toy-negative")
    context = FrameContext(recipe, [], (48, 36), FrameSettings(0.8), Hardware.resolve("cpu"))
    with pytest.raises(InputError, match="the engine toy cannot paint films: it has no begin_shot"):
        make_frame_engine(context)


@pytest.mark.usefixtures("empty_registry")
def test_the_optimizer_refuses_recipes_of_other_engines_that_iterate():
    register_engine(replace(ENTRY, capabilities=Capabilities(iterates=True)))
    with pytest.raises(RecipeError, match='is for the engine "toy", not for the optimizer'):
        OptimizerEngine(impasto.load_recipe("toy-negative"))


def test_the_schema_is_that_of_a_literal():
    kind = Recipe.model_json_schema()["$defs"]["EngineChoice"]["properties"]["kind"]
    assert kind == {
        "default": "optimizer",
        "enum": ["optimizer", "network", "magenta"],
        "title": "Kind",
        "type": "string",
    }


def test_entries_are_read_without_torch_numpy_and_pydantic():
    check = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); import toy_engine\n"
        "from impasto.recipe.engine_registry import list_engines\n"
        "assert len(list_engines()) >= 3\n"
        "heavy = {'torch', 'numpy', 'PIL', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def list_tests_of_engines(path):
    """The lines of a module that ask which engine there is."""
    text = path.read_text()
    if not re.search(r"engine\.kind|isinstance\(.*Engine\)|magenta", text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare | ast.Match):
            tested = ast.unparse(node.subject if isinstance(node, ast.Match) else node)
            if "engine.kind" in tested:
                yield node.lineno
        is_call = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        if is_call and ast.unparse(node.args[1]).endswith("Engine"):
            yield node.lineno
        if isinstance(node, ast.Constant) and node.value in ("magenta", "magenta-fast"):
            yield node.lineno


def test_nothing_outside_the_plugins_asks_which_engine_it_has():
    modules = [path for path in SOURCE.rglob("*.py") if path.parent.name != "plugins"]
    assert len(modules) > 200
    lines = {str(path.relative_to(SOURCE)): [*list_tests_of_engines(path)] for path in modules}
    assert {name: numbers for name, numbers in lines.items() if numbers} == {}
