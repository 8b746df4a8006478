"""Find a painting by what people call it: title, artist, movement and other names.

Every word of a query counts by how few paintings have it, and so do runs of Chinese characters. A
painting matches if its names have most of the query. This compares letters, not meanings.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from impasto.errors import InputError
from impasto.library.library_paintings import SUFFIXES, LibraryPainting

THRESHOLD = 0.6
"""Smallest share of a query that the names of a match have."""
ALIKE = 0.8
"""Smallest likeness of two words, of which one is a misspelling."""
_NEAREST = 3
_STOP = frozenset(
    [
        *("a", "an", "the", "of", "by", "in", "on", "at", "over", "off", "with", "and", "or", "to"),
        *("for", "from", "like", "as", "style", "painting", "paintings", "picture", "work"),
        *("works", "art", "artist", "famous", "about"),
    ]
)
_CHINESE_STOP = re.compile("的|风格|作品|那幅|这幅|一幅|名画|油画|画派|之")
_LATIN = re.compile(r"[^\W_\u3400-\u9fff]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")


@dataclass(frozen=True)
class NameMatch:
    """A painting, and the share in [0, 1] of the query that its names have."""

    painting: LibraryPainting
    score: float


@dataclass(frozen=True)
class NamedChoice:
    """The painting that a name chose.

    Attributes:
        painting: the best match.
        others: other paintings that match as much of the name, the best ones first.
    """

    painting: LibraryPainting
    others: tuple[LibraryPainting, ...]

    def describe(self) -> str:
        """Say in one line what was chosen, and what else might have been."""
        line = self.painting.describe()
        titles = [each.title for each in self.others[:_NEAREST]]
        more = len(self.others) - len(titles)
        also = ", ".join(titles) + (f" and {more} more" if more > 0 else "")
        return f"{line}; also found: {also}" if also else line


class NameIndex:
    """The names of some paintings."""

    def __init__(self, paintings: Sequence[LibraryPainting]) -> None:
        """Split the names into words."""
        self.paintings = paintings
        self._phrases = [[_split(name) for name in each.list_names()] for each in paintings]
        self._words = [
            {word for latin, _ in phrases for word in latin} for phrases in self._phrases
        ]
        self._runs = [[run for _, runs in phrases for run in runs] for phrases in self._phrases]

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(word for words in self._words for word in words)

    def rank(self, text: str) -> list[NameMatch]:
        """Return all paintings, those first whose names have most of a text."""
        latin, runs = _split(text)
        ranks = []
        for place, painting in enumerate(self.paintings):
            score = self._score(latin, runs, place)
            whole = max(
                (self._share(_join(phrase), text) for phrase in self._phrases[place]), default=0.0
            )
            ranks.append((-round(score, 3), -whole, place, NameMatch(painting, score)))
        return [match for *_, match in sorted(ranks, key=lambda rank: rank[:3])]

    def choose(self, text: str) -> NamedChoice:
        """Choose the painting that a text names.

        Raises:
            InputError: none has such a name; the message has the nearest ones.
        """
        matches = self.rank(text)
        if not matches or matches[0].score < THRESHOLD:
            raise InputError(
                f"no such file, and no painting of this name; the nearest are "
                f"{', '.join(self.list_nearest(text))}",
                where=text,
                expected="a file, the name of a painting, or 'words: blue woodcut'",
                field="style",
            )
        best = matches[0]
        others = (each.painting for each in matches[1:] if each.score > best.score - 0.005)
        return NamedChoice(best.painting, tuple(others))

    def _score(self, latin: list[str], runs: list[str], place: int) -> float:
        total = covered = 0.0
        for word in latin:
            weight = self._weigh(word)
            total += weight
            covered += weight * _find_likeness(word, self._words[place])
        for run in runs:
            weight = math.log(1 + len(self.paintings)) * len(run) / 2
            total += weight
            covered += weight * _cover(run, self._runs[place])
        return covered / total if total else 0.0

    def _weigh(self, word: str) -> float:
        return math.log(1 + len(self.paintings) / max(1, self._counts[word]))

    def _share(self, phrase: str, text: str) -> float:
        """Return how much of a whole name a text has, for paintings that are equal otherwise."""
        latin, runs = _split(text)
        return difflib.SequenceMatcher(None, phrase, " ".join([*latin, *runs])).ratio()

    def list_nearest(self, text: str) -> list[str]:
        """Return the titles of the three paintings whose names look most like a text."""
        matches = self.rank(text)
        if any(match.score > 0 for match in matches):
            return [match.painting.title for match in matches[:_NEAREST]]
        plain = _join(_split(text))
        likeness = [
            max(
                (difflib.SequenceMatcher(None, _join(phrase), plain).ratio() for phrase in phrases),
                default=0.0,
            )
            for phrases in self._phrases
        ]
        order = sorted(range(len(self.paintings)), key=lambda place: -likeness[place])
        return [self.paintings[place].title for place in order[:_NEAREST]]


def is_name(source: Any) -> bool:
    """Tell whether a painting may be given by its name: it is no path, address or file."""
    if not isinstance(source, str) or not source.strip() or source.startswith("-"):
        return False
    if re.search(r"[/\\\0]", source) or ":" in source or os.path.exists(source):  # noqa: PTH110
        return False
    return os.path.splitext(source)[1].lower() not in SUFFIXES  # noqa: PTH122 -- never raises


def _split(text: str) -> tuple[list[str], list[str]]:
    """Split a text into its words, without the usual ones, and its runs of Chinese characters."""
    plain = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub("['\u2019]", "", plain)
    words = _LATIN.findall(plain)
    runs = _CHINESE.findall(_CHINESE_STOP.sub("", plain))
    return [word for word in words if word not in _STOP] or words, runs


def _join(phrase: tuple[list[str], list[str]]) -> str:
    return " ".join([*phrase[0], *phrase[1]])


def _find_likeness(word: str, words: set[str]) -> float:
    """Return 1 for a word that is there, and less for one that is spelled like it."""
    if word in words:
        return 1.0
    if len(word) < 4:
        return 0.0
    near = difflib.get_close_matches(word, words, 1, ALIKE)
    return 0.9 * difflib.SequenceMatcher(None, word, near[0]).ratio() if near else 0.0


def _cover(run: str, names: list[str]) -> float:
    """Return the share of a run's characters that are in names, in pieces of two or more."""
    covered: set[int] = set()
    for name in names:
        for block in difflib.SequenceMatcher(None, run, name, autojunk=False).get_matching_blocks():
            if block.size >= min(2, len(run)):
                covered.update(range(block.a, block.a + block.size))
    return len(covered) / len(run)
