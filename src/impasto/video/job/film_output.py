"""Write a film from painted frames and the sound of the clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from impasto.image.picture import fit_within
from impasto.video.clip.film_writer import (
    FilmSound,
    needs_even_sides,
    write_film,
    write_numbered_frames,
)
from impasto.video.clip.frames import Format, Notice
from impasto.video.clip.reading import NUMBER_PATTERN
from impasto.video.clip.selection import FrameSource
from impasto.video.job.frame_store import FrameStore


def choose_film_size(form: Format, longer: int, target: Path | None) -> tuple[int, int]:
    """Choose the (width, height) of a film.

    Where the kind of file requires even sides, a film at the size of its clip loses a row or a
    column, and a resized film is rounded.

    Args:
        form: format of the clip.
        longer: longer side of the film in pixels.
        target: file of the film. None: raw frames.
    """
    width, height = fit_within(form.width, form.height, longer)
    if not needs_even_sides(target):
        return width, height
    if longer == max(form.width, form.height):
        return width - width % 2, height - height % 2
    return max(2, 2 * round(width / 2)), max(2, 2 * round(height / 2))


def write_painted_film(
    target: Path,
    store: FrameStore,
    source: FrameSource,
    *,
    sound: bool = True,
    record: str | None = None,
    metadata: Mapping[str, str] | None = None,
    notice: Notice = lambda _: None,
    seal: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write a film of the frames that have been painted, completely or not at all.

    Args:
        target: file that :func:`impasto.video.clip.film_writer.check_film_target` accepts.
        store: the painted frames, at least one.
        source: the frames of the clip.
        sound: copy the clip's sound.
        record: text to embed, where the kind of film has a place for it.
        metadata: other metadata to embed.
        notice: called with a message if the sound cannot be stored.
        seal: called with the complete file before it gets its name; not for numbered pictures.

    Raises:
        ResourceError: the disk is full or the folder is not writable. An existing film is kept.
    """
    clip, selection = source.clip, source.selection
    is_numbered = NUMBER_PATTERN.search(target.name) is not None
    if sound and clip.sound is not None and not needs_even_sides(target):
        kind = "numbered pictures" if is_numbered else f"{target.suffix} files"
        notice(f"sound: omitted, because {kind} cannot store it")
    if is_numbered:
        write_numbered_frames(target, store.read_film_frames())
        return
    rate = clip.format.rate / selection.every
    form = replace(clip.format, width=source.size[0], height=source.size[1], rate=rate)
    shift = store.read_time(0) if selection.begin else Fraction(0)
    film_sound = None
    if sound and clip.sound is not None:
        count, total = store.frame_count, source.count_frames()
        is_whole = selection.end is None and (total is None or count >= total - 1)
        end = None if is_whole else store.read_time(count - 1) + 1 / rate
        film_sound = FilmSound(clip.sound, shift, end)
    frames = (replace(each, time=each.time - shift) for each in store.read_film_frames())
    write_film(target, frames, form, film_sound, notice, record, metadata or {}, seal)
