"""Define the words that the grammar knows, in English and Chinese, and their colors."""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

KINDS = ("technique", "color", "palette", "tone", "scale", "direction", "contrast")
"""What a word can choose, in the order of the table."""


class Meaning(NamedTuple):
    """What a word stands for: a kind of :data:`KINDS` or a word of the grammar, and its value."""

    kind: str
    value: str


@dataclass(frozen=True)
class TechniqueEntry:
    """What a technique has when the words do not say it.

    Attributes:
        colors: names of its colors.
        ground: name of the color that it is painted on.
    """

    colors: tuple[str, ...]
    ground: str


@dataclass(frozen=True)
class Vocabulary:
    """The table of words.

    Attributes:
        meanings: by phrase. English phrases are lower-case words separated by spaces.
        breaks: English words that begin another part of the description.
        techniques: by name.
        colors: hexadecimal sRGB values by name.
        palettes: names of colors by the name of a palette.
        longest_phrase: number of words of the longest English phrase.
        longest_run: number of characters of the longest Chinese phrase.
    """

    meanings: MappingProxyType[str, Meaning]
    breaks: frozenset[str]
    techniques: MappingProxyType[str, TechniqueEntry]
    colors: MappingProxyType[str, str]
    palettes: MappingProxyType[str, tuple[str, ...]]
    longest_phrase: int
    longest_run: int

    def list_choices(self) -> list[str]:
        """List the phrases that choose something, for suggestions."""
        return [phrase for phrase, meaning in self.meanings.items() if meaning.kind in KINDS]


def is_chinese(character: str) -> bool:
    """Tell whether a character is a Chinese one."""
    return "\u3400" <= character <= "\u9fff"


def normalize_text(text: str) -> str:
    """Return the text in lower case, without accents, and with hyphens as spaces."""
    text = unicodedata.normalize("NFKD", text).lower()
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return text.replace("-", " ").replace("'", "").replace("\u2019", "")


@cache
def load_vocabulary() -> Vocabulary:
    """Load the table that comes with impasto."""
    text = (resources.files("impasto") / "words" / "vocabulary.toml").read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    meanings: dict[str, Meaning] = {}
    for word in table["ignored"]["words"]:
        meanings[word] = Meaning("ignored", word)
    for place in ("before", "after"):
        for word in table["ground"][place]:
            meanings[word] = Meaning(f"ground {place}", word)
    for word in table["other"]["words"]:
        meanings[word] = Meaning("other", word)
    # A word of several kinds has the last one's meaning.
    for kind in ("hint", *KINDS):
        for name, entry in table[kind].items():
            meaning = Meaning(kind, name)
            own = [name] if kind == "color" else []
            for phrase in (*own, *entry.get("en", ()), *entry.get("zh", ())):
                meanings[normalize_text(phrase)] = meaning
                if kind == "color" and is_chinese(phrase[0]):
                    meanings[f"{phrase}色"] = meaning
    return Vocabulary(
        meanings=MappingProxyType(meanings),
        breaks=frozenset(table["ignored"]["breaks"]),
        techniques=MappingProxyType(
            {
                name: TechniqueEntry(tuple(entry["colors"]), entry["ground"])
                for name, entry in table["technique"].items()
            }
        ),
        colors=MappingProxyType({name: entry["hex"] for name, entry in table["color"].items()}),
        palettes=MappingProxyType(
            {name: tuple(entry["colors"]) for name, entry in table["palette"].items()}
        ),
        longest_phrase=max(phrase.count(" ") + 1 for phrase in meanings),
        longest_run=max(len(phrase) for phrase in meanings if is_chinese(phrase[0])),
    )
