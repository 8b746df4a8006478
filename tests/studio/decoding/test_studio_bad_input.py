"""The table of bad inputs over HTTP, and the process that decodes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")

from PIL import Image

from conftest import synthetic_photo
from hostile import ADAPTED, REFUSED
from images import png_file
from impasto.errors import LimitError
from impasto.image.files.layouts import deep
from impasto.image.files.limits import MIB, Limits
from impasto.studio.decoding.decoder import Decoder
from impasto.studio.settings import StudioSettings
from studios import PHOTO, accepted, inside, post, refused, studio_of

pytestmark = pytest.mark.usefixtures("in_work")
CODES = {2: "not_a_picture", 3: "over_limit"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    with inside(folder, max_queue=1000, max_upload=30_000_000) as client:
        yield client


def written(make) -> bytes:
    with open(make(), "rb") as file:  # noqa: PTH123 -- by name, in the folder of the test
        return file.read()


ROWS = [row for row in REFUSED if row[0] != 24]  # 24 is about folders and pipes
HERE = [
    (1, lambda: b"", "not_a_picture", "is empty"),
    (2, lambda: b"<!doctype html><p>", "not_a_picture", "looks like a web page"),
    (2, lambda: b"hello\n", "not_a_picture", "looks like text"),
    (4, lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_a_picture", "PostScript"),
    (5, lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture", "rasterize"),
    (5, lambda: b"%PDF-1.7\n", "not_a_picture", "PDF"),
    (6, lambda: png_file((14_000, 14_000, 8, 2, 0), b""), "over_limit", "196.0 megapixels"),
    (7, lambda: png_file((10_000, 10_000, 8, 2, 0), b""), "over_limit", "megapixels"),
    (8, lambda: png_file((2**31 - 1, 1, 8, 2, 0), b""), "over_limit", "px per side"),
    (9, lambda: png_file((1, 1, 8, 2, 0), b"\0\0\0\0"), "over_limit", "too small"),
]
ALL = [(n, lambda make=make: written(make), CODES[code], says) for n, make, code, says in ROWS]
ALL += HERE


@pytest.mark.parametrize(
    ("make", "code", "says"), [row[1:] for row in ALL], ids=[f"row {r[0]}: {r[3]}" for r in ALL]
)
@pytest.mark.parametrize("place", ["photo", "style", "mask", "init"])
def test_a_bad_picture_is_one_problem(client, place, make, code, says):
    data = make()
    options = {"photo": {"photo": data}, "style": {"styles": (data,)}}.get(place, {})
    others = [] if options else [(place, ("a.png", data))]
    assert says.replace("the limit", "") in refused(post(client, *others, **options), code)
    folder = studio_of(client).folder
    assert not list(folder.staging.iterdir())


@pytest.mark.parametrize(
    "make", [row[1] for row in ADAPTED], ids=[f"row {row[0]}: {row[3]}" for row in ADAPTED]
)
def test_an_odd_picture_is_accepted(client, make):
    data = written(make)
    job = accepted(post(client, photo=data))
    answer = client.get(job["links"]["photo"])
    assert answer.status_code == 200
    assert b"php" not in answer.content


def test_the_server_survives_them_all(client):
    # The last of a module's tests: one process has decoded all that was not too much for it.
    assert accepted(post(client))["state"] == "queued"


# --- the process -------------------------------------------------------------------------------


@pytest.fixture
def decoder():
    decoder = Decoder(Limits(), 2**31, 20)
    yield decoder
    decoder.close()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(PHOTO)
    return path


def test_a_picture_comes_through_the_process_as_it_is(decoder, tmp_path):
    from impasto.image.files.decode import read_picture

    exif = Image.Exif()
    exif[315] = "somebody"
    pixels = np.dstack([synthetic_photo(), synthetic_photo()[..., 0]])
    for kind, values in (("PNG", pixels), ("JPEG", pixels[..., :3]), ("PNG", pixels[..., 0])):
        path = tmp_path / "picture"
        Image.fromarray(values).save(path, kind, exif=exif)
        actual, expected = decoder.read(path, "it"), read_picture(path)
        np.testing.assert_array_equal(actual.pixels, expected.pixels)
        assert actual.compute_sha256() == expected.compute_sha256()
        assert actual.metadata == expected.metadata
        assert actual.metadata.exif is not None
    assert not list(tmp_path.glob("picture?*"))


@pytest.mark.skipif(sys.platform != "linux", reason="needs the fork server")
def test_a_server_of_forks_that_died_between_two_pictures_costs_neither(decoder, photo):
    assert decoder.check(photo, "it") == (64, 48)
    server = decoder._launcher._server
    server.kill()
    server.wait()
    assert decoder.check(photo, "it") == (64, 48)


def test_the_process_may_not_take_more_memory_than_it_is_given(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (3000, 3000)).save(path, compress_level=1)
    small = Decoder(Limits(), 300 * MIB, 60)
    try:
        with pytest.raises(LimitError, match="memory"):
            small.check(path, "large")
    finally:
        small.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_limits_of_the_process_are_set(decoder, photo):
    with decoder._converse(photo) as conversation:
        lines = Path(f"/proc/{conversation.process.id}/limits").read_text().splitlines()
    limits = {line[:25].strip(): line[26:46].strip() for line in lines}
    assert limits["Max address space"] == str(512 * MIB + len(PHOTO) + 96 * 64 * 48)
    assert limits["Max core file size"] == "0"
    assert limits["Max cpu time"] == "20"
    assert limits["Max open files"] == "64"
    assert limits["Max file size"] == str(64 * MIB + 16 * Limits().max_pixels)


def test_the_largest_picture_fits_into_the_memory_that_it_is_given(tmp_path):
    settings = StudioSettings(data=tmp_path, max_pixels=1600 * 1200)
    levels = np.random.default_rng(0).integers(0, 65_536, (1200, 1600, 4), dtype=np.uint16)
    path = tmp_path / "large"
    path.write_bytes(deep.write_deep_png(levels.shape, levels.__getitem__, []))
    # Less than it would have: what does not depend on the picture must not make up for it.
    memory = settings.decode_memory - 250 * MIB
    decoder = Decoder(settings.limits, memory, 60)
    try:
        assert decoder.check(path, "large", tmp_path / "view") == (1600, 1200)
        decoder.convert(path, tmp_path / "start.png", "large", depth=16)
        assert decoder.read(path, "large").alpha is not None
    finally:
        decoder.close()
