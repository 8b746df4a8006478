"""Define the report that a run yields after every iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from impasto.engine.pixels.colors import Colors, apply_colors
from impasto.engine.pixels.tensors import tensor_to_picture
from impasto.engine.regions import restore_photo
from impasto.errors import ImpastoError
from impasto.image.picture import Picture

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Step:
    """One iteration: one evaluation of the objective and its gradient.

    Every step holds its own picture: 12 bytes a pixel on the device.

    Attributes:
        iteration: 1 for the first one of the run.
        total: iterations of the whole run. It may end earlier if its scales may converge.
        scale: index of the scale, 0 the coarsest.
        scales: number of scales.
        width: width of the picture at this scale, in pixels.
        height: height of the picture at this scale, in pixels.
        losses: weighted: ``total``, ``content``, ``style``, ``smoothness`` and, if the recipe
            weighs them, ``palette`` and ``photorealism``. Empty for a network, which has none. The
            last step's are measured on the 8-bit picture that will be saved, but before it gets the
            photo's colors where the recipe asks for them.
        elapsed_s: seconds of work so far, including sessions before a resume.
        eta_s: estimate of the seconds left at the pace of this scale; fewer if scales converge.
        tile: side in pixels of the tiles of larger scales. 0: no tiles.
        fell_back: whether there are tiles because memory ran out during the run.
        last: whether this is the end of the run.
        checkpoint_failure: why the last checkpoint that was due could not be written. None: it
            could, or none was due.
    """

    iteration: int
    total: int
    scale: int
    scales: int
    width: int
    height: int
    losses: dict[str, float]
    elapsed_s: float
    eta_s: float
    tile: int
    fell_back: bool
    last: bool
    _image: Tensor
    _photo: Picture
    _colors: Colors = "style"
    _kept_mask: Tensor | None = None
    _settle: Callable[[], None] | None = None
    checkpoint_failure: ImpastoError | None = None

    @classmethod
    def make_only(
        cls,
        image: Tensor,
        photo: Picture,
        *,
        colors: Colors = "style",
        kept_mask: Tensor | None = None,
        elapsed_s: float = 0.0,
    ) -> Step:
        """Make the only step of an engine that paints in one pass.

        Args:
            image: [1, 3, H, W] RGB in [0, 1], the result.
            photo: the photo as it was given.
            colors: the colors that the result gets; see :attr:`impasto.Recipe.colors`.
            kept_mask: [H, W] in [0, 1], how much of the photo is kept. None: none of it.
            elapsed_s: seconds of work.
        """
        return cls(
            iteration=1,
            total=1,
            scale=0,
            scales=1,
            width=image.shape[3],
            height=image.shape[2],
            losses={},
            elapsed_s=elapsed_s,
            eta_s=0.0,
            tile=0,
            fell_back=False,
            last=True,
            _image=image,
            _photo=photo,
            _colors=colors,
            _kept_mask=kept_mask,
        )

    def picture(self) -> Picture:
        """Return the best picture so far, float32, at this scale's size, in the result's colors."""
        # Colors that were removed and restored differ from the photo's in the last bits.
        return self.keep_photo(
            apply_colors(
                self._colors,
                tensor_to_picture(self._image, self._photo, self._settle),
                self._photo,
            )
        )

    def with_photo(self, photo: Picture, colors: Colors) -> Step:
        """Return the step as if its run had been given the photo itself.

        For a run in the colors ``style`` whose inputs
        :func:`impasto.engine.pixels.colors.prepare_colors` prepared.
        """
        return replace(self, _photo=photo, _colors=colors)

    def keep_photo(self, picture: Picture) -> Picture:
        """Put the photo into a picture of this scale's size, where all of it is kept."""
        return (
            picture
            if self._kept_mask is None
            else restore_photo(picture, self._photo, self._kept_mask)
        )

    def preview(self) -> Image.Image:
        """Return the best picture so far as a PIL image, 8 bit."""
        return self.picture().to_pil()
