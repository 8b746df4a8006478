"""The masks of a request: pictures that come with it, and words that find them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from impasto.segment.mask_words import (
    check_mask_word,
    check_network_present,
    expand_auto,
    is_mask_word,
)
from impasto.segment.wheels import MissingNetworkError
from impasto.studio.http.schema import JobRequest, OfWord, Source
from impasto.studio.problems import Problem
from impasto.studio.settings import MOST_PICTURES


@dataclass(frozen=True)
class Regions:
    """Paintings, and where they go; ``auto`` is spelled out.

    Attributes:
        styles: the paintings.
        masks: of the photo: words, or where they come from.
        parts: of the paintings: likewise, or none.
    """

    styles: list[Source]
    masks: list[str | Source]
    parts: list[str | Source | None]

    def sent_masks(self) -> Iterator[tuple[int, Source]]:
        """Those that are pictures, with their places."""
        for place, each in enumerate(self.masks):
            if not isinstance(each, str):
                yield place, each

    def sent_parts(self) -> Iterator[tuple[int, Source]]:
        """Likewise of the paintings'."""
        for place, each in enumerate(self.parts):
            if each is not None and not isinstance(each, str):
                yield place, each

    def mask_words(self) -> tuple[str | None, ...]:
        """As :class:`Spec` has them."""
        return tuple(each if isinstance(each, str) else None for each in self.masks)

    def part_words(self) -> tuple[str | bool, ...]:
        """Likewise."""
        return tuple(each if isinstance(each, str) else each is not None for each in self.parts)


def regions_of(job: JobRequest) -> Regions:
    """Of a request.

    Raises:
        Problem, InputError: there is no painting, or there are too many; a word is unknown, is not
            of a mask, or cannot be looked for on this machine.
    """
    styles = job.styles or []
    if not styles:
        raise Problem("bad_input", "style: there is none")
    given: list[Any] = [each.word if isinstance(each, OfWord) else each for each in job.masks or []]
    for word in given:
        if isinstance(word, str):
            _check(word)
    masks, paintings, parts = expand_auto(given, styles, job.style_masks or [])
    if len(paintings) > MOST_PICTURES:
        raise Problem("bad_input", f"style: more than {MOST_PICTURES}")
    for word in masks:
        if isinstance(word, str):
            check_mask_word(word, len(styles))
    return Regions(list(paintings), list(masks), list(parts))


def _check(word: str) -> None:
    if not is_mask_word(word):
        known = "rect:X,Y,WIDTH,HEIGHT, salient, person, face and auto:COUNT"
        raise Problem("bad_input", f"mask: no such word; there are {known}")
    if word.startswith("scribble"):
        raise Problem("path_refused", "scribble: names a file; send the mask itself")
    try:
        check_network_present(word)
    except MissingNetworkError:
        raise Problem(
            "no_mask_network",
            f"{word}: `impasto mask PHOTO {word} -o MASK.png` on the server's machine says how to "
            "fetch it, once",
        ) from None
