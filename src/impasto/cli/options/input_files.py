"""Read the pictures of a command, and the paintings that a network brings along."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import choose_hardware, choose_notice
from impasto.cli.options.recipe_options import apply_print_size
from impasto.cli.options.region_options import read_masks
from impasto.cli.options.style_words import draw_word_styles

if TYPE_CHECKING:
    from impasto.engine.inputs import Inputs
    from impasto.image.picture import Picture
    from impasto.recipe.recipe import Recipe


def expand_styles(options: argparse.Namespace, folder: Path | None = None) -> argparse.Namespace:
    """Replace styles that are words or a network's own, and ``--mask auto`` by a mask a region.

    Args:
        options: arguments, changed in place.
        folder: where paintings drawn from words are saved. None: beside the result.

    Raises:
        InputError, ResourceError, WeightsError: see :func:`expand_network_styles`.
    """
    from impasto.segment.mask_words import expand_auto

    expand_network_styles(options, folder=folder)
    options.mask, options.style, options.style_mask = expand_auto(
        options.mask, options.style, options.style_mask
    )
    return options


def expand_network_styles(
    options: argparse.Namespace, *, needed: bool = True, folder: Path | None = None
) -> argparse.Namespace:
    """Replace the styles that a network's file contains, and those that are words, by files.

    A ``--style`` that names one of them becomes its file. Without ``--style``, the only style of
    the network is used. ``words: TEXT`` becomes a painting that is drawn now.

    Args:
        options: arguments with ``style`` and ``recipe``, changed in place.
        needed: whether there must be a style.
        folder: where paintings drawn from words are saved. None: beside the result.

    Raises:
        InputError: no style was given, and the network has none or several; or a word is unknown.
        WeightsError: the network's file is missing or damaged.
        ResourceError: the styles cannot be written to the cache.
    """
    from impasto.errors import InputError
    from impasto.plugins.network import NETWORK_SUFFIX

    network = Path(options.recipe or "")
    own = _unpack_styles(network) if network.suffix == NETWORK_SUFFIX else {}
    if options.style:
        options.style = [
            each if os.path.isfile(each) else own.get(each, each)  # noqa: PTH113 -- never raises
            for each in options.style
        ]
        draw_word_styles(options, folder)
    elif len(own) == 1:
        options.style = [*own.values()]
    elif own:
        raise InputError(
            "the network has several styles",
            where=network,
            expected=f"--style {' or '.join(own)}",
        )
    elif needed:
        raise InputError("no painting", expected="--style PAINTING")
    return options


def _unpack_styles(network: Path) -> dict[str, str]:
    """Write a network's own paintings to the cache and return their files by name."""
    from impasto.encoders.weight_sources import find_cache_folder
    from impasto.image.files.atomic import make_folder, write_atomically
    from impasto.network.network_files import read_own_paintings

    files = {}
    for name, png in read_own_paintings(network).items():
        folder = find_cache_folder() / "styles" / hashlib.sha256(png).hexdigest()[:16]
        # Only the last part of the name: whoever made the file chose it, and it must stay here.
        file = folder / f"{Path(name).name}.png"
        if not file.exists():
            make_folder(folder)
            write_atomically(file, png)
        files[name] = str(file)
    return files


def read_inputs(
    options: argparse.Namespace, recipe: Recipe, *, reduces: bool = True
) -> tuple[Picture, list[Picture]]:
    """Read the photo and the paintings, and check that the starting picture can be read.

    Args:
        options: the arguments.
        recipe: the recipe of the run.
        reduces: whether paintings may be reduced, as the run would do anyway.
    """
    photo = _read_photo(options)
    paintings = [
        _read_painting(path, options, recipe, photo) if reduces else _read(path, options)
        for path in options.style
    ]
    if recipe.start.image is not None:
        _read(recipe.start.image, options)
    return photo, paintings


def read_job_inputs(
    options: argparse.Namespace, recipe: Recipe, photo: Picture, paintings: list[Picture]
) -> tuple[Recipe, Inputs]:
    """Read the masks of the main command, and join them with its pictures.

    Returns:
        The recipe, with the size that ``--print`` asks of this photo, and the inputs.
    """
    recipe = apply_print_size(recipe, options, photo)
    masks = read_masks(options, photo, paintings)
    from impasto.engine.inputs import Inputs

    return recipe, Inputs.read(recipe, photo, paintings, *masks)


def choose_reading_limit(options: argparse.Namespace) -> int | None:
    """Return the memory that the process may take while it reads.

    Returns:
        Bytes. None: there is no limit, or the limit is for a GPU's memory.
    """
    if options.max_memory is None or options.device == "cpu" or not may_have_gpu():
        limit: int | None = options.max_memory
        return limit
    return choose_hardware(options).resolve().reading_limit


def may_have_gpu() -> bool:
    """Tell whether torch might find a GPU, without loading it. Most of the memory is torch's."""
    drivers = (Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
    return sys.platform != "linux" or any(each.exists() for each in drivers)


def _read_painting(
    path: str, options: argparse.Namespace, recipe: Recipe, photo: Picture
) -> Picture:
    """Read a painting, and reduce it if it is huge."""
    from impasto.image.packed import LARGEST_IN_FLOATS

    painting = _read(path, options)
    if options.print is not None:
        size = options.print.compute_longer_side(photo.width, photo.height)
        recipe = recipe.with_changes({"size": size})
    if painting.width * painting.height <= LARGEST_IN_FLOATS:
        return painting  # without loading torch
    from impasto.engine.sizes import choose_result_size, reduce_painting

    device = choose_hardware(options).resolve().device
    size = max(choose_result_size(photo.width, photo.height, recipe.size, device))
    return reduce_painting(painting, size, recipe.style.scale)


def _read_photo(options: argparse.Namespace) -> Picture:
    from impasto.errors import InputError
    from impasto.image.files.decode import read_picture

    if options.photo != "-":
        return _read(options.photo, options)
    if sys.stdin is None:
        raise InputError(
            "standard input is closed", where="-", expected="the photo's path or a pipe"
        )
    notice, limit = choose_notice(quiet=options.quiet), choose_reading_limit(options)
    return read_picture(sys.stdin.buffer, notice=notice, max_memory=limit)


def _read(path: str, options: argparse.Namespace) -> Picture:
    from impasto.image.files.decode import read_picture

    notice, limit = choose_notice(quiet=options.quiet), choose_reading_limit(options)
    return read_picture(Path(path), notice=notice, max_memory=limit)
