"""From a request to what a worker needs: files staged and looked at, a recipe made whole."""

from __future__ import annotations

import json
from pathlib import Path

from impasto.image.picture import fit_within
from impasto.recipe.recipe import Recipe, list_recipes, load_recipe, parse_recipe
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.http.bounds import check_film, check_size
from impasto.studio.http.forms import Asked
from impasto.studio.http.request_masks import regions_of
from impasto.studio.http.schema import JobRequest, OfStyle, Source
from impasto.studio.http.staging import Stager
from impasto.studio.problems import Problem
from impasto.studio.queue import folder as files
from impasto.studio.queue.folder import Folder
from impasto.studio.queue.queue import Queue
from impasto.studio.queue.rows import Film, Spec
from impasto.studio.settings import Settings
from impasto.video.stabilize.opencv import check_opencv

RECIPE_BYTES = 64 * 1024


class Intake:
    """From a request to what a worker needs, in a folder."""

    def __init__(self, settings: Settings, folder: Folder, queue: Queue, decoder: Decoder) -> None:
        """Note where pictures come from and go to."""
        self._settings = settings
        self._folder = folder
        self._queue = queue
        self._decoder = decoder

    def stage(self, asked: Asked, place: Path) -> tuple[Spec, str]:
        """What to do, and a hash of everything that was sent; the files are in ``place``.

        Raises:
            Problem, ImpastoError: the request is refused.
        """
        job = asked.job
        recipe = recipe_of(job)
        source = _check_source(job)
        regions = regions_of(job)
        recipe.check_counts(len(regions.styles), len(regions.masks), len(regions.parts))
        stager = Stager(self._folder, self._queue, asked.parts, place)
        part = ("photo", files.PHOTO) if job.clip is None else ("clip", files.CLIP)
        names = [stager.put(source, *part)]
        for number, style in enumerate(regions.styles):
            names.append(stager.put(style, "style", files.style_file(number)))
        for number, mask in regions.sent_masks():
            stager.put(mask, "mask", files.mask_file(number))
        for number, shape in regions.sent_parts():
            stager.put(shape, "style_mask", files.style_mask_file(number))
        if job.init is not None:
            stager.put(job.init, "init", "init")
        film, size = self._looked_at_source(job, place, names[0])
        spec = Spec(
            recipe=recipe.model_dump(mode="json"),
            names=tuple(names),
            shipped=tuple(
                each.style_name if isinstance(each, OfStyle) else None for each in regions.styles
            ),
            sizes=(size, *self._looked_at(place, names[1:])),
            masks=regions.mask_words(),
            style_masks=regions.part_words(),
            init=job.init is not None,
            depth=job.depth,
            keep_metadata=job.keep_metadata,
            film=film,
        )
        for file in (
            *(files.mask_file(number) for number, _ in regions.sent_masks()),
            *(files.style_mask_file(number) for number, _ in regions.sent_parts()),
        ):
            self._decoder.check_mask(place / file, file, place / files.view_file(file))
        self._check_result(size, recipe, film)
        return spec, stager.digest(job)

    def _looked_at_source(
        self, job: JobRequest, place: Path, name: str
    ) -> tuple[Film | None, tuple[int, int]]:
        """What is to be done with a clip, if it is one, and the size of the photo or the clip."""
        view = place / files.view_file(files.PHOTO)
        if job.clip is None:
            return None, self._decoder.check(place / files.PHOTO, name, view)
        found = self._decoder.check_clip(place / files.CLIP, name, view)
        film = Film(
            frames=found["frames"],
            rate=found["rate"],
            suffix=found["suffix"],
            stability=job.stability,
            preview=job.preview,
        )
        return film, (found["width"], found["height"])

    def _looked_at(self, place: Path, names: list[str]) -> tuple[tuple[int, int], ...]:
        """The sizes of the paintings, now that they have been decoded once, as has the start."""
        decoder = self._decoder
        sizes = []
        for number, name in enumerate(names):
            file = files.style_file(number)
            sizes.append(decoder.check(place / file, name, place / files.view_file(file)))
        if (place / "init").exists():
            decoder.convert(place / "init", place / files.START, "init", depth=16, keep=False)
            (place / "init").unlink()
        return tuple(sizes)

    def _check_result(self, photo: tuple[int, int], recipe: Recipe, film: Film | None) -> None:
        """Of a recipe without a size, the worker knows more."""
        if recipe.size is None:
            return
        size = fit_within(*photo, recipe.size)
        check_size(size, self._settings)
        if film is not None:
            check_film(size, film.wanted, self._settings)


def _check_source(job: JobRequest) -> Source:
    """The photo or the clip.

    Raises:
        Problem: there is neither, or something that the other would need.
        InputError: clips cannot be painted here.
    """
    if job.photo is not None and job.clip is not None:
        raise Problem("bad_input", "photo or clip: only one of them")
    if job.clip is None:
        if job.photo is None:
            raise Problem("bad_input", "photo: there is none")
        if job.preview:
            raise Problem("bad_input", "preview: of a clip; a photo has drafts")
        return job.photo
    check_opencv()
    for name in ("masks", "style_masks", "init"):
        if getattr(job, name):
            raise Problem("bad_input", f"{name}: not with a clip")
    if job.depth != 8:
        raise Problem("bad_input", "depth: films have 8 bits")
    return job.clip


def recipe_of(job: JobRequest) -> Recipe:
    """The recipe that a request describes.

    Raises:
        Problem, RecipeError: an unknown name, field or value, or a file of the server's.
    """
    asked = job.recipe or ("draft" if job.draft else "standard")
    if isinstance(asked, str):
        if asked not in list_recipes():
            known = ", ".join(list_recipes())
            raise Problem("bad_recipe", f"no recipe of this name; there are {known}")
        recipe = load_recipe(asked)
    else:
        text = json.dumps(asked)
        if len(text) > RECIPE_BYTES:
            raise Problem("bad_recipe", f"a recipe has at most {RECIPE_BYTES} bytes")
        recipe = parse_recipe(text)
    _refuse_paths(recipe, job)
    recipe = recipe.with_changes(job.set)
    _refuse_paths(recipe, job)
    if job.init is not None:
        recipe = recipe.with_changes({"start.base": "image", "start.image": files.START})
    return recipe


def _refuse_paths(recipe: Recipe, job: JobRequest) -> None:
    if recipe.engine.file is not None:
        raise Problem("path_refused", "engine.file: networks are not taken over HTTP")
    if recipe.start.image is not None and job.init is None:
        raise Problem("path_refused", "start.image: send the picture itself as init")
