"""What a decoder process and the server say to each other about a large picture."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImageError
from impasto.image.files.decode import read_picture
from impasto.image.files.layouts import assemble
from impasto.image.files.limits import Limits
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.decoding.decoder_process import PICTURE_ANSWERS


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """Let a decoder ask this process, and change its answers."""
    changes: dict[str, object] = {}

    def ask(question, path, name, *rest):
        return PICTURE_ANSWERS[question](path, name, Limits(), *rest) | changes

    conversation = SimpleNamespace(box=tmp_path, ask=ask, end_process=lambda: None)

    @contextlib.contextmanager
    def converse(*_, **__):
        yield conversation

    monkeypatch.setattr(Decoder, "_converse", converse)
    decoder = Decoder(Limits(), 2**31, 10)
    yield decoder, changes
    decoder.close()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_large_picture_comes_as_the_integers_of_its_file(mode, talk, tmp_path, monkeypatch):
    levels = np.random.default_rng(0).integers(0, 256, (24, 32, 4)).astype(np.uint8)
    levels[:4, :, 3] = 0
    path = tmp_path / "large.png"
    Image.fromarray(levels).convert(mode).save(path)
    before = read_picture(path)
    monkeypatch.setattr(assemble, "LARGEST_IN_FLOATS", 0)
    decoder, changes = talk
    after = decoder.read(path, "large.png")
    assert after.packed is not None
    assert after.compute_sha256() == before.compute_sha256()
    for lie in ({"kind": "object"}, {"kind": "uint16"}, {"hidden": [2, 0, 0]}, {"hidden": "no"}):
        changes |= lie
        with pytest.raises(ImageError, match="damaged"):
            decoder.read(path, "large.png")
        changes.clear()
