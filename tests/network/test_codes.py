"""Style codes: kept in files, blended, laid side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.errors import InputError
from impasto.network.codes import Atelier, read_code, write_code
from impasto.network.painter.style_code import NUMBERS

PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
EXACT = {"precision": "float32"}
SECOND = np.ascontiguousarray(PAINTING[::-1, :, ::-1])
LEFT = np.zeros((48, 64), np.uint8)
LEFT[:, :32] = 255


@pytest.fixture(scope="module")
def atelier():
    return Atelier(device="cpu", **EXACT)


@pytest.fixture(scope="module")
def codes(atelier):
    return [atelier.code(each) for each in (PAINTING, SECOND)]


def levels(picture):
    return np.asarray(picture.to_pil().convert("RGB")).astype(float)


def apart(a, b):
    return np.abs(a - b).mean()


def test_a_code_that_was_kept_paints_the_same_picture(atelier, codes, tmp_path):
    path = tmp_path / "mine.safetensors"
    write_code(codes[0], path, atelier)
    restored = read_code(path, atelier)
    assert restored.shape == (NUMBERS,)
    assert np.array_equal(restored, codes[0])
    pictures = [levels(atelier.paint(PHOTO, [code])) for code in (codes[0], restored)]
    assert apart(*pictures) == 0
    assert apart(pictures[0], PHOTO) > 10


def test_it_is_the_draft_of_the_command_line(atelier):
    photo = synthetic_photo(500, 500)
    result = levels(atelier.paint(photo, [atelier.code(PAINTING, size=500)]))
    draft = impasto.stylize(photo, PAINTING, quality="draft", device="cpu", changes=EXACT)
    assert np.abs(result - np.asarray(draft.image.convert("RGB"))).max() <= 1
    assert apart(result, photo) > 10


def test_so_it_is_at_half_the_strength(atelier):
    photo = synthetic_photo(384, 384)
    own, theirs = (atelier.code(each, size=384) for each in (photo, PAINTING))
    result = levels(atelier.paint(photo, [(own + theirs) / 2], grain=0.5))
    how = {"strength": 0.5, "device": "cpu", "changes": EXACT}
    draft = impasto.stylize(photo, PAINTING, quality="draft", **how)
    assert np.abs(result - np.asarray(draft.image.convert("RGB"))).max() <= 1
    full = levels(atelier.paint(photo, [(own + theirs) / 2]))
    assert np.abs(result - full).max() > 1


@pytest.mark.parametrize("strength", [1.05, 1.5, 3])
def test_a_strength_beyond_the_painting_is_a_picture_too(atelier, codes, strength):
    own = atelier.code(PHOTO)
    full, beyond = (
        atelier.paint(PHOTO, [own + share * (codes[0] - own)]).pixels for share in (1, strength)
    )
    assert np.isfinite(beyond).all()
    assert 0 < np.abs(beyond - full).mean() < 0.3


def plain(color, height, width, noise=0):
    grain = np.random.default_rng(0).integers(0, noise + 1, (height, width, 1))
    return (np.full((height, width, 3), color) + grain).astype(np.uint8)


def ruled():
    painting = plain((236, 226, 204), 1024, 1024)
    painting[511:513, 40:-40] = 90, 60, 40
    return painting


@pytest.mark.parametrize(
    ("painting", "size"),
    [(plain((30, 60, 200), 512, 640), 768), (plain(200, 600, 800, 1), 1100), (ruled(), 512)],
    ids=["blue", "hardly any noise", "one line"],
)
def test_a_photo_after_a_plain_painting_is_as_plain(atelier, painting, size):
    result = atelier.paint(PHOTO, [atelier.code(painting, size=size)], size=size).pixels
    mean = painting.mean((0, 1)) / 255
    assert np.abs(result.mean((0, 1)) - mean).max() < 0.02


def test_what_is_no_number_is_not_painted(atelier):
    photo, code = torch.full((1, 3, 32, 32), 0.5), torch.full((1, 1, NUMBERS), torch.nan)
    with pytest.raises(InputError, match="no finite picture of this style"):
        atelier._runtime.paint(photo, code)


def test_what_is_no_code_is_neither_painted_by_nor_kept(atelier, codes, tmp_path):
    for bad in (codes[0][:5], codes[0] * np.nan):
        with pytest.raises(InputError, match="finite numbers"):
            atelier.paint(PHOTO, [bad])
        with pytest.raises(InputError, match="finite numbers"):
            write_code(bad, tmp_path / "bad.safetensors", atelier)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="invalid `scale` -1"):
        atelier.code(PAINTING, scale=-1)
    with pytest.raises(InputError, match="invalid size nan"):
        atelier.code(PAINTING, size=np.nan)
    with pytest.raises(InputError, match="invalid size 0"):
        atelier.paint(PHOTO, codes[:1], size=0)
    with pytest.raises(InputError, match=r"no picture comes near|no finite picture of this style"):
        atelier.paint(PHOTO, [codes[0] * np.float32(1e30)])


def test_grain_is_a_share(atelier, codes):
    with pytest.raises(InputError, match=r"`grain` 1\.5; expected 0 to 1"):
        atelier.paint(PHOTO, codes[:1], grain=1.5)


def test_codes_are_blended_and_the_photos_own_is_the_weakest(atelier, codes):
    one, two, mean = (
        levels(atelier.paint(PHOTO, [code])) for code in (*codes, (codes[0] + codes[1]) / 2)
    )
    assert max(apart(mean, one), apart(mean, two)) < apart(one, two)
    photo = synthetic_photo(384, 384)
    own = atelier.code(photo, size=384)
    weak, strong = (levels(atelier.paint(photo, [code])) for code in (own, codes[0]))
    assert apart(weak, photo) < 0.4 * apart(strong, photo)


def test_codes_are_laid_side_by_side(atelier, codes):
    one, two = (levels(atelier.paint(PHOTO, [code])) for code in codes)
    both = levels(atelier.paint(PHOTO, codes, masks=[LEFT]))
    assert apart(both[:, :24], one[:, :24]) < apart(both[:, :24], two[:, :24])
    assert apart(both[:, 40:], two[:, 40:]) < apart(both[:, 40:], one[:, 40:])
    alone = levels(atelier.paint(PHOTO, codes[:1], masks=[LEFT]))
    assert apart(alone[:, 40:], PHOTO[:, 40:]) == 0


def test_what_cannot_be_is_told(atelier, codes, tmp_path, network_file):
    with pytest.raises(InputError, match="2 `codes` without masks"):
        atelier.paint(PHOTO, codes)
    with pytest.raises(InputError, match="0 `codes`"):
        atelier.paint(PHOTO, [])
    with pytest.raises(InputError, match=f"{NUMBERS} finite numbers"):
        atelier.paint(PHOTO, [codes[0][:-1]])
    with pytest.raises(InputError, match="expected a list, such as"):
        atelier.paint(PHOTO, codes[0])
    path = tmp_path / "mine.safetensors"
    with pytest.raises(InputError, match=r"mine\.safetensors"):
        read_code(path, atelier)
    for content in (b"", b"nothing of the kind", network_file.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no style code"):
            read_code(path, atelier)
    with pytest.raises(InputError, match="exists already"):
        write_code(codes[0], path, atelier)
    write_code(codes[0], path, atelier, overwrite=True)
    with pytest.raises(InputError, match="other units"):
        read_code(path, Atelier(network_file, device="cpu"))
