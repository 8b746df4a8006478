"""Turn a request into what a worker needs: checked files in a folder, and a complete recipe."""

from __future__ import annotations

import json
from pathlib import Path

from impasto.image.picture import fit_within
from impasto.recipe.recipe import Recipe, list_recipes, load_recipe, parse_recipe
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.http.request.picture_sources import OfStyle, SourceContext
from impasto.studio.http.request.request_body import JobSubmission
from impasto.studio.http.request.request_masks import read_request_masks
from impasto.studio.http.request.staging import Stager
from impasto.studio.http.schema import JobRequest, Source
from impasto.studio.problems import Problem, refuse_field
from impasto.studio.queue import job_files
from impasto.studio.queue.data_folder import DataFolder
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.queue.job_rows import FilmSpec, JobSpec
from impasto.studio.settings import StudioSettings
from impasto.video.stabilize.opencv import check_opencv

RECIPE_BYTES = 64 * 1024
"""Largest size of a recipe as JSON, before and after its changes."""


class Intake:
    """Checks requests for jobs and stages their files."""

    def __init__(
        self, settings: StudioSettings, folder: DataFolder, queue: JobQueue, decoder: Decoder
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._queue = queue
        self._decoder = decoder

    def stage(self, submission: JobSubmission, place: Path) -> tuple[JobSpec, str]:
        """Check a request, and put its files into a folder.

        Args:
            submission: the request.
            place: an empty folder.

        Returns:
            What the job makes, and the SHA-256 of everything that was sent.

        Raises:
            Problem, ImpastoError: the request is refused.
        """
        job = submission.job
        recipe = make_recipe(job)
        source = _check_source(job)
        masks = read_request_masks(job)
        recipe.check_counts(len(masks.styles), len(masks.masks), len(masks.style_masks))
        context = SourceContext(self._folder, self._queue, submission.parts, recipe.size)
        stager = Stager(context, place)
        if job.clip is None:
            names = [stager.put(source, "photo", job_files.PHOTO)]
        else:
            names = [stager.put(source, "clip", job_files.CLIP)]
        for number, style in enumerate(masks.styles):
            names.append(stager.put(style, "style", job_files.name_style(number)))
        mask_files = []
        for number, mask in masks.list_mask_pictures():
            mask_files.append(job_files.name_mask(number))
            stager.put(mask, "mask", mask_files[-1])
        for number, mask in masks.list_style_mask_pictures():
            mask_files.append(job_files.name_style_mask(number))
            stager.put(mask, "style_mask", mask_files[-1])
        if job.init is not None:
            stager.put(job.init, "init", "init")
        film, size = self._check_photo_or_clip(job, place, names[0])
        spec = JobSpec(
            recipe=recipe.model_dump(mode="json"),
            names=tuple(names),
            shipped=tuple(
                each.style_name if isinstance(each, OfStyle) else None for each in masks.styles
            ),
            sizes=(size, *self._check_paintings(place, names[1:])),
            masks=masks.mask_words,
            style_masks=masks.style_mask_words,
            init=job.init is not None,
            depth=job.depth,
            keep_metadata=job.keep_metadata,
            film=film,
        )
        if job.init is not None:
            self._convert_start(place)
        for file in mask_files:
            self._decoder.check_mask(place / file, file, place / job_files.name_view(file))
        self._check_result(size, recipe, film)
        return spec, stager.hash_request(job)

    def _check_photo_or_clip(
        self, job: JobRequest, place: Path, name: str
    ) -> tuple[FilmSpec | None, tuple[int, int]]:
        """Decode the photo, or the beginning of the clip.

        Args:
            job: the request.
            place: folder of the request's files.
            name: name of the photo or the clip in messages.

        Returns:
            How the clip is painted, or ``None`` for a photo; and the (width, height).
        """
        view = place / job_files.name_view(job_files.PHOTO)
        if job.clip is None:
            return None, self._decoder.check(place / job_files.PHOTO, name, view)
        facts = self._decoder.check_clip(place / job_files.CLIP, name, view)
        film = FilmSpec(
            frames=facts["frames"],
            rate=facts["rate"],
            suffix=facts["suffix"],
            stability=job.stability,
            preview=job.preview,
        )
        return film, (facts["width"], facts["height"])

    def _check_paintings(self, place: Path, names: list[str]) -> tuple[tuple[int, int], ...]:
        """Decode the paintings, and return their sizes."""
        sizes = []
        for number, name in enumerate(names):
            file = job_files.name_style(number)
            view = place / job_files.name_view(file)
            sizes.append(self._decoder.check(place / file, name, view))
        return tuple(sizes)

    def _convert_start(self, place: Path) -> None:
        """Write the picture to start from in the format that workers read."""
        source = place / "init"
        self._decoder.convert(source, place / job_files.START, "init", depth=16, keep=False)
        source.unlink()

    def _check_result(self, photo: tuple[int, int], recipe: Recipe, film: FilmSpec | None) -> None:
        """Check the size of the result; the worker does so if the recipe names no size."""
        if recipe.size is None:
            return
        size = fit_within(*photo, recipe.size)
        self._settings.check_result(size)
        if film is not None:
            self._settings.check_film(size, film.frames_to_paint)


def _check_source(job: JobRequest) -> Source:
    """Return the photo or the clip.

    Raises:
        Problem: there is neither, or both, or something that only the other one may have.
        InputError: OpenCV is missing, which clips need.
    """
    if job.photo is not None and job.clip is not None:
        raise Problem("bad_input", "photo, clip: send only one of them")
    if job.clip is None:
        if job.photo is None:
            raise refuse_field("photo", "missing")
        if job.preview:
            raise refuse_field("preview", "only for a clip; send a draft of the photo")
        return job.photo
    check_opencv()
    for name in ("masks", "style_masks", "init"):
        if getattr(job, name):
            raise refuse_field(name, "not supported with a clip")
    if job.depth != 8:
        raise refuse_field("depth", "films have 8 bits")
    return job.clip


def make_recipe(job: JobRequest) -> Recipe:
    """Return the recipe that a request describes.

    Raises:
        Problem, RecipeError: a name, field or value is unknown, or a file of the server is named.
    """
    source = job.recipe or ("draft" if job.draft else "standard")
    if isinstance(source, str):
        if source not in list_recipes():
            names = ", ".join(list_recipes())
            raise refuse_field("recipe", f"unknown; expected one of {names}", "bad_recipe")
        recipe = load_recipe(source)
    else:
        if not _is_small(source):
            raise _make_size_problem()
        text = json.dumps(source)
        _check_recipe_size(text)
        recipe = parse_recipe(text)
    _refuse_paths(recipe, job)
    recipe = recipe.with_changes(job.set)
    _check_recipe_size(json.dumps(recipe.model_dump(mode="json")))
    _refuse_paths(recipe, job)
    if job.init is not None:
        recipe = recipe.with_changes({"start.base": "image", "start.image": job_files.START})
    return recipe


def _check_recipe_size(text: str) -> None:
    if len(text) > RECIPE_BYTES:
        raise _make_size_problem()


def _make_size_problem() -> Problem:
    return Problem("bad_recipe", f"the recipe exceeds the limit of {RECIPE_BYTES} bytes")


def _is_small(value: object) -> bool:
    """Tell whether the text of a value may keep the limit, without writing it."""
    left, waiting = RECIPE_BYTES, [value]
    while waiting and left > 0:
        each = waiting.pop()
        left -= len(each) if isinstance(each, str) else 1
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
    return left > 0


def _refuse_paths(recipe: Recipe, job: JobRequest) -> None:
    if recipe.engine.file is not None:
        raise refuse_field("engine.file", "networks cannot be chosen over HTTP", "path_refused")
    if recipe.start.image is not None and job.init is None:
        raise refuse_field("start.image", "send the picture itself as init", "path_refused")
