"""What is fuzzed: functions that read bytes from strangers, with examples of what they accept."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from impasto.errors import ImpastoError
from impasto.image.files.decode import read_picture
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import build_xmp_packet, read_record
from impasto.recipe.recipe import load_recipe, parse_recipe
from impasto.record.provenance import parse_provenance

PICTURE_LIMITS = Limits(max_bytes=2**20, max_pixels=4_000_000)
FRAMES = 3
WEIGHT_SUFFIXES = (".pth", ".mat", ".h5", ".safetensors")
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class FuzzTarget:
    """One reader.

    Attributes:
        read: reads an input; raises nothing but the documented errors.
        examples: makes inputs to begin with.
        longest: bytes of an input.
    """

    read: Callable[[bytes], None]
    examples: Callable[[], Iterator[bytes]]
    longest: int = 4096


# --- pictures and records ----------------------------------------------------------------------


def make_pixels(channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[0:9, 0:12]
    return np.stack([20 * x, 25 * y, 9 * (x + y), 255 - 3 * x][:channels], -1).astype(np.uint8)


def encode(mode: str, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(make_pixels()).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def make_pictures() -> Iterator[bytes]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield encode(mode, "PNG")
    exif = Image.Exif()
    exif[274] = 6
    for mode in ("L", "RGB", "CMYK"):
        yield encode(mode, "JPEG", exif=exif, progressive=mode == "RGB")
    for options in ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}):
        for mode in ("1", "L", "RGB", "CMYK", "F"):
            if mode != "1" or not options:
                yield encode(mode, "TIFF", **options)
    for kind in ("BMP", "GIF", "WEBP", "AVIF"):
        yield encode("RGB", kind)
    others = [Image.fromarray(np.roll(make_pixels(), n, 1)) for n in (1, 2)]
    for kind in ("GIF", "PNG", "WEBP"):
        yield encode("RGB", kind, save_all=True, append_images=others)
    import pillow_heif
    import tifffile

    pillow_heif.register_heif_opener()
    yield encode("RGB", "HEIF")
    deep = make_pixels(4).astype(np.uint16) * 257
    for samples in (deep[..., :3], deep, deep.astype(np.float32) / 65535, deep[..., 0]):
        stream = io.BytesIO()
        tifffile.imwrite(stream, samples)
        yield stream.getvalue()
    yield from map(bytes, map(write_deep_png, (deep, deep[..., :3])))


def write_deep_png(samples: np.ndarray) -> bytes:
    from impasto.image.files.layouts import deep

    return deep.write_deep_png(samples.shape, samples.__getitem__, [])


def repair_png(data: bytes) -> bytes:
    """Give every chunk its right checksum, without which nothing in it would be read."""
    if not data.startswith(PNG):
        return data
    parts, place = [PNG], len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        body = data[place + 4 : place + 8 + length]
        if len(body) < length + 4:
            break
        parts += [data[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place += 12 + length
    return b"".join([*parts, data[place:]])


def read_one_picture(data: bytes) -> None:
    read_picture(repair_png(data), limits=PICTURE_LIMITS)


def make_record_text() -> str:
    entry = {"name": "photo.jpg", "sha256": "0" * 64}
    recipe = json.loads(load_recipe("sketch").to_json())
    record = {"impasto": "0.2.0", "photo": entry, "paintings": [entry], "device": "cpu"}
    masks = {"masks": [entry], "style_masks": [None, entry], "weights": entry, "start": entry}
    note = {"refined": [{"recipe": recipe, "region": [1, 2, 3, 4]}], "metadata": False}
    return json.dumps({**record, **masks, **note, "recipe": recipe})


def make_records() -> Iterator[bytes]:
    from PIL.PngImagePlugin import PngInfo

    from impasto.image.files.metadata import KEYWORD

    text = make_record_text()
    yield b"\x01" + text.encode()
    info = PngInfo()
    info.add_itxt(KEYWORD, text[:200])
    yield b"\x00" + encode("L", "PNG", pnginfo=info)
    for kind in ("JPEG", "WEBP", "TIFF"):
        yield b"\x00" + encode("RGB", kind, xmp=build_xmp_packet(text[:200]))


def read_one_record(data: bytes) -> None:
    """Read a record: the first byte tells whether it lies inside a picture."""
    if data[:1] == b"\x00":
        text = read_record(repair_png(data[1:]))
    else:
        text = data[1:].decode("utf-8", "surrogateescape")
    if text is not None:
        parse_provenance(text, Path("picture.png"))


# --- recipes and tables ------------------------------------------------------------------------


def make_recipes() -> Iterator[bytes]:
    for name in ("standard", "photoreal", "gatys-2015", "draft"):
        yield b"\x00" + load_recipe(name).to_json().encode()
    yield b'\x01base = "standard"\n[style.layers]\nrelu1_1 = 0.5\n[schedule]\ntotal = 9\n'
    yield b'\x01size = 64\nstrength = [0.5, 1]\n[solver]\nkind = "adam"\nrate = 0.1\n'
    yield b"\x02style.layers.relu3_1=0.5"
    yield b"\x03" + b'photo,style,size\n"a b.jpg",x.jpg;y.jpg,64\n'
    yield b"\x04" + b'{"photo": "a.jpg", "style": ["b.jpg"], "set": {"size": 64}}\n'


def read_one_recipe(data: bytes) -> None:
    """Read a recipe: as JSON, as TOML, as one setting, or from a row of a table."""
    kind, text = data[:1], data[1:].decode("utf-8", "surrogateescape")
    if kind == b"\x00":
        recipe = parse_recipe(text)
        assert parse_recipe(recipe.to_json()) == recipe
    elif kind == b"\x02":
        from impasto.recipe.fields import parse_setting

        name, value = parse_setting(text)
        load_recipe("sketch").with_changes({name: value})
    else:
        from impasto.batch.sources.manifest import read_rows

        suffix = {b"\x03": ".csv", b"\x04": ".jsonl"}.get(kind, ".toml")
        path = write_input(suffix, data[1:])
        if suffix == ".toml":
            load_recipe(path)
        else:
            list(read_rows(str(path)))


# --- files that hold numbers -------------------------------------------------------------------


@lru_cache(maxsize=1)
def find_folder() -> Path:
    """Return a folder in memory for the inputs of readers that need files."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="impasto-fuzz-", dir=memory if memory.is_dir() else None))


