"""Style codes of one's own: measured, kept in a file, blended, and laid side by side.

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

from impasto.engine import tensors as canvas
from impasto.engine.hardware import choose_autocast, resolve_device
from impasto.engine.regions import Regions, blend_images
from impasto.engine.sizes import SHORTEST, result_size
from impasto.engine.storage import Storage
from impasto.errors import InputError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.masks import read_mask, select_visible_part
from impasto.image.picture import Picture
from impasto.network.code_painter import measure_code
from impasto.network.network_files import network_file
from impasto.network.painting_network import make_style_shares
from impasto.network.runtime import Runtime
from impasto.network.style_code import NUMBERS, possible
from impasto.recipe.recipe import load_recipe

Code = NDArray[np.float32]
KIND = "impasto style code 2"


class Atelier:
    """A one-pass network that paints by codes, [NUMBERS] float32 each.

    A code holds moments, so means of codes are codes, and the code of the photo changes least:
    ``(1 - strength) * code(photo) + strength * code(painting)``. A strength above 1 goes beyond the
    painting, as far as there are pictures of such moments.
    """

    def __init__(
        self, network: str | Path | None = None, *, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Load a network file; none: impasto's own.

        Args:
            network: its path.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            precision: of the convolutions, as a recipe's: ``auto``, ``float32`` or ``bfloat16``.

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
        """Tells codes that this network can read from others."""

    def code(self, painting: Any, *, scale: float = 1.0, size: int = 512) -> Code:
        """The code of a painting, or of a photo.

        Args:
            painting: a picture, as :func:`impasto.read_picture` takes it.
            scale: how large its strokes are to be, beside those of ``style.scale`` 1; what is below
                1/4 or above 2 counts as these.
            size: of the results it is for, the square root of their pixels; it tells how strong
                octaves of detail are, and does up to 1024 px.

        Raises:
            ImageError, LimitError: it cannot be read.
            InputError: a size below 16 px, a scale not above 0, or all of it is transparent.
        """
        if not scale > 0:
            raise InputError(f"scale {scale}: how large strokes are to be, above 0")
        if not size >= SHORTEST:
            raise InputError(f"size {size}: a code is for results of {SHORTEST} px at least")
        picture = read_picture(painting)
        shown = select_visible_part(picture)
        found = measure_code(self._runtime, picture, (size, size), scale, shown)
        code: Code = found.cpu().numpy()
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
        """A photo in the style of a code, or of several, each in its place.

        Args:
            photo: a picture.
            codes: one; or as many as masks, or one more, which is for the rest.
            masks: where each is the style, as ``impasto.stylize`` takes them; what none shows is
                kept, if there is no code for it.
            size: longer side of the result; none: the photo's own, or less on a CPU.
            like: another photo, by whose statistics this one is painted: the whole that it is a
                part of, at the same scale, or one of its series, so that all are painted alike,
                and without grain, which would stay in place; none: its own.
            grain: how much of it the photo is painted with, in [0, 1]: less for codes that are
                close to its own.

        Raises:
            InputError: numbers of codes and masks that do not go together, or no codes; masks and
                another photo's statistics; grain outside [0, 1].
            ImageError, LimitError: a picture cannot be read, or is too large.
        """
        if np.ndim(codes) == 1 and np.size(codes) == NUMBERS:
            raise InputError("codes are a list: [code], if there is but one")
        if len(codes) != 1 and not masks:
            raise InputError(f"{len(codes)} codes and no masks: blend them to one, or give masks")
        for code in codes:
            _check(code)
        if masks and like is not None:
            raise InputError("statistics of another photo are for one code without masks")
        if not 0 <= grain <= 1:
            raise InputError(f"grain {grain}: from 0 to 1")
        if size is not None and not size >= SHORTEST:
            raise InputError(f"size {size}: results have {SHORTEST} px at least")
        picture, storage = read_picture(photo), Storage(torch.device("cpu"))
        wanted = result_size(picture.width, picture.height, size, self._runtime.device)
        regions = Regions.of(load_recipe("draft"), len(codes), map(read_mask, masks))
        image = canvas.picture_to_tensor(picture, *wanted, storage)
        given = _possible(codes)[None]
        where = make_style_shares(regions, wanted) if masks else None
        whole = None if like is None else _at_scale(read_picture(like), wanted[0] / picture.width)
        amounts = torch.full(given.shape[:2], grain) if whole is None else None
        painted = self._runtime.paint(image, given, where, whole, amounts)
        kept = regions.make_kept_mask(*wanted, storage)
        if kept is not None:
            painted = blend_images(painted, image, kept, storage)
        return canvas.tensor_to_picture(painted, picture)


def _possible(codes: Sequence[Code]) -> torch.Tensor:
    try:
        return possible(torch.from_numpy(np.stack(codes).astype(np.float32)))
    except RuntimeError:  # eigenvalues that are not found
        raise InputError("a code is too far from any picture's") from None


def _check(code: Code) -> None:
    if np.shape(code) != (NUMBERS,) or not np.isfinite(code).all():
        raise InputError(f"a style code has {NUMBERS} finite numbers")


def _at_scale(picture: Picture, scale: float) -> torch.Tensor:
    """[1, 3, H, W], at least 16 px a side."""
    width, height = (max(SHORTEST, round(n * scale)) for n in (picture.width, picture.height))
    return canvas.picture_to_tensor(picture, width, height, Storage(torch.device("cpu")))


def write_code(code: Code, path: str | Path, atelier: Atelier, *, overwrite: bool = False) -> None:
    """Keep a code in a file, with the units of the network it is for.

    Args:
        code: of :meth:`Atelier.code`, or a mean of such.
        path: a .safetensors.
        atelier: whose network it is for.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file exists, or it is no code.
        ResourceError: the folder cannot be written or the disk is full.
    """
    from safetensors.numpy import save

    _check(code)
    if Path(path).exists() and not overwrite:
        raise InputError(f"{path}: exists already; overwrite=True replaces it")
    note = {"format": KIND, "units": atelier.units}
    write_atomically(Path(path), save({"code": np.asarray(code, np.float32)}, note))


def read_code(path: str | Path, atelier: Atelier) -> Code:
    """What :func:`write_code` kept.

    Raises:
        InputError: no such file, not one of these, or of a network with other units.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            note = file.metadata() or {}
            code: Code | None = file.get_tensor("code") if note.get("format") == KIND else None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: holds no style code ({error})") from None
    if code is None or code.shape != (NUMBERS,):
        raise InputError(f"{path}: holds no style code ({KIND!r} expected)")
    if note.get("units") != atelier.units:
        raise InputError(f"{path}: is of a network that measures styles in other units")
    return code
