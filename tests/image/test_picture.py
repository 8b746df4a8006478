"""Sizes and hashes of pictures."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from images import (
    UNIT,
)
from impasto.image.picture import Metadata, Picture, fit_within


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4000))
def test_fit_within_keeps_the_aspect(width, height, longer):
    w, h = fit_within(width, height, longer)
    assert max(w, h) == longer
    assert abs(w * height - h * width) <= max(width, height)


def test_resizing_is_antialiased_and_keeps_the_mean():
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2] = 1
    small = Picture(stripes, None, Metadata()).resize(8, 8)
    assert np.allclose(small.pixels, 0.5, atol=0.05)


def test_the_hash_depends_on_alpha():
    half = np.full(UNIT.shape[:2], 0.5, np.float32)
    hashes = {Picture(UNIT, alpha).compute_sha256() for alpha in (None, half, half / 2)}
    assert len(hashes) == 3
    assert (
        Picture(UNIT, half).compute_sha256() == Picture(UNIT.copy(), half.copy()).compute_sha256()
    )
