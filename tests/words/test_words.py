"""Words become the technique and the colors that they name, and the same picture every time."""

from __future__ import annotations

import argparse
import functools
import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import impasto
from impasto.cli import main
from impasto.cli.options.style_words import draw_word_styles
from impasto.errors import InputError
from impasto.image.color.spaces import srgb_to_oklab
from impasto.image.files.encode import write_picture
from impasto.words.description import DEFAULT_TECHNIQUE, StyleDescription, parse_description
from impasto.words.drawing.draw import TECHNIQUES, draw_painting
from impasto.words.drawing.inks import read_color
from impasto.words.vocabulary import is_chinese, load_vocabulary

EVERYDAY = tomllib.loads((Path(__file__).parent / "everyday.toml").read_text("utf-8"))
PROMPTS = tomllib.loads((Path(__file__).parent / "prompts.toml").read_text("utf-8"))
SIDE = 64
GRAY = 0.03
"""Chroma in OKLab below which a color has no hue."""


@functools.cache
def draw(description: StyleDescription):
    return draw_painting(description, SIDE)


def measure_hues(description: StyleDescription, colors: list[str]) -> tuple[float, float]:
    """Return the largest difference in degrees from a named hue, and the smallest share of one.

    With several colors, every pixel belongs to the one whose hue is nearest.
    """
    chroma = srgb_to_oklab(draw(description).pixels)[..., 1:].reshape(-1, 2)
    targets = np.stack([read_color(name)[1:] for name in colors])
    if np.hypot(*targets[0]) < GRAY:
        return (0.0 if np.hypot(*chroma.mean(0)) < GRAY else 180.0), 1.0
    apart = [measure_angle(chroma, each) for each in targets]
    owner = np.argmin(apart, 0)
    amount = np.hypot(*chroma.T)
    away = [measure_angle(chroma[owner == k].mean(0), each) for k, each in enumerate(targets)]
    shares = [amount[owner == k].sum() / amount.sum() for k in range(len(targets))]
    return float(max(away)), float(min(shares))


def measure_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    turn = np.degrees(np.arctan2(a[..., 1], a[..., 0]) - np.arctan2(b[1], b[0]))
    return np.abs((turn + 180) % 360 - 180)


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_technique_is_right_for_nine_of_ten_prompts(language):
    prompts = PROMPTS[language]
    assert len({each["text"] for each in prompts}) == 60
    right = [parse_description(each["text"]).technique == each["technique"] for each in prompts]
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_technique_is_right_for_nine_of_ten_everyday_prompts(language):
    prompts = EVERYDAY[language]
    assert len({each["text"] for each in prompts}) == 60
    right = [parse_description(each["text"]).technique == each["technique"] for each in prompts]
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_drawn_hue_is_within_20_degrees_of_the_named_color_for_19_of_20(language):
    right = []
    for prompt in PROMPTS[language]:
        if prompt["colors"]:
            away, share = measure_hues(parse_description(prompt["text"]), prompt["colors"])
            right.append(away <= 20 and share > 0.1)
    assert len(right) > 50
    assert np.mean(right) >= 0.95


def test_another_color_would_fail():
    away, _ = measure_hues(parse_description("blue woodcut"), ["red"])
    assert away > 20


def test_every_technique_of_the_table_is_drawn_and_named():
    assert set(TECHNIQUES) == set(load_vocabulary().techniques)
    assert {each["technique"] for each in PROMPTS["english"]} == set(TECHNIQUES)


def test_the_same_words_and_seed_give_the_same_bytes_and_another_seed_another_picture():
    def encode(text: str, seed: int) -> bytes:
        stream = io.BytesIO()
        write_picture(draw_painting(parse_description(text, seed), 64), stream)
        return stream.getvalue()

    assert encode("blue pixel art", 4) == encode("蓝色像素画", 4)
    assert encode("blue pixel art", 4) != encode("blue pixel art", 5)


def test_a_size_changes_the_resolution_and_not_the_view():
    small, large = (
        draw_painting(parse_description("red and blue pixel art"), size) for size in (64, 128)
    )
    shrunk = large.resize(16, 16).pixels
    assert np.corrcoef(small.resize(16, 16).pixels.ravel(), shrunk.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("text", "word", "near"),
    [
        ("bleu woodcut", "bleu", "blue"),
        ("blue wodcut", "wodcut", "woodcut"),
        ("green 水彩 on vilvet", "vilvet", "violet"),
        ("蓝色木科", "木科", "木刻"),
    ],
)
def test_an_unknown_word_is_an_error_that_names_the_three_nearest(text, word, near):
    with pytest.raises(InputError, match="unknown word") as caught:
        parse_description(text)
    assert caught.value.where == word
    names = caught.value.problem.partition("nearest are ")[2].split(", ")
    assert len(names) == 3
    assert near in names
    assert all(is_chinese(name[0]) == is_chinese(word[0]) for name in names)


