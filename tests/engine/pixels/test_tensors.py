"""Pictures of tensors, and paintings that are reduced before a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from conftest import synthetic_photo
from impasto.engine import sizes
from impasto.engine.pixels import tensors
from impasto.engine.pixels.tensors import tensor_to_picture
from impasto.engine.sizes import reduce_painting
from impasto.image import rows
from impasto.image.packed import PackedPixels
from impasto.image.picture import Picture


def test_the_pixels_of_a_large_result_stay_in_its_tensor(monkeypatch):
    image = torch.rand(1, 3, 24, 32) * 1.2 - 0.1
    photo = Picture(np.zeros((48, 64, 3), np.float32), np.full((48, 64), 0.5, np.float32))
    small = tensor_to_picture(image, photo)
    monkeypatch.setattr(tensors, "LARGEST_IN_FLOATS", 0)
    monkeypatch.setattr(rows, "PIXELS_PER_BAND", 100)
    count = []
    large = tensor_to_picture(image, photo, lambda: count.append(1))
    assert large.to_pil().tobytes() == small.to_pil().tobytes()
    assert len(count) == 8  # after every band of three rows, the pages of a file can go
    assert np.array_equal(large.pixels, small.pixels)
    assert large.compute_sha256() == small.compute_sha256()


@pytest.mark.parametrize(
    ("size", "longer", "scale", "side"),
    [
        ((4200, 2000), 128, 1.0, 2048),
        ((3000, 2000), 1200, 1.0, 3000),
        ((8000, 6000), 1024, 1.0, 2364),
        ((8000, 6000), 1024, 2.0, 8000),
        ((8000, 6000), 1024, 0.5, 2364),
        ((2000, 1500), 128, 1.0, 2000),
    ],
)
def test_a_huge_painting_is_reduced_to_twice_what_a_run_compares(
    size, longer, scale, side, monkeypatch
):
    monkeypatch.setattr(Picture, "reduce", lambda self, *size: max(size))
    width, height = size
    painting = Picture(PackedPixels(np.zeros((1, 1, 3), np.uint8)))
    monkeypatch.setattr(Picture, "width", width)
    monkeypatch.setattr(Picture, "height", height)
    copy = reduce_painting(painting, longer, scale)
    assert (max(size) if copy is painting else copy) == side
    needed = max(sizes.fit_painting(size, (longer, longer), scale))
    assert side >= min(max(size), sizes.MARGIN * needed)


def test_reducing_before_or_at_the_start_of_a_run_is_the_same(monkeypatch):
    monkeypatch.setattr(sizes, "LARGEST_IN_FLOATS", 0)
    monkeypatch.setattr(sizes, "LEAST_PAINTING", 20)
    whole = Picture(PackedPixels(synthetic_photo(200, 150)))
    early = reduce_painting(whole, 30, 1.0)
    assert early is not whole
    assert reduce_painting(early, 30, 1.0) is early
    assert early.compute_sha256() == whole.compute_sha256()
