"""The words that stand for masks, and the masks that they come to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from impasto.errors import InputError

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.segment.clusters import RegionPairs

T = TypeVar("T")
WORD = re.compile(r"(rect|scribble|auto|salient|person|face)(:.*)?", re.DOTALL)
"""A file of such a name is given with its folder: ``./auto``."""
REGIONS = 3
MOST = 8
_RECTANGLE = re.compile(r"\d{1,6}(,\d{1,6}){3}")
_AUTO = re.compile(r"auto(?::(\d{1,3}))?(?:#(\d{1,3}))?")


def is_mask_word(text: object) -> bool:
    """Whether a mask is to be found rather than read."""
    return isinstance(text, str) and WORD.fullmatch(text) is not None


def get_mask_file(text: str) -> str | None:
    """The file that a mask is read from; none: there is none."""
    if not is_mask_word(text):
        return text
    return text.removeprefix("scribble:") if text.startswith("scribble:") else None


def expand_auto(
    masks: Sequence[T], paintings: Sequence[T], style_masks: Sequence[T]
) -> tuple[list[T], list[T], list[T]]:
    """The same with ``auto`` spelled out: a word for each region, in the photo and in its painting.

    Raises:
        InputError: it is not alone, or stands for too few or too many.
    """
    words = [m for m in masks if isinstance(m, str) and _AUTO.fullmatch(m) and "#" not in m]
    if not words:
        return list(masks), list(paintings), list(style_masks)
    word = words[0]
    if len(masks) > 1 or style_masks:
        raise InputError(
            f"`masks` {word}: finds regions of the photo and of its paintings by itself: give no "
            "other masks",
            field="masks",
        )
    count = int(word.partition(":")[2] or max(REGIONS, len(paintings)))
    if not 2 <= count <= MOST:
        raise InputError(f"`masks` {word}: 2 to {MOST} regions can be found", field="masks")
    if count < len(paintings):
        raise InputError(
            f"`masks` {word}: {len(paintings)} paintings need a region each", field="masks"
        )
    regions: list[Any] = [f"auto:{count}#{place + 1}" for place in range(count)]
    return regions, [paintings[place % len(paintings)] for place in range(count)], regions


def find_masks(
    photo: Picture,
    paintings: Sequence[Picture],
    masks: Sequence[Any],
    style_masks: Sequence[Any],
) -> tuple[list[Mask], list[Mask | None]]:
    """Masks read, or found where they are words.

    Args:
        photo, paintings: that they are of.
        masks: of the photo: words, or anything that :func:`impasto.image.masks.read_mask` takes.
        style_masks: of the paintings, likewise, or none.

    Raises:
        InputError: a word that cannot be understood, or nothing is found.
        ImageError, LimitError: as for pictures.
    """
    from impasto.image.masks import read_mask

    finder = MaskFinder(photo, paintings)
    return [finder.of_photo(m) if is_mask_word(m) else read_mask(m) for m in masks], [
        None if m is None else finder.of_painting(m) if is_mask_word(m) else read_mask(m)
        for m in style_masks
    ]


def check_mask_word(word: str, paintings: int) -> None:
    """See that a mask can be looked for, before it is.

    Args:
        word: one of :func:`is_mask_word`.
        paintings: different ones that masks belong to.

    Raises:
        InputError: it cannot be understood, or a package is missing.
    """
    kind, _, rest = word.partition(":")
    if kind == "auto":
        _region(word, paintings)
    elif word in ("salient", "person", "face"):
        return
    elif kind == "rect" and not _RECTANGLE.fullmatch(rest):
        raise InputError(
            f"`masks` {word}: rect:X,Y,WIDTH,HEIGHT in pixels is needed", field="masks"
        )
    elif kind == "scribble" and not rest:
        raise InputError(
            "`masks` scribble: give the file of strokes as scribble:FILE", field="masks"
        )
    elif kind not in ("rect", "scribble"):
        raise InputError(f"`masks` {word}: {kind} takes nothing after a colon", field="masks")
    elif find_spec("cv2") is None:
        raise InputError(f"{word}: needs an extra package: pip install 'impasto[masks]'")


def check_network_present(word: str) -> None:
    """See that the network which finds a mask is there, for a word that has one.

    Raises:
        NotFetchedError: it is not; says how to get it.
        WeightsError: it is damaged.
    """
    from impasto.segment.networks import MEMBER_OF_WORD
    from impasto.segment.wheels import read_member

    if word in MEMBER_OF_WORD:
        read_member(MEMBER_OF_WORD[word], word)


def _region(word: str, paintings: int) -> tuple[int, int]:
    """How many regions there are to be, and which of them, from 1."""
    parts = _AUTO.fullmatch(word)
    count, place = (int(part or 0) for part in parts.groups()) if parts else (0, 0)
    least = max(2, paintings)
    if not (0 < place <= count and least <= count <= MOST):
        raise InputError(
            f"{word}: names no region: auto:COUNT#PLACE does, COUNT from {least} to {MOST}; "
            f"auto:{max(REGIONS, least)}#1 is the first of {max(REGIONS, least)}"
        )
    return count, place


class MaskFinder:
    """Finds the masks of one photo."""

    def __init__(self, photo: Picture, paintings: Sequence[Picture]) -> None:
        """Nothing is found yet; ``paintings`` are those that the masks belong to, in turn."""
        self._photo = photo
        # Each once, however many regions it has.
        self._paintings = list({each.sha256(): each for each in paintings}.values())
        self._regions: dict[int, RegionPairs] = {}

    def of_photo(self, word: str) -> Mask:
        """The mask that a word stands for.

        Raises:
            InputError: it cannot be understood, or nothing is found.
        """
        check_mask_word(word, len(self._paintings))
        kind, _, rest = word.partition(":")
        if kind == "auto":
            place, found = self._auto(word)
            return found.photo[place]
        if kind == "salient":
            from impasto.segment.salient import find_salient_object

            return find_salient_object(self._photo, word)
        if kind == "person":
            from impasto.segment.person import find_people

            return find_people(self._photo, word)
        if kind == "face":
            from impasto.segment.face import find_faces

            return find_faces(self._photo, word)
        from impasto.segment import grabcut

        if kind == "rect":
            x, y, width, height = map(int, rest.split(","))
            return grabcut.from_rectangle(self._photo, (x, y, width, height), word)
        return grabcut.from_scribbles(self._photo, Path(rest))

    def of_painting(self, word: str) -> Mask:
        """The part of a painting that belongs to a region of the photo.

        Raises:
            InputError: no word for one.
        """
        if not word.startswith("auto"):
            raise InputError(
                f"`style_masks` {word}: only a file or none can be given here", field="style_masks"
            )
        place, found = self._auto(word)
        return found.painting[place]

    def _auto(self, word: str) -> tuple[int, RegionPairs]:
        count, place = _region(word, len(self._paintings))
        if count not in self._regions:
            from impasto.segment.clusters import find_region_pairs

            name = f"auto:{count}"
            self._regions[count] = find_region_pairs(self._photo, self._paintings, count, name)
        return place - 1, self._regions[count]
