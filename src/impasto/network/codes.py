"""Measure style codes, save and blend them, and paint with them side by side.

>>> atelier = Atelier()  # doctest: +SKIP
>>> wave, night = atelier.code("wave.jpg"), atelier.code("night.jpg")  # doctest: +SKIP
>>> write_code(0.3 * wave + 0.7 * night, "mine-code.safetensors", atelier)  # doctest: +SKIP
>>> atelier.paint("photo.jpg", [wave, night], masks=["sky.png"])  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.engine.machine.hardware import choose_autocast, resolve_device
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels import tensors
from impasto.engine.regions import Regions, blend_images
from impasto.engine.sizes import SHORTEST, choose_result_size
from impasto.errors import InputError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.masks import read_mask, select_visible_part
from impasto.image.picture import Picture
from impasto.network.network_files import network_file
from impasto.network.painter.code_painter import measure_code
from impasto.network.painter.runtime import Runtime
from impasto.network.painter.style_code import NUMBERS, project_codes
from impasto.network.painting_network import make_style_shares
from impasto.recipe.recipe import load_recipe

Code = NDArray[np.float32]
KIND = "impasto style code 2"


class Atelier:
    """A one-pass network that paints by codes, [NUMBERS] float32 each.

    A code holds moments, so a mean of codes is a code. The photo's own code changes a photo least:
    ``(1 - strength) * code(photo) + strength * code(painting)`` weakens a style. A strength above 1
    exaggerates it, as far as pictures with such moments exist.
    """

    def __init__(
        self, network: str | Path | None = None, *, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Load a network file.

        Args:
            network: its path. None: impasto's own network.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            precision: precision of the convolutions: ``auto``, ``float32`` or ``bfloat16``.

        Raises:
            InputError: the device, or the precision, does not exist.
            WeightsError: the network's file, or VGG's, is missing or damaged.
        """
        path = network_file(None if network is None else str(network))
        on = resolve_device(device)
        recipe = load_recipe("draft").with_changes({"precision": precision})
        self._runtime = Runtime.load(path, on, autocast=choose_autocast(recipe.precision, on))
        book = self._runtime.painter.book.state_dict()
        numbers = b"".join(value.cpu().numpy().tobytes() for value in book.values())
        self.units = hashlib.sha256(numbers).hexdigest()
        """Identifies the codes that this network can read."""

    def code(self, painting: Any, *, scale: float = 1.0, size: int = 512) -> Code:
        """Measure the code of a painting, or of a photo.

        Args:
            painting: any kind of image that :func:`impasto.read_picture` takes.
            scale: size of the strokes, relative to ``style.scale`` 1. Values below 1/4 or above 2
                count as these.
            size: of the results that the code is for: the square root of their pixels. It decides
                how strong octaves of detail are; sizes above 1024 count as 1024.

        Raises:
            ImageError, LimitError: the picture cannot be read.
            InputError: the size is below 16 px, the scale is not positive, or the picture is
                transparent all over.
        """
        if not scale > 0:
            raise InputError(f"invalid `scale` {scale}", expected="a number above 0", field="scale")
        if not size >= SHORTEST:
            raise InputError(
                f"invalid size {size}", expected=f"{SHORTEST} px or more", field="size"
            )
        picture = read_picture(painting)
        visible = select_visible_part(picture)
        numbers = measure_code(self._runtime, picture, (size, size), scale, visible)
        code: Code = numbers.cpu().numpy()
        return code

    def paint(
        self,
        photo: Any,
        codes: Sequence[Code],
        *,
        masks: Sequence[Any] = (),
        size: int | None = None,
        like: Any = None,
        grain: float = 1.0,
    ) -> Picture:
        """Paint a photo in the style of a code, or of several codes in their regions.

        Args:
            photo: any kind of image that :func:`impasto.read_picture` takes.
            codes: one code; or one for each mask, and possibly one more for the rest of the photo.
            masks: where each code is the style, as ``impasto.stylize`` takes them. What no mask
                covers is kept if there is no code for it.
            size: longer side of the result in pixels. None: the photo's own, or less on a CPU.
            like: another photo whose statistics are used: the whole that this photo is a part of,
                at the same scale, or one of its series, so that all are painted alike. There is no
                grain then, because it would stay in place. None: the photo's own statistics.
            grain: how much grain the photo is painted with, in [0, 1]. Codes that are close to its
                own need less.

        Raises:
            InputError: there is no code, the numbers of codes and masks do not match, there are
                masks and another photo's statistics, or the grain is outside of [0, 1].
            ImageError, LimitError: a picture cannot be read, or is too large.
        """
        if np.ndim(codes) == 1 and np.size(codes) == NUMBERS:
            raise InputError(
                "`codes` is a single code", expected="a list, such as [code]", field="codes"
            )
        if len(codes) != 1 and not masks:
            raise InputError(
                f"{len(codes)} `codes` without masks",
                expected="one code, or a mask for each",
                field="codes",
            )
        for code in codes:
            _check_code(code)
        if masks and like is not None:
            raise InputError(
                "masks cannot be combined with the statistics of another photo", field="like"
            )
        if not 0 <= grain <= 1:
            raise InputError(f"invalid `grain` {grain}", expected="0 to 1", field="grain")
        if size is not None and not size >= SHORTEST:
            raise InputError(
                f"invalid size {size}", expected=f"{SHORTEST} px or more", field="size"
            )
        picture, storage = read_picture(photo), Storage(torch.device("cpu"))
        sides = choose_result_size(picture.width, picture.height, size, self._runtime.device)
        regions = Regions.combine(load_recipe("draft"), len(codes), map(read_mask, masks))
        image = tensors.picture_to_tensor(picture, *sides, storage)
        stacked = _project_codes(codes)[None]
        where = make_style_shares(regions, sides) if masks else None
        whole = (
            None
            if like is None
            else _resize_to_tensor(read_picture(like), sides[0] / picture.width)
        )
        amounts = torch.full(stacked.shape[:2], grain) if whole is None else None
        output = self._runtime.paint(image, stacked, where, whole, amounts)
        kept_mask = regions.make_kept_mask(*sides, storage)
        if kept_mask is not None:
            output = blend_images(output, image, kept_mask, storage)
        return tensors.tensor_to_picture(output, picture)


