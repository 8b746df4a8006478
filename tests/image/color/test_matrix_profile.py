"""RGB of more than 8 bits keeps them, whatever its profile and its format."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from images import encode_tiff
from impasto.image.color.matrix_profile import MatrixConversion
from impasto.image.color.profiles import ProfileConversion
from impasto.image.files.decode import read_picture

P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
"""XYZ of red, green and blue, for D50."""
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
RAMP = np.linspace(0, 65_535, 700).astype(np.uint16)


def make_power_curve(power: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(power * 256))


def make_table(power: float) -> bytes:
    points = [round(65_535 * (n / 1023) ** power) for n in range(1024)]
    return b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *points)


def make_parametric(kind: int, *numbers: float) -> bytes:
    fixed = [round(number * 65_536) for number in numbers]
    return b"para" + bytes(4) + struct.pack(f">HH{len(fixed)}i", kind, 0, *fixed)


def make_profile(primaries, curve: bytes, *others: tuple[bytes, bytes]) -> bytes:
    """Make an ICC profile of a matrix and one curve for all channels."""

    def xyz(values) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65_536) for v in values))

    tags = [
        (b"desc", b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(80)),
        (b"cprt", b"text" + bytes(4) + b"x\0\0\0"),
        (b"wtpt", xyz((0.9642, 1, 0.8249))),
        *((name + b"XYZ", xyz(v)) for name, v in zip((b"r", b"g", b"b"), primaries, strict=True)),
        *((name + b"TRC", curve) for name in (b"r", b"g", b"b")),
        *others,
    ]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        padded = content + bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at, len(content))
        body, at = body + padded, at + len(padded)
    head = struct.pack(">I4sI", at, b"lcms", 0x04300000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    head = (head + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize(
    ("primaries", "curve"),
    [
        (P3, make_parametric(3, *SRGB_CURVE)),
        (P3, make_parametric(4, *SRGB_CURVE, 0.0, 0.0)),
        (P3, make_parametric(1, 2.2, 1.05, -0.05)),
        (P3, make_parametric(2, 2.2, 1.05, -0.05, 0.0)),
        (ADOBE, make_power_curve(2.19921875)),
        (PROPHOTO, make_parametric(0, 1.8)),
        (P3, make_table(2.2)),
    ],
)
def test_the_matrix_and_curves_give_the_colors_of_littlecms(primaries, curve):
    profile = make_profile(primaries, curve)
    levels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.float32) / 255
    exact = MatrixConversion.parse(profile)
    usual = ProfileConversion.parse(profile, 3, 16)
    assert not usual.is_srgb
    difference = np.abs(exact.convert(levels) - usual.convert(levels)) * 255
    assert difference.max() < 1  # half a level is the rounding of 8 bits


@pytest.mark.parametrize("gray", [False, True])
def test_sixteen_bits_with_a_profile_keep_their_steps(gray):
    samples = np.broadcast_to(RAMP[None, :, None], (32, len(RAMP), 3))
    samples = np.ascontiguousarray(samples[..., 0] if gray else samples)
    lines = []
    profile = make_profile(P3, make_power_curve(2.2))
    data = encode_tiff(samples, photometric=None if gray else "rgb", iccprofile=profile)
    picture = read_picture(data, notice=lines.append)
    assert len(np.unique(picture.pixels[0, :, 0])) > 600
    assert (np.diff(picture.pixels[0, :, 0]) >= 0).all()
    assert lines == []


@pytest.mark.parametrize(
    "profile",
    [
        make_profile(P3, make_power_curve(2.2), (b"A2B0", b"mft2" + bytes(60))),
        make_profile(P3, b"unkn" + bytes(20)),
        make_profile(P3, make_parametric(9, 2.2)),
        make_profile(P3, make_parametric(1, 2.2, 0.9, 0.1)),  # its black is not black
        make_profile(P3, b"curv" + bytes(4) + struct.pack(">I", 10**9)),
        make_profile(P3, make_power_curve(2.2))[:200],
        make_profile(P3, make_power_curve(2.2)).replace(b"RGB XYZ ", b"RGB Lab "),
        b"",
    ],
)
def test_other_profiles_are_left_to_littlecms(profile):
    assert MatrixConversion.parse(profile) is None


def test_heic_of_ten_bits_keeps_them():
    heif = pytest.importorskip("pillow_heif")
    samples = np.ascontiguousarray(np.broadcast_to(RAMP[None, :64, None] * 10, (64, 64, 3)))
    stream = io.BytesIO()
    picture = heif.from_bytes(mode="RGB;16", size=(64, 64), data=samples.tobytes())
    picture.save(stream, quality=-1, chroma=444)
    back = read_picture(stream.getvalue())
    assert back.metadata.depth == 16
    assert np.abs(back.pixels[0, :, 0] - samples[0, :, 0] / 65_535).max() < 1.5 / 1023
    assert len(np.unique(back.pixels[0, :, 0])) == 64


def test_avif_of_ten_bits_says_that_eight_are_read(tmp_path):
    av = pytest.importorskip("av")
    path, lines = tmp_path / "ten.avif", []
    with av.open(str(path), "w", format="avif") as container:
        if "libsvtav1" not in av.codecs_available:
            pytest.skip("no encoder of 10 bits")
        video = container.add_stream("libsvtav1", rate=1)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p10le"
        container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p10le")))
        container.mux(video.encode())
    read_picture(path, notice=lines.append)
    assert lines == [f"{path}: has 10 bits per channel, of which 8 are read"]
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, "AVIF")
    read_picture(stream.getvalue(), notice=lines.append)
    assert len(lines) == 1
