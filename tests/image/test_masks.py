"""Reading and resizing masks."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from impasto.image.masks import Mask, read_mask


def half(width: int = 64, height: int = 48) -> np.ndarray:
    """White on the left."""
    mask = np.zeros((height, width), np.float32)
    mask[:, : width // 2] = 1
    return mask


def test_masks_are_read_from_arrays_images_and_tensors():
    values = half()
    levels = (values * 255).astype(np.uint8)
    kinds = [values, levels, Image.fromarray(levels), torch.from_numpy(values)[None]]
    for kind in kinds:
        assert np.array_equal(read_mask(kind).values, values)
    clear = np.dstack([np.full((48, 64, 3), 255, np.uint8), levels])
    assert np.array_equal(read_mask(clear).values, values)


def test_resized_masks_are_soft_and_keep_exact_0_and_1():
    mask = Mask(half())
    large = mask.resize_rows(200, 150, slice(0, 150))
    assert large.min() == 0
    assert large.max() == 1
    assert ((large > 0.1) & (large < 0.9)).any()
    parts = [mask.resize_rows(200, 150, slice(a, a + 50)) for a in (0, 50, 100)]
    assert np.allclose(np.concatenate(parts), large, atol=1e-4)
    assert (Mask(np.ones((7, 9), np.float32)).resize_rows(31, 23, slice(0, 23)) == 1).all()