@pytest.mark.parametrize("text", ["", "  ", "a painting of the", "的画"])
def test_words_that_choose_nothing_are_an_error(text):
    with pytest.raises(InputError, match=r"no words that describe|description is empty"):
        parse_description(text)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("red linocut on cream paper", {"colors": ("red",), "ground": "cream"}),
        ("charcoal on black", {"ground": "black", "colors": ("black",)}),
        ("pastel on dark paper", {"ground": "dark", "tone": "plain"}),
        ("dark blue pastel", {"colors": ("dark blue",), "tone": "plain"}),
        ("muted oil, fine vertical strokes", {"tone": "muted", "scale": "fine"}),
        ("swirling oil, high contrast", {"direction": "swirling", "contrast": "high"}),
        ("sunset mosaic", {"colors": ("orange", "rose", "plum")}),
        ("ink-wash, seed 7", {"technique": "ink-wash", "seed": 7}),
        ("水墨 #7", {"technique": "ink-wash", "seed": 7}),
        ("黑底白色剪纸", {"ground": "black", "colors": ("white",)}),
        ("WOODCUT With Fine Hatching", {"technique": "woodcut", "unused": ("hatching",)}),
        (
            "lots of tiny dots, blue",
            {"technique": "stipple", "scale": "fine", "defaults": ("ground",)},
        ),
        ("pencil dots", {"technique": "charcoal"}),
        ("Dürer", {"technique": "engraving"}),
        ("a blue landscape, woodcut", {"technique": "woodcut", "unused": ("landscape",)}),
        ("蓝色山水, 木刻", {"technique": "woodcut", "unused": ("山水",)}),
        ("white lines on a blue blueprint", {"colors": ("blue", "white"), "ground": "blue"}),
        ("red and gold", {"technique": DEFAULT_TECHNIQUE, "colors": ("red", "gold")}),
    ],
)
def test_the_grammar_reads_every_field(text, fields):
    description = parse_description(text)
    assert {name: getattr(description, name) for name in fields} == fields


def test_chinese_words_that_share_no_character_get_techniques_as_suggestions():
    with pytest.raises(InputError, match="水彩, 木刻, 油画"):
        parse_description("蓝色鼎")


def test_two_seeds_contradict_each_other():
    with pytest.raises(InputError, match="two different seeds"):
        parse_description("woodcut, seed 3", seed=4)


def test_what_was_not_said_is_shown_as_chosen():
    line = parse_description("woodcut with hatching").describe()
    assert "its own colors" in line
    assert "not used: hatching" in line
    assert "no technique named" in parse_description("blue").describe()


# --- the command line --------------------------------------------------------------------------

QUICK = ["--recipe", "sketch", "--iterations", "1", "--size", "32"]


@pytest.fixture
def _fast_drawing(monkeypatch):
    monkeypatch.setattr("impasto.words.word_styles.SIZE", 64)


@pytest.mark.usefixtures("in_work")
def test_the_command_draws_a_picture_and_shows_what_it_chose(work, capsys):
    job = ["words", "blue pixel art", "-o", "style.png", "--size", "64", "--seed", "3", "--json"]
    assert main(job) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert (report["output"], report["width"]) == ("style.png", 64)
    assert report["style"]["technique"] == "pixel"
    assert report["style"]["colors"] == ["blue"]
    assert "pixel in blue" in captured.err
    assert main(job) == 2
    assert main([*job, "--force"]) == 0
    assert main(["words", "blue pikselart"]) == 2
    assert "pikselart: unknown word; the nearest are" in capsys.readouterr().err


@pytest.mark.usefixtures("in_work", "_fast_drawing")
def test_a_style_of_words_is_saved_beside_the_result_and_replay_and_refine_find_it(work, capsys):
    (work / "out").mkdir()
    job = ["photo.png", "--style", "words: blue pixel art", "-o", "out/a.png", *QUICK, "--force"]
    assert main([*job, "--quiet"]) == 0
    assert "pixel in blue" in capsys.readouterr().err
    assert len(list((work / "out").glob("pixel-blue-*.png"))) == 1
    assert main(["replay", "out/a.png", "-o", "out/b.png", "--quiet"]) == 0
    assert (work / "out" / "a.png").read_bytes() == (work / "out" / "b.png").read_bytes()
    region = ["--region", "0,0,16,16", "--iterations", "1", "--quiet"]
    assert main(["refine", "out/a.png", *region]) == 0