def _project_codes(codes: Sequence[Code]) -> torch.Tensor:
    try:
        return project_codes(torch.from_numpy(np.stack(codes).astype(np.float32)))
    except RuntimeError:  # the eigenvalues were not found
        raise InputError("has moments that no picture comes near", what="a code") from None


def _check_code(code: Code) -> None:
    if np.shape(code) != (NUMBERS,) or not np.isfinite(code).all():
        raise InputError("invalid style code", expected=f"{NUMBERS} finite numbers")


def _resize_to_tensor(picture: Picture, scale: float) -> torch.Tensor:
    """Return a picture scaled, as [1, 3, H, W], at least 16 px a side."""
    width, height = (max(SHORTEST, round(n * scale)) for n in (picture.width, picture.height))
    return tensors.picture_to_tensor(picture, width, height, Storage(torch.device("cpu")))


def write_code(code: Code, path: str | Path, atelier: Atelier, *, overwrite: bool = False) -> None:
    """Save a code, with the units of the network that it is for.

    Args:
        code: a code from :meth:`Atelier.code`, or a mean of such codes.
        path: a .safetensors file.
        atelier: the atelier whose network the code is for.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file exists, or the code is invalid.
        ResourceError: the folder cannot be written to, or the disk is full.
    """
    from safetensors.numpy import save

    _check_code(code)
    if Path(path).exists() and not overwrite:
        raise InputError("exists already; `overwrite` replaces it", where=path, field="overwrite")
    note = {"format": KIND, "units": atelier.units}
    data = save({"code": np.asarray(code, np.float32)}, note)
    write_atomically(Path(path), data, overwrite=overwrite)


def read_code(path: str | Path, atelier: Atelier) -> Code:
    """Read a code that :func:`write_code` saved.

    Raises:
        InputError: the file does not exist, holds no code, or is of a network with other units.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            note = file.metadata() or {}
            code: Code | None = file.get_tensor("code") if note.get("format") == KIND else None
    except (OSError, SafetensorError) as error:
        raise InputError(f"holds no style code ({error})", where=path) from None
    if code is None or code.shape != (NUMBERS,):
        raise InputError("holds no style code", where=path, expected=repr(KIND))
    if note.get("units") != atelier.units:
        raise InputError(
            "this code is of a network that measures styles in other units", where=path
        )
    return code
