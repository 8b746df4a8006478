"""Hold the pictures that an engine paints from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from impasto.engine.machine.hardware import Hardware
from impasto.engine.regions import Regions, read_regions
from impasto.engine.sizes import choose_result_size, reduce_painting
from impasto.errors import InputError
from impasto.image.files.decode import read_paintings, read_picture
from impasto.image.picture import Picture
from impasto.recipe.capabilities import Capabilities
from impasto.recipe.recipe import Recipe


def read_reduced_paintings(
    sources: Sequence[Any], recipe: Recipe, photo: Picture, hardware: Hardware
) -> list[Picture]:
    """Read paintings, and reduce each that is huge before the next one is read.

    Args:
        sources: any kinds of images that :func:`impasto.read_picture` takes.
        recipe: the recipe, with the size of the result.
        photo: the photo of the run.
        hardware: the hardware of the run.

    Raises:
        ImageError, LimitError: a painting cannot be read, or the result would be too small.
        InputError: there is no painting.
    """
    if not sources:
        return read_paintings([])  # which raises
    longer = max(choose_result_size(photo.width, photo.height, recipe.size, hardware.device))
    return [
        reduce_painting(
            read_picture(each, max_memory=hardware.reading_limit), longer, recipe.style.scale
        )
        for each in sources
    ]


@dataclass(frozen=True)
class Inputs:
    """The photo, the paintings, and where each painting is the style.

    Attributes:
        photo: the content picture, at any size.
        paintings: the style pictures, at least one, at any sizes.
        regions: the regions of the photo, and the strength of the style in each.
    """

    photo: Picture
    paintings: tuple[Picture, ...]
    regions: Regions = field(default_factory=Regions)

    @classmethod
    def read(
        cls,
        recipe: Recipe,
        photo: Any,
        paintings: Any,
        masks: Iterable[Any] = (),
        style_masks: Iterable[Any] = (),
        max_memory: int | None = None,
    ) -> Inputs:
        """Read everything that a run of a recipe needs, from any kind of image.

        Args:
            recipe: the recipe with the paintings' strengths and weights.
            photo: any kind of image that :func:`impasto.read_picture` takes.
            paintings: one such image or a list of them.
            masks: where in the photo each painting is the style: any kind of image, at any size,
                white inside.
            style_masks: which part of each painting counts. None: all of it.
            max_memory: bytes that the process may take while it reads. None: there is no limit.

        Raises:
            ImageError, LimitError: a picture or mask cannot be read.
            InputError: there is no painting, numbers do not match, or a mask is black all over.
        """
        content = read_picture(photo, max_memory=max_memory)
        styles = read_paintings(paintings, max_memory=max_memory)
        regions = read_regions(recipe, len(styles), masks, style_masks)
        return cls(content, tuple(styles), regions)

    def check(self, capabilities: Capabilities) -> None:
        """Check that an engine with some capabilities can paint these inputs.

        Raises:
            InputError: it cannot.
        """
        regions = self.regions
        if regions.masks and not capabilities.masks:
            raise InputError(
                "`masks` cannot be used: this engine paints the whole photo in one style",
                field="masks",
            )
        if any(regions.style_masks) and not capabilities.style_masks:
            raise InputError(
                "`style_masks` cannot be used: this engine takes the whole of each painting",
                field="style_masks",
            )
        if len(self.paintings) > 1 and not regions.masks and not capabilities.blends:
            raise InputError(
                f"this engine cannot blend {len(self.paintings)} paintings",
                expected="one painting" + (", or one for each mask" if capabilities.masks else ""),
            )

    def with_pictures(self, photo: Picture, paintings: Sequence[Picture]) -> Inputs:
        """Return the inputs with other pictures in the same regions."""
        return replace(self, photo=photo, paintings=tuple(paintings))

    def with_recipe(self, recipe: Recipe) -> Inputs:
        """Return the inputs with a recipe's strengths and weights.

        Raises:
            InputError: the recipe is for another number of paintings.
        """
        masks, style_masks = self.regions.masks, self.regions.style_masks
        regions = Regions.combine(recipe, len(self.paintings), masks, style_masks)
        return replace(self, regions=regions)

    def reduce_paintings(self, longer: int, scale: float) -> Inputs:
        """Return the inputs with reduced copies of huge paintings.

        Args:
            longer: longer side of the result in pixels.
            scale: the recipe's ``style.scale``.
        """
        copies = [reduce_painting(each, longer, scale) for each in self.paintings]
        return self.with_pictures(self.photo, copies)

    def hide_transparent(self) -> Inputs:
        """Return the inputs with style masks that leave out what is transparent in a painting.

        Raises:
            InputError: a painting is transparent all over.
        """
        return replace(self, regions=self.regions.hide_transparent(self.paintings))

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The photo and the paintings."""
        return (self.photo, *self.paintings)

    @property
    def reading_peak(self) -> int:
        """Bytes that the process took at most while it read the pictures."""
        return max(picture.metadata.reading_peak for picture in self.pictures)

    @property
    def hashes(self) -> list[str]:
        """What identifies the inputs in a checkpoint."""
        return [*(picture.compute_sha256() for picture in self.pictures), *self.regions.hashes]
