"""From a clip and the frames that are done to the film of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from impasto.image.picture import fit_within
from impasto.video.clip.clip import NUMBERED, Clip, Format, Notice
from impasto.video.clip.film import Sound, is_halved, write_film, write_numbered
from impasto.video.clip.selection import Selection
from impasto.video.job.work import Work


def film_size(form: Format, longer: int, target: Path | None) -> tuple[int, int]:
    """(width, height) of a film, even where its kind wants that; of a clip that keeps its size a
    row or column is cut off for it.

    Args:
        form: of the clip.
        longer: of the film's sides, in pixels.
        target: of the film; none: raw frames.
    """
    width, height = fit_within(form.width, form.height, longer)
    if not is_halved(target):
        return width, height
    if longer == max(form.width, form.height):
        return width - width % 2, height - height % 2
    return max(2, 2 * round(width / 2)), max(2, 2 * round(height / 2))


def write_done(
    target: Path,
    work: Work,
    clip: Clip,
    selection: Selection,
    size: tuple[int, int],
    *,
    sound: bool = True,
    record: str | None = None,
    metadata: Mapping[str, str] | None = None,
    notice: Notice = lambda _: None,
) -> None:
    """The film of the frames that are done, whole or not at all.

    Args:
        target: of a kind that :func:`impasto.video.clip.film.check_film` knows.
        work: with at least one frame.
        clip: that they are of.
        selection: of its frames.
        size: (width, height) of the frames.
        sound: whether the clip's goes with it.
        record: text to embed where the kind of film has a place for it.
        metadata: what else it says of itself, likewise.
        notice: called if the sound cannot go with it.

    Raises:
        ResourceError: the disk is full or the folder cannot be written; what was there stays.
    """
    if sound and clip.sound is not None and not is_halved(target):
        kind = "numbered pictures have" if NUMBERED.search(target.name) else f"{target.suffix} has"
        notice(f"sound: {kind} no place for it, it is left out")
    if NUMBERED.search(target.name):
        write_numbered(target, work.shown())
        return
    rate = clip.format.rate / selection.every
    form = replace(clip.format, width=size[0], height=size[1], rate=rate)
    shift = work.time(0) if selection.begin else Fraction(0)
    heard = None
    if sound and clip.sound is not None:
        done, total = work.done, selection.count(clip)
        is_all = selection.end is None and (total is None or done >= total - 1)
        heard = Sound(clip.sound, shift, None if is_all else work.time(done - 1) + 1 / rate)
    shown = (replace(each, time=each.time - shift) for each in work.shown())
    write_film(target, shown, form, heard, notice, record, metadata or {})
