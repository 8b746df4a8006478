"""Files with splats: what is read, what is written, and what is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.errors import ImpastoError, LimitError
from impasto.scene.scene_files import splat_file
from impasto.scene.scene_files.read_scene import parse_scene, read_scene
from impasto.scene.scene_files.splat_ply import SplatPly
from splat_scenes import make_blob, write_ply, write_records

BLOB = make_blob(6)
PLY = write_ply(BLOB)


def recolor(data: bytes, way: str = "scale") -> tuple[bytes, np.ndarray]:
    colors = np.linspace(0.1, 0.9, 18, dtype=np.float32).reshape(6, 3)
    return parse_scene(data, "x").recolor(colors, way), colors


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_ply_file_of_any_degree_and_order_is_read(degree, order):
    file = parse_scene(write_ply(BLOB, degree, order), "x.ply")
    assert isinstance(file, SplatPly)
    assert file.degree == degree
    for name in BLOB.__dataclass_fields__:
        assert getattr(file.splats, name) == pytest.approx(getattr(BLOB, name), abs=1e-5)


def test_records_are_read():
    file = parse_scene(write_records(BLOB), "x.splat")
    assert file.kind == "splat"
    assert file.splats.positions == pytest.approx(BLOB.positions)
    assert file.splats.rotations == pytest.approx(BLOB.rotations, abs=0.02)
    assert file.splats.colors == pytest.approx(BLOB.colors, abs=0.003)


@pytest.mark.parametrize("way", ["keep", "scale", "drop"])
def test_only_colors_change_in_a_ply_file(way):
    data = write_ply(BLOB, 2)
    changed, colors = recolor(data, way)
    assert parse_scene(changed, "x").splats.colors == pytest.approx(colors, abs=1e-5)
    assert len(changed) == len(data)
    header = data.index(b"end_header\n") + 11
    assert changed[:header] == data[:header]
    names = [line.split()[-1] for line in data[:header].decode().split("\n") if "float" in line]
    before, after = (
        np.frombuffer(each, [(n, "<f4") for n in names], offset=header) for each in (data, changed)
    )
    differ = {n for n in names if not np.array_equal(before[n], after[n])}
    rest = {n for n in names if n.startswith("f_rest")}
    assert differ - rest == {"f_dc_0", "f_dc_1", "f_dc_2"}
    if way == "keep":
        assert not differ & rest
    elif way == "drop":
        assert not any(after[n].any() for n in rest)
    else:
        assert all((np.abs(after[n]) <= np.abs(before[n])).all() for n in rest)


def test_only_colors_change_in_records():
    data = write_records(BLOB)
    changed, colors = recolor(data)
    differ = [i for i in range(len(data)) if data[i] != changed[i]]
    assert differ
    assert {i % 32 for i in differ} <= {24, 25, 26}
    assert parse_scene(changed, "x").splats.colors == pytest.approx(colors, abs=0.003)


def test_a_color_that_stays_keeps_its_bytes_even_outside_of_the_gamut():
    bright = make_blob(6)
    bright.colors[0] = 1.4
    data = write_ply(bright, 1)
    file = parse_scene(data, "x")
    assert file.recolor(file.splats.colors.clip(0, 1), "drop") == data


def replace_line(old: bytes, new: bytes) -> bytes:
    assert old in PLY
    return PLY.replace(old, new, 1)


def patch_ply(field: int, value: float) -> bytes:
    data = bytearray(PLY)
    start = data.index(b"end_header\n") + 11 + 4 * field
    data[start : start + 4] = np.float32(value).tobytes()
    return bytes(data)


def flatten_quaternion() -> bytes:
    data = bytearray(PLY)
    start = data.index(b"end_header\n") + 11 + 4 * 13
    data[start : start + 16] = bytes(16)
    return bytes(data)


DAMAGED = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no scene at all, but a text", "no scene"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(64), "is a picture"),
    "gltf": (b"glTF" + bytes(64), "GLB"),
    "compressed": (b"\x1f\x8b" + bytes(64), "is compressed"),
    "zip": (b"PK\x03\x04" + bytes(64), "zip"),
    "no end": (PLY[:100], "has no end"),
    "cut": (PLY[:-30], "ends after 5 of 6 Gaussians"),
    "no points": (replace_line(b"vertex 6", b"vertex 0"), "contains no Gaussians"),
    "negative": (replace_line(b"vertex 6", b"vertex -6"), "line 4 of the PLY header"),
    "five million": (replace_line(b"vertex 6", b"vertex 5000000"), "5,000,000"),
    "ascii": (replace_line(b"binary_little_endian", b"ascii"), "a PLY file of text"),
    "bad format": (replace_line(b"binary_little_endian", b"binary"), "line 2"),
    "bad type": (replace_line(b"float opacity", b"fload opacity"), "is damaged"),
    "twice": (replace_line(b"float opacity", b"float x"), "listed twice"),
    "no opacity": (replace_line(b"float opacity", b"float opaque"), "no 'opacity'"),
    "points": (replace_line(b"f_dc_0", b"red"), "contains no Gaussians"),
    "odd degree": (replace_line(b"float nx", b"float f_rest_0"), "1 coefficients"),
    "nan position": (patch_ply(0, np.nan), "1 Gaussian has a position"),
    "nan scale": (patch_ply(10, np.nan), "1 Gaussian has a scale"),
    "infinite": (patch_ply(6, np.inf), "1 Gaussian has a color"),
    "zero quaternion": (flatten_quaternion(), "a rotation that is zero"),
    "cut record": (write_records(BLOB)[:-5], "ends within a Gaussian"),
    "no scale": (bytes(32 * 4), "a scale that is not above 0"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_in_one_line(data, message):
    with pytest.raises(ImpastoError) as caught:
        parse_scene(data, "scene.ply")
    text = str(caught.value)
    assert text.startswith("scene.ply: ")
    assert message in text
    assert "\n" not in text


def test_too_many_gaussians_are_over_a_limit(monkeypatch):
    monkeypatch.setattr(splat_file, "MOST", 5)
    with pytest.raises(LimitError, match="6 Gaussians"):
        parse_scene(write_records(BLOB), "x")


def test_the_kind_is_told_by_the_first_bytes_and_not_by_the_name(tmp_path):
    path = tmp_path / "scene.splat"
    path.write_bytes(PLY)
    assert read_scene(path).kind == "ply"


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ImpastoError, match="no such file"):
        read_scene(tmp_path / "none.ply")
    with pytest.raises(ImpastoError, match="is a folder"):
        read_scene(tmp_path)
