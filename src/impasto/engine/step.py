"""What the loop yields after every iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from impasto.engine.colors import Colors, apply_colors
from impasto.engine.regions import restore_photo
from impasto.engine.tensors import tensor_to_picture
from impasto.image.picture import Picture

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Step:
    """One iteration: one evaluation of the objective and its gradient.

    A step that is kept keeps its own picture: 12 bytes a pixel on the device.

    Attributes:
        iteration: 1 for the first, over the whole run.
        total: iterations of the whole run; at most, if its scales may end early.
        scale: index of the scale, 0 the coarsest.
        scales: how many there are.
        width, height: of the picture at this scale, in pixels.
        losses: none, of a network's one pass; else ``total``, ``content``, ``style``,
            ``smoothness`` and, if the recipe weighs them, ``palette`` and ``photorealism``,
            weighted. Those of the very last step are
            measured on the 8-bit picture that will be saved, but before it is given the photo's
            colors where the recipe asks for them.
        elapsed_s: seconds worked so far, sessions before a resume included.
        eta_s: seconds left, from the work left at the rate of this scale; likewise at most.
        tile: side of the tiles that scales larger than one are worked on in; 0: none.
        fell_back: whether that is because memory ran out on the way.
        last: whether this is the end of the run.
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
    _kept: Tensor | None = None

    def picture(self) -> Picture:
        """The best picture up to this step, at this scale's size, float32, in the result's
        colors.
        """
        # Colors that were taken out and put back are not the photo's to the last bit.
        return self.keeping(
            apply_colors(self._colors, tensor_to_picture(self._image, self._photo), self._photo)
        )

    def of(self, photo: Picture, colors: Colors) -> Step:
        """Return the step as if its run had been given the photo itself.

        For a run in the colors ``style`` whose inputs :func:`.colors.prepare_colors` had prepared.
        """
        return replace(self, _photo=photo, _colors=colors)

    def keeping(self, picture: Picture) -> Picture:
        """A picture of this scale's size with the photo where all of it is kept."""
        return picture if self._kept is None else restore_photo(picture, self._photo, self._kept)

    def preview(self) -> Image.Image:
        """The best picture up to this step as a PIL image, 8 bit."""
        return self.picture().to_pil()