def write_input(suffix: str, data: bytes) -> Path:
    path = find_folder() / f"input{suffix}"
    path.write_bytes(data)
    return path


def make_weights() -> Iterator[bytes]:
    import h5py
    import torch
    from safetensors.torch import save
    from scipy.io import savemat

    kernel = np.ones((2, 3, 3, 3), np.float32)
    stream = io.BytesIO()
    torch.save({"features.0.weight": torch.from_numpy(kernel)}, stream)
    yield b"\x00" + stream.getvalue()
    cells = np.empty(1, dtype=object)
    weights = np.empty(2, dtype=object)
    weights[0], weights[1] = kernel.T, np.ones(2, np.float32)
    cells[0] = {"name": "conv1_1", "type": "conv", "weights": weights}
    meta = {"normalization": {"averageImage": np.ones((2, 2, 3))}}
    for compressed in (False, True):
        stream = io.BytesIO()
        savemat(stream, {"layers": cells, "meta": meta}, do_compression=compressed)
        yield b"\x01" + stream.getvalue()
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("block1_conv1")
        group["kernel:0"], group["bias:0"] = kernel.T, np.ones(2, np.float32)
    yield b"\x02" + stream.getvalue()
    yield b"\x03" + save({"conv1_1.weight": torch.from_numpy(kernel)}, {"format": "impasto vgg 1"})


def read_one_weights_file(data: bytes) -> None:
    """Read weights; the first byte chooses the format."""
    from impasto.encoders.formats import read_parameters

    suffix = WEIGHT_SUFFIXES[(data[0] if data else 0) % len(WEIGHT_SUFFIXES)]
    read_parameters(write_input(suffix, data[1:]))


def make_networks() -> Iterator[bytes]:
    import torch
    from safetensors.torch import save

    tensors = {"to_pixels.weight": torch.ones(3, 2, 1, 1), "book.units": torch.ones(4)}
    for kind in ("impasto painter 1", "impasto strokes 1", "impasto style code 1"):
        yield save(tensors, {"format": kind, "about": '{"steps": 5}'})
    from impasto.network import network_files

    for kind in (network_files.KIND, network_files.STROKE_KIND):
        yield save(tensors, {"format": kind, "about": "[1]"})


def read_one_network(data: bytes) -> None:
    """Read a one-pass network, and a checkpoint of a run: both are files of tensors."""
    from impasto.network.network_files import read_own_paintings, read_painter, read_stroke_painter

    path = write_input(".safetensors", data)
    with mock.patch.multiple("impasto.network.network_files", **make_painters()):
        for read in (read_painter, read_stroke_painter, read_own_paintings):
            with contextlib.suppress(ImpastoError):
                read(path)


@lru_cache(maxsize=1)
def make_painters() -> dict[str, Callable[[], Any]]:
    """Make one network of each kind, since making them takes longer than reading a file."""
    from impasto.network import network_files

    painters = {name: getattr(network_files, name)() for name in ("Painter", "StrokePainter")}
    return {name: lambda painter=painter: painter for name, painter in painters.items()}


