"""Parse words such as ``blue woodcut, bold lines`` into a description of a painting."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from impasto.errors import InputError
from impasto.words.vocabulary import (
    Meaning,
    Vocabulary,
    is_chinese,
    load_vocabulary,
    normalize_text,
)

DRAWING_VERSION = 1
"""Raised when the same description is drawn in another way, so that its file has another name."""
DEFAULT_TECHNIQUE = "brush-strokes"
LONGEST_TEXT = 500
_GROUND_SHADES = ("dark", "pale")
_SEED = re.compile(r"(?:\bseed|种子|#)\s*(\d{1,9})(?!\d)")
_COMMON_CHINESE = ("水彩", "木刻", "油画")
_PIECE = re.compile(r"[a-z0-9]+|[\u3400-\u9fff]+|[^\sa-z0-9\u3400-\u9fff]+")


@dataclass(frozen=True)
class StyleDescription:
    """A painting to draw.

    Attributes:
        technique: a name in the table of techniques.
        colors: names of colors, the main one first.
        ground: the name of the color below, or ``dark`` or ``pale``.
        tone: ``plain``, ``vivid``, ``muted``, ``pale`` or ``dark``.
        scale: size of the marks: ``fine``, ``medium`` or ``bold``.
        direction: ``free``, ``horizontal``, ``vertical``, ``diagonal``, ``swirling``, ``radial`` or
            ``wavy``.
        contrast: ``low``, ``medium`` or ``high``.
        seed: seed of everything random. The same words with another seed are another picture.
        defaults: names of the fields that no word chose.
        unused: phrases that would have chosen another technique, or a second value of a field, and
            words for things and moods, which choose nothing.
    """

    technique: str
    colors: tuple[str, ...]
    ground: str
    tone: str = "plain"
    scale: str = "medium"
    direction: str = "free"
    contrast: str = "medium"
    seed: int = 0
    defaults: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def describe(self) -> str:
        """Write what was chosen in one line."""
        colors = " and ".join(self.colors)
        if "colors" in self.defaults:
            colors += " (its own colors)"
        name = self.technique + (" (no technique named)" if "technique" in self.defaults else "")
        plain = ("plain", "medium", "free")
        rest = {
            "tone": self.tone,
            "marks": self.scale,
            "direction": self.direction,
            "contrast": self.contrast,
        }
        parts = [f"{name} in {colors}", f"on {self.ground}"]
        parts += [f"{key} {value}" for key, value in rest.items() if value not in plain]
        parts.append(f"seed {self.seed}")
        line = ", ".join(parts)
        return f"{line}; not used: {', '.join(self.unused)}" if self.unused else line

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    def make_stem(self, size: int) -> str:
        """Make the file name, without a suffix, of the painting at a size.

        Equal pictures have equal names, whatever words chose them.
        """
        fields = {k: v for k, v in self.to_json().items() if k not in ("defaults", "unused")}
        text = json.dumps([DRAWING_VERSION, size, fields], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        colors = "-".join(color.replace(" ", "-") for color in self.colors[:2])
        return f"{self.technique}-{colors}-{digest}"


def parse_description(text: str, seed: int | None = None) -> StyleDescription:
    """Parse words in English or Chinese.

    The last technique of the first part that names one is the technique; parts end at commas and
    at ``with``, ``in`` and ``on``. A color after ``on``, or before ``paper`` or ``background``, is
    the ground. ``seed 3`` or ``#3`` is the seed.

    Args:
        text: the words.
        seed: the seed. None: the one among the words, or 0.

    Raises:
        InputError: a word is unknown; the message names the three nearest. Or there are no words,
            or two seeds.
    """
    table = load_vocabulary()
    if len(text) > LONGEST_TEXT:
        raise InputError(f"longer than {LONGEST_TEXT} characters", what="the description is")
    if not text.strip():
        raise InputError(
            "is empty",
            what="the description",
            expected="a technique and colors, such as 'blue woodcut'",
        )
    normal = normalize_text(text)
    seeds = {int(number) for number in _SEED.findall(normal)}
    if seed is not None:
        seeds.add(seed)
    if len(seeds) > 1:
        raise InputError("two different seeds are given", where=text, field="seed")
    reading = _Reading()
    for meaning, phrase in _read_phrases(_SEED.sub(",", normal), table):
        reading.add(meaning, phrase, table)
    choices = (
        reading.choices,
        any(reading.techniques),
        reading.hints,
        reading.colors,
        reading.ground,
    )
    if not any(choices):
        raise InputError(
            "no words that describe a painting",
            where=text,
            expected="a technique and colors, such as 'blue woodcut'",
        )
    return reading.finish(table, seeds.pop() if seeds else 0)


class _Reading:
    """Collects what the words choose, from left to right."""

    def __init__(self) -> None:
        self.choices: dict[str, str] = {}
        self.techniques: list[list[Meaning]] = [[]]
        self.hints: list[str] = []
        self.phrases: list[tuple[Meaning, str]] = []
        self.colors: list[str] = []
        self.ground: str | None = None
        self._is_on = False
        self._last: tuple[str, str] | None = None

    def add(self, meaning: Meaning, phrase: str, table: Vocabulary) -> None:
        """Add the meaning of one phrase."""
        kind, value = meaning
        if kind in ("break", "ground before"):
            self.techniques.append([])
            self._is_on = kind == "ground before"
            self._last = None
        elif kind == "ground after":
            self._move_to_ground()
        elif kind == "color":
            if self._is_on and self.ground is None:
                self.ground, self._is_on = value, False
            else:
                self.colors += [] if value in self.colors else [value]
                self._last = ("color", value)
        elif kind == "palette":
            self.colors += [each for each in table.palettes[value] if each not in self.colors]
        elif kind == "technique":
            self.techniques[-1].append(meaning)
            self.phrases.append((meaning, phrase))
        elif kind == "hint":
            self.hints.append(value)
        elif kind == "other":
            self.phrases.append((meaning, phrase))
        elif kind != "ignored":
            self._add_choice(meaning, phrase)

    def _add_choice(self, meaning: Meaning, phrase: str) -> None:
        """Add a tone, a scale, a direction or a contrast."""
        kind, value = meaning
        if self._is_on and value in _GROUND_SHADES:
            self.ground, self._is_on = value, False
            return
        if self.choices.setdefault(kind, value) != value:
            self.phrases.append((meaning, phrase))
        elif kind == "tone":
            self._last = ("tone", value)

    def _move_to_ground(self) -> None:
        """Make the color or shade before the word ``paper`` the ground."""
        if self._last is None or self.ground is not None:
            return
        kind, value = self._last
        if kind == "color":
            self.colors.remove(value)
            self.ground = value
        elif value in _GROUND_SHADES:
            del self.choices["tone"]
            self.ground = value
        self._last = None

    def finish(self, table: Vocabulary, seed: int) -> StyleDescription:
        """Choose the technique, and fill in what no word chose."""
        named = next((part[-1].value for part in self.techniques if part), None)
        named = named or next(iter(self.hints), None)
        technique = named or DEFAULT_TECHNIQUE
        own = table.techniques[technique]
        colors = tuple(self.colors) or own.colors
        ground = own.ground
        if own.ground == own.colors[0]:  # a blueprint's color is that of its ground
            colors = tuple(dict.fromkeys((*filter(None, [self.ground]), *colors)))
            ground = colors[0]
        fields = {"technique": named, "colors": self.colors, "ground": self.ground}
        return StyleDescription(
            technique=technique,
            colors=colors,
            ground=self.ground or ground,
            **self.choices,
            seed=seed,
            defaults=tuple(name for name, value in fields.items() if not value),
            unused=tuple(phrase for meaning, phrase in self.phrases if meaning.value != technique),
        )


def _read_phrases(text: str, table: Vocabulary) -> Iterator[tuple[Meaning, str]]:
    """Split a text into the longest phrases that the table has."""
    pieces = _PIECE.findall(text)
    place = 0
    while place < len(pieces):
        piece = pieces[place]
        if is_chinese(piece[0]):
            yield from _read_chinese(piece, table)
            place += 1
        elif not piece.isalnum():
            yield Meaning("break", piece), piece
            place += 1
        else:
            for length in range(min(table.longest_phrase, len(pieces) - place), 0, -1):
                phrase = " ".join(pieces[place : place + length])
                meaning = _look_up(phrase, table)
                if meaning is not None:
                    if phrase in table.breaks and meaning.kind == "ignored":
                        meaning = Meaning("break", phrase)
                    yield meaning, phrase
                    place += length
                    break
            else:
                raise _report_unknown(piece, table)


def _look_up(phrase: str, table: Vocabulary) -> Meaning | None:
    """Find an English phrase, or the singular of its last word."""
    for ending in ("", "s", "es"):
        meaning = table.meanings.get(phrase.removesuffix(ending) if ending else phrase)
        if meaning is not None:
            return meaning
    return None


def _read_chinese(run: str, table: Vocabulary) -> Iterator[tuple[Meaning, str]]:
    """Split a run of Chinese characters, the longest phrase first at every place."""
    place = 0
    while place < len(run):
        for length in range(min(table.longest_run, len(run) - place), 0, -1):
            phrase = run[place : place + length]
            if phrase in table.meanings:
                yield table.meanings[phrase], phrase
                place += length
                break
        else:
            end = place + 1
            while end < len(run) and not any(
                run[end:stop] in table.meanings for stop in range(end + 1, len(run) + 1)
            ):
                end += 1
            raise _report_unknown(run[place:end], table)


def _report_unknown(word: str, table: Vocabulary) -> InputError:
    """Make the error for a word that the table does not have."""
    near = _find_nearest(word, table)
    return InputError(
        f"unknown word; the nearest are {', '.join(near)}",
        where=word,
        expected="words of docs/words.md",
    )


def _find_nearest(word: str, table: Vocabulary) -> list[str]:
    """Find the three phrases most like a word in its language.

    Chinese words are compared by the characters that they share. A word that shares none has
    nothing near it, and gets the names of techniques.
    """
    chinese = is_chinese(word[0])
    choices = [each for each in table.list_choices() if is_chinese(each[0]) == chinese]
    if not chinese:
        return difflib.get_close_matches(word, choices, 3, 0.0)
    ranks = [(len({*word} & {*each}) / max(len(word), len(each)), each) for each in choices]
    near = [each for share, each in sorted(ranks, key=lambda rank: -rank[0]) if share > 0]
    return [*near, *_COMMON_CHINESE][:3]
