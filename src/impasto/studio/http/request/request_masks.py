"""Check the masks of a request: pictures that come with it, and words that find masks."""

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
from impasto.studio.http.schema import JobRequest, OfWord, PaintingSource, Source
from impasto.studio.problems import Problem, refuse_field
from impasto.studio.settings import MAX_PICTURES


@dataclass(frozen=True)
class RequestMasks:
    """The paintings and their masks; the word ``auto`` is replaced by what it stands for.

    Attributes:
        styles: the paintings.
        masks: masks of the photo: a word, or the source of a picture.
        style_masks: masks of the paintings, in the same form. None: the whole painting counts.
    """

    styles: list[PaintingSource]
    masks: list[str | Source]
    style_masks: list[str | Source | None]

    def list_mask_pictures(self) -> Iterator[tuple[int, Source]]:
        """Yield the masks of the photo that are pictures, with their places."""
        for place, each in enumerate(self.masks):
            if not isinstance(each, str):
                yield place, each

    def list_style_mask_pictures(self) -> Iterator[tuple[int, Source]]:
        """Yield the masks of the paintings that are pictures, with their places."""
        for place, each in enumerate(self.style_masks):
            if each is not None and not isinstance(each, str):
                yield place, each

    @property
    def mask_words(self) -> tuple[str | None, ...]:
        """Masks of the photo as :class:`JobSpec` has them."""
        return tuple(each if isinstance(each, str) else None for each in self.masks)

    @property
    def style_mask_words(self) -> tuple[str | bool, ...]:
        """Masks of the paintings as :class:`JobSpec` has them."""
        return tuple(
            each if isinstance(each, str) else each is not None for each in self.style_masks
        )


def read_request_masks(job: JobRequest) -> RequestMasks:
    """Read the paintings and the masks of a request.

    Raises:
        Problem, InputError: there is no painting, or there are too many; or a word is unknown, does
            not fit, or needs a network that is not installed.
    """
    styles = job.styles or []
    if not styles:
        raise refuse_field("style", "missing; a job needs at least one painting")
    masks: list[Any] = [each.word if isinstance(each, OfWord) else each for each in job.masks or []]
    for word in masks:
        if isinstance(word, str):
            _check_word(word)
    masks, paintings, style_masks = expand_auto(masks, styles, job.style_masks or [])
    if len(paintings) > MAX_PICTURES:
        raise refuse_field(
            "style", f"{len(paintings)} paintings; at most {MAX_PICTURES} are allowed"
        )
    for word in masks:
        if isinstance(word, str):
            check_mask_word(word, len(styles))
    return RequestMasks(list(paintings), list(masks), list(style_masks))


def _check_word(word: str) -> None:
    if not is_mask_word(word):
        words = "rect:X,Y,WIDTH,HEIGHT, salient, person, face or auto:COUNT"
        raise refuse_field("mask", f"unknown word; expected {words}")
    if word.startswith("scribble"):
        raise Problem("path_refused", "scribble: names a file of the server; send the mask itself")
    try:
        check_network_present(word)
    except MissingNetworkError:
        raise Problem(
            "no_mask_network",
            f"{word}: its network is not installed; `impasto mask` with this word, on the server's "
            "machine, says how to fetch it",
        ) from None
