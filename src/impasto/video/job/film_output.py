"""Write a film from painted frames and the sound of the clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from impasto.image.picture import fit_within
from impasto.video.clip.film_writer import (
    GIF,
    FilmExtras,
    FilmFrame,
    can_be_transparent,
    needs_even_sides,
    write_film,
    write_numbered_frames,
)
from impasto.video.clip.frames import Format, Levels, Notice
from impasto.video.clip.reading import names_numbered_files
from impasto.video.clip.selection import FrameSource, resize_alpha
from impasto.video.clip.streams.tracks import FilmSound, report_other_tracks
from impasto.video.job.frame_store import FrameStore

OPAQUE = 255
RECORD_KEY = "comment"
"""Name of the metadata that holds a film's record."""
_UNUSUAL = Fraction(1, 2)
"""Share of a frame's usual duration by which the last one's must differ to be kept."""


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
    texts: Mapping[str, str] | None = None,
    notice: Notice = lambda _: None,
    extras: FilmExtras | None = None,
) -> None:
    """Write a film of the frames that have been painted, completely or not at all.

    Args:
        target: file that :func:`impasto.video.clip.film_writer.check_film_target` accepts.
        store: the painted frames, at least one.
        source: the frames of the clip.
        sound: copy the clip's sound.
        texts: metadata to embed, where the kind of film has a place for it; the record is under
            :data:`RECORD_KEY`. None: there is none.
        notice: called with a message if the sound cannot be stored.
        extras: whether existing files are replaced, and who seals the file; the rest of it is found
            here. None: they are, and nobody does.

    Raises:
        InputError: a file exists and must not be replaced.
        ResourceError: the disk is full or the folder is not writable. An existing film is kept.
    """
    extras = extras or FilmExtras()
    clip, selection = source.clip, source.selection
    is_numbered = names_numbered_files(target)
    clip_path = getattr(clip, "path", None)
    if sound and clip.sound is not None and not needs_even_sides(target):
        kind = "numbered pictures" if is_numbered else f"{target.suffix} files"
        notice(f"sound: omitted, because {kind} cannot store it")
    is_transparent = _is_transparent(source)
    if is_transparent and not can_be_transparent(target):
        kind = "numbered pictures are" if is_numbered else f"{target.suffix} files are"
        notice(f"transparency: omitted, because {kind} opaque; .gif, .webm and .mov can keep it")
        is_transparent = False
    if clip_path is not None and not needs_even_sides(target):
        report_other_tracks(clip_path, "numbered pictures" if is_numbered else "GIFs", notice)
    if is_numbered:
        write_numbered_frames(target, store.read_film_frames(), overwrite=extras.overwrite)
        return
    rate = clip.format.rate / selection.every
    form = replace(clip.format, width=source.size[0], height=source.size[1], rate=rate)
    shift = store.read_time(0) if selection.begin else Fraction(0)
    film_sound = None
    count, total = store.frame_count, source.count_frames()
    is_whole = selection.end is None and (total is None or count >= total - 1)
    last = store.read_time(count - 1)
    if sound and clip.sound is not None:
        film_sound = FilmSound(clip.sound, shift, None if is_whole else last + 1 / rate)
    end = _find_end(source) if is_whole and selection.every == 1 else None
    # In a GIF every frame has its duration. Elsewhere only an unusual one is worth it.
    is_held = end is not None and (
        target.suffix.lower() == GIF or abs((end - last) * rate - 1) > _UNUSUAL
    )
    film_frames = store.read_film_frames()
    frames = _join_alpha(film_frames, source) if is_transparent else film_frames
    write_film(
        target,
        (replace(each, time=each.time - shift) for each in frames),
        form,
        film_sound,
        notice,
        texts,
        replace(
            extras,
            last=last - shift if is_held else None,
            end=Fraction(0) if end is None else end - shift,
            is_transparent=is_transparent,
            origin=clip_path,
            begin=shift,
            is_whole=is_whole,
        ),
    )


def _find_end(source: FrameSource) -> Fraction | None:
    find = getattr(source.clip, "find_end", None)
    return None if find is None else find()


def _is_transparent(source: FrameSource) -> bool:
    """Tell whether any selected frame has transparent pixels."""
    if not getattr(source.clip, "has_alpha", False):
        return False
    return any(
        frame.load_alpha is not None and bool((frame.load_alpha() < OPAQUE).any())
        for frame in source.read_frames()
    )


def _join_alpha(film_frames: Iterator[FilmFrame], source: FrameSource) -> Iterator[FilmFrame]:
    """Yield painted frames with the transparency of the clip's, [H, W, 4]."""
    for frame, film_frame in zip(source.read_frames(), film_frames, strict=False):
        assert frame.load_alpha is not None
        alpha = resize_alpha(frame.load_alpha(), source.size)
        yield replace(film_frame, load=partial(_stack, film_frame.load, alpha))


def _stack(load: Callable[[], Levels], alpha: Levels) -> Levels:
    return np.dstack([load(), alpha])
