"""A small network, pictures and objectives, for tests of objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from impasto.encoders.layers import list_convolutions
from impasto.encoders.parameters import CAFFE, InputConvention, VggParameters
from impasto.encoders.vgg import VggEncoder
from impasto.engine.machine.storage import Storage
from impasto.objective.evaluation import FeatureExtractor, list_taps
from impasto.objective.neighbors import NeighborObjective
from impasto.objective.terms import PassPictures
from impasto.objective.tiled import TiledObjective
from impasto.objective.whole import WholeObjective
from impasto.recipe.recipe import Recipe

CHANNELS = (4, 5, 6, 7, 8)


def narrow_vgg(recipe: Recipe) -> VggEncoder:
    """VGG-19's topology with a few channels, random, in float64."""
    generator = torch.Generator().manual_seed(3)
    layers, inputs = {}, 3
    for layer in list_convolutions("vgg19"):
        outputs = CHANNELS[layer.block - 1]
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * (2 / 9 / inputs) ** 0.5
        layers[layer.name] = (weight, torch.rand(outputs, generator=generator))
        inputs = outputs
    convention = InputConvention("bgr", torch.full((3,), 4.0), CAFFE.offset / 64)
    parameters = VggParameters("vgg19", layers, convention, origin="", license="")
    choice = recipe.encoder
    return VggEncoder(
        parameters, list_taps(recipe), pooling=choice.pooling, padding=choice.padding
    ).double()


def picture(height: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, height, width, generator=generator, dtype=torch.float64)


def make_whole(
    recipe: Recipe,
    encoder: VggEncoder,
    photo: torch.Tensor,
    paintings: Sequence[torch.Tensor],
    *,
    autocast: torch.dtype | None = None,
    **options: Any,
) -> WholeObjective:
    extractor = FeatureExtractor(recipe, encoder, autocast)
    return WholeObjective(extractor, _take_pictures(photo, paintings, options), **options)


def make_tiled(
    recipe: Recipe,
    encoder: VggEncoder,
    photo: torch.Tensor,
    paintings: Sequence[torch.Tensor],
    *,
    autocast: torch.dtype | None = None,
    **options: Any,
) -> TiledObjective:
    extractor = FeatureExtractor(recipe, encoder, autocast)
    return TiledObjective(extractor, _take_pictures(photo, paintings, options), **options)


def make_neighbors(
    recipe: Recipe,
    encoder: VggEncoder,
    photo: torch.Tensor,
    paintings: Sequence[torch.Tensor],
    *,
    autocast: torch.dtype | None = None,
    **options: Any,
) -> NeighborObjective:
    extractor = FeatureExtractor(recipe, encoder, autocast)
    return NeighborObjective(extractor, _take_pictures(photo, paintings, options), **options)


def _take_pictures(
    photo: torch.Tensor, paintings: Sequence[torch.Tensor], options: dict[str, Any]
) -> PassPictures:
    """Take the pictures out of the options."""
    names = ("masks", "style_masks", "weight", "past", "start", "storage")
    pictures = {name: options.pop(name) for name in names if name in options}
    return PassPictures(photo, paintings, **pictures)


def both(
    recipe: Recipe,
    height: int,
    width: int,
    side: int,
    masks: Sequence[torch.Tensor] = (),
    storage: Storage | None = None,
) -> tuple[WholeObjective, TiledObjective]:
    encoder, photo = narrow_vgg(recipe), picture(height, width, 1)
    styles = [picture(70, 83, 2), picture(49, 131, 3)]
    whole = make_whole(recipe, encoder, photo, styles, masks=masks)
    return whole, make_tiled(
        recipe, encoder, photo, styles, side=side, masks=masks, storage=storage
    )


def assert_equal_evaluations(
    whole: WholeObjective, tiled: TiledObjective, image: torch.Tensor
) -> None:
    losses, gradient = whole.evaluate(image)
    their_losses, their_gradient = tiled.evaluate(image)
    assert their_losses == pytest.approx(losses, rel=1e-12)
    assert tiled.compute_losses(image) == pytest.approx(losses, rel=1e-12)
    assert gradient.abs().max() > 0
    assert (their_gradient - gradient).abs().max() <= 1e-12 * gradient.abs().max()