def make_checkpoints() -> Iterator[bytes]:
    import torch

    from impasto.optimize.checkpoint import FORMAT

    fields = {"recipe": "{}", "inputs": ["a"], "tile": 0, "scale": 0, "totals": [1.0]}
    rest = {"iteration": 1, "elapsed_s": 1.0, "solver": {"kind": "adam"}, "start": None}
    stream = io.BytesIO()
    torch.save({"format": FORMAT, **fields, **rest}, stream)
    yield stream.getvalue()


def read_one_checkpoint(data: bytes) -> None:
    from impasto.optimize.checkpoint import load_state

    load_state(write_input(".checkpoint", data))


# --- clips -------------------------------------------------------------------------------------


def make_clips() -> Iterator[bytes]:
    import av

    kinds = (
        ("mp4", "libx264", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("matroska", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
        ("mov", "libx264", "yuv444p"),
    )
    for kind, codec, layout in kinds:
        stream = io.BytesIO()
        with av.open(stream, "w", format=kind) as container:
            video = container.add_stream(codec, rate=5)
            video.width, video.height, video.pix_fmt = 32, 32, layout
            for number in range(FRAMES):
                pixels = np.full((32, 32, 3), 60 * number, np.uint8)
                pixels[4:12, 4 + number : 12 + number] = 200
                container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(video.encode())
        yield stream.getvalue()


def read_one_clip(data: bytes) -> None:
    from impasto.video.clip.container import ContainerClip

    path = write_input(".clip", data)
    clip = ContainerClip(path, lambda _: None, limits=PICTURE_LIMITS, name="the clip")
    for number, frame in enumerate(clip.read_frames()):
        frame.load()
        if number == FRAMES:
            break


# --- requests ----------------------------------------------------------------------------------

BOUNDARY = b"b"


def make_forms() -> Iterator[bytes]:
    def part(name: str, body: bytes, more: str = "") -> bytes:
        head = f'Content-Disposition: form-data; name="{name}"{more}'
        return b"--" + BOUNDARY + b"\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n"

    job = {
        "recipe": "sketch",
        "set": {"size": 64},
        "title": "t",
        "masks": [{"word": "sky"}],
        "styles": [{"style_name": "x"}],
    }
    files = part("photo", b"x", '; filename="a.png"') + part("style", b"y", '; filename="b.png"')
    form = files + part("job", json.dumps(job).encode()) + part("style_name", b"wave")
    yield b"\x00" + form + b"--" + BOUNDARY + b"--\r\n"
    yield b"\x01" + json.dumps(job).encode()
    photo = {"photo": {"data": "iVBORw0KGgo="}, "styles": [{"data": "iVBORw0KGgo=", "name": "a"}]}
    recipe = json.loads(load_recipe("draft").to_json())
    yield b"\x01" + json.dumps({**photo, "recipe": recipe}).encode()


def read_one_form(data: bytes) -> None:
    """Receive a request: the first byte tells whether it is a form or JSON."""
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from impasto.studio.http.request.intake import make_recipe
    from impasto.studio.http.request.request_body import receive_job
    from impasto.studio.problems import Problem

    kind = b"application/json"
    if data[:1] == b"\x00":
        kind = b"multipart/form-data; boundary=" + BOUNDARY
    body = [data[1:2000], data[2000:]]

    async def receive() -> dict:
        piece = body.pop(0) if body else b""
        return {"type": "http.request", "body": piece, "more_body": bool(body)}

    headers = [(b"content-type", kind)]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "app": None}

    async def read() -> None:
        async with receive_job(Request(scope, receive)) as submission:
            make_recipe(submission.job)

    try:
        find_loop().run_until_complete(read())
    except (Problem, HTTPException):
        return


@lru_cache(maxsize=1)
def find_loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


TARGETS: dict[str, FuzzTarget] = {
    "pictures": FuzzTarget(read_one_picture, make_pictures, 8192),
    "records": FuzzTarget(read_one_record, make_records),
    "recipes": FuzzTarget(read_one_recipe, make_recipes),
    "weights": FuzzTarget(read_one_weights_file, make_weights, 16_384),
    "networks": FuzzTarget(read_one_network, make_networks),
    "checkpoints": FuzzTarget(read_one_checkpoint, make_checkpoints),
    "clips": FuzzTarget(read_one_clip, make_clips, 8192),
    "forms": FuzzTarget(read_one_form, make_forms),
}


def read_input(name: str, data: bytes) -> None:
    """Read an input of a target; a documented error is as good as success."""
    with contextlib.suppress(ImpastoError):
        TARGETS[name].read(data)
