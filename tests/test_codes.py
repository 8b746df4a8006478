"""Style codes: kept in files, blended, laid side by side."""

from __future__ import annotations

import numpy as np
import pytest

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.errors import InputError
from impasto.fast.codes import Atelier, read_code, write_code
from impasto.fast.style_code import NUMBERS

PHOTO, PAINTING = synthetic_photo(), synthetic_painting()
EXACT = {"precision": "float32"}
SECOND = np.ascontiguousarray(PAINTING[::-1, :, ::-1])
LEFT = np.zeros((48, 64), np.uint8)
LEFT[:, :32] = 255


@pytest.fixture(scope="module")
def atelier():
    return Atelier(device="cpu")


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
    kept = read_code(path, atelier)
    assert kept.shape == (NUMBERS,)
    assert np.array_equal(kept, codes[0])
    made = [levels(atelier.paint(PHOTO, [code])) for code in (codes[0], kept)]
    assert apart(*made) == 0
    assert apart(made[0], PHOTO) > 10


def test_it_is_the_draft_of_the_command_line(atelier):
    photo = synthetic_photo(500, 500)
    made = levels(atelier.paint(photo, [atelier.code(PAINTING, size=500)]))
    draft = impasto.stylize(photo, PAINTING, quality="draft", device="cpu", changes=EXACT)
    assert np.abs(made - np.asarray(draft.image.convert("RGB"))).max() <= 1
    assert apart(made, photo) > 10


def test_so_it_is_at_half_the_strength(atelier):
    photo = synthetic_photo(384, 384)
    own, theirs = (atelier.code(each, size=384) for each in (photo, PAINTING))
    made = levels(atelier.paint(photo, [(own + theirs) / 2], grain=0.5))
    how = {"strength": 0.5, "device": "cpu", "changes": EXACT}
    draft = impasto.stylize(photo, PAINTING, quality="draft", **how)
    assert np.abs(made - np.asarray(draft.image.convert("RGB"))).max() <= 1
    full = levels(atelier.paint(photo, [(own + theirs) / 2]))
    assert np.abs(made - full).max() > 1


def test_grain_is_a_share(atelier, codes):
    with pytest.raises(InputError, match=r"grain 1\.5: from 0 to 1"):
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
    with pytest.raises(InputError, match="2 codes and no masks"):
        atelier.paint(PHOTO, codes)
    with pytest.raises(InputError, match="0 codes"):
        atelier.paint(PHOTO, [])
    with pytest.raises(InputError, match=f"{NUMBERS} numbers"):
        atelier.paint(PHOTO, [codes[0][:-1]])
    with pytest.raises(InputError, match="codes are a list"):
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