@pytest.mark.usefixtures("_fast_drawing")
def test_a_painting_that_is_there_is_used_again_and_another_picture_is_an_error(work):
    def draw_again() -> Path:
        options = argparse.Namespace(style=["words: blue pixel art"], output=str(work / "a.png"))
        draw_word_styles(options)
        return Path(options.style[0])

    painting = draw_again()
    before = painting.stat().st_mtime_ns
    assert draw_again() == painting
    assert painting.stat().st_mtime_ns == before
    painting.write_bytes((work / "photo.png").read_bytes())
    with pytest.raises(InputError, match="is another picture"):
        draw_again()


@pytest.mark.usefixtures("in_work", "_fast_drawing")
def test_a_file_named_like_words_wins(work):
    (work / "words: blue woodcut").write_bytes((work / "painting.png").read_bytes())
    options = argparse.Namespace(style=["words: blue woodcut", "words: 蓝色像素画"], output="a.png")
    draw_word_styles(options)
    assert options.style[0] == "words: blue woodcut"
    assert options.style[1].startswith("pixel-blue-")


@pytest.mark.usefixtures("in_work", "_fast_drawing")
def test_an_unknown_word_in_a_style_writes_nothing(work, capsys):
    before = sorted(work.iterdir())
    assert main(["photo.png", "--style", "words: bleu woodcut", *QUICK]) == 2
    assert "bleu: unknown word" in capsys.readouterr().err
    assert sorted(work.iterdir()) == before


@pytest.mark.usefixtures("in_work", "_fast_drawing")
def test_batch_and_sheet_take_words(work):
    style = ["--style", "words: 蓝色像素画", *QUICK, "--quiet"]
    assert main(["sheet", "photo.png", *style, "--strengths", "0.5", "-o", "sheet.png"]) == 0
    assert main(["batch", "photo.png", *style, "-o", "folder", "--executor", "serial"]) == 0
    for folder in (work, work / "folder"):
        assert len(list(folder.glob("pixel-blue-*.png"))) == 1


@pytest.mark.usefixtures("in_work", "_fast_drawing")
def test_rows_of_a_table_take_words_and_a_bad_word_is_told_with_its_line(work, capsys):
    rows = ["photo,style,output", "photo.png,words: blue pixel art,a", "photo.png,painting.png,b"]
    (work / "table.csv").write_text("\n".join([*rows, 'photo.png,"words: 蓝色像素画",c']), "utf-8")
    job = ["batch", "table.csv", "-o", "out", *QUICK, "--quiet", "--executor", "serial"]
    assert main(job) == 0
    (drawing,) = (work / "out").glob("pixel-blue-*.png")
    assert main(["replay", "out/a.png", "-o", "out/again.png", "--photo", "photo.png"]) == 0
    assert (work / "out" / "again.png").read_bytes() == (work / "out" / "a.png").read_bytes()
    assert (work / "out" / "c.png").is_file()
    before = drawing.stat().st_mtime_ns
    assert main(job) == 0
    assert drawing.stat().st_mtime_ns == before
    (work / "bad.csv").write_text("\n".join([*rows, "photo.png,words: bleu woodcut,c"]), "utf-8")
    capsys.readouterr()
    assert main(["batch", "bad.csv", "-o", "bad", *QUICK, "--executor", "serial"]) == 2
    assert "bad.csv line 4: bleu: unknown word; the nearest are" in capsys.readouterr().err
    assert not list((work / "bad").glob("*.png"))


@pytest.mark.usefixtures("in_work", "_fast_drawing", "narrow_encoder")
def test_python_takes_words_and_saving_writes_the_drawing_beside_the_picture(work):
    recipe = impasto.load_recipe("sketch").with_changes({"schedule.total": 1, "size": 32})
    result = impasto.stylize("photo.png", "words: blue pixel art", recipe=recipe)
    (work / "out").mkdir()
    result.save("out/a.png")
    (drawing,) = (work / "out").glob("pixel-blue-*.png")
    steps = [*impasto.Stylizer(recipe).run("photo.png", ["words: 蓝色像素画"])]
    assert np.array_equal(steps[-1].picture().pixels, result.picture.pixels)
    assert main(["replay", "out/a.png", "-o", "b.png", "--quiet"]) == 0
    assert (work / "out" / "a.png").read_bytes() == (work / "b.png").read_bytes()
    drawing.unlink()
    again = ["replay", "out/a.png", "-o", "c.png", "--quiet", "--style"]
    assert main([*again, "words: blue pixel art"]) == 0
    assert main([*again, "words: red pixel art", "--force"]) == 2
    with pytest.raises(InputError, match="bleu: unknown word"):
        impasto.stylize("photo.png", "words: bleu pixel art", recipe=recipe)


def test_the_documentation_lists_every_technique_color_and_palette():
    page = (Path(__file__).parents[2] / "docs" / "words.md").read_text("utf-8")
    table = load_vocabulary()
    for name in (*table.techniques, *table.colors, *table.palettes):
        assert name in page, name
