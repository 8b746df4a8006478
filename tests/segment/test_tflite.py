"""TensorFlow Lite models read as data; the models are written by the tests themselves."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from impasto.errors import InputError
from impasto.image.files.decode import read_picture
from impasto.segment import people
from impasto.segment.mask_words import find_masks
from impasto.segment.people import _decode_boxes, _draw_oval
from impasto.segment.tflite_network import read_tflite, run_tflite


def buffer_of(root: dict[int, Any]) -> bytes:
    """A flatbuffer of nested tables: {field: ("<i", 3) | bytes | [int] | [table] | table}."""
    data = bytearray(4)

    def align() -> None:
        data.extend(bytes(-len(data) % 4))

    def point(place: int, to: int) -> None:
        struct.pack_into("<I", data, place, to - place)

    def table(fields: dict[int, Any]) -> int:
        align()
        count = max(fields, default=-1) + 1
        vtable = len(data)
        offsets = [4 + 4 * index if index in fields else 0 for index in range(count)]
        data.extend(struct.pack(f"<HH{count}H", 4 + 2 * count, 4 + 4 * count, *offsets))
        align()
        here = len(data)
        data.extend(struct.pack("<i", here - vtable) + bytes(4 * count))
        for number, value in fields.items():
            place = here + 4 + 4 * number
            if isinstance(value, tuple):
                struct.pack_into(value[0], data, place, value[1])
            else:
                point(place, table(value) if isinstance(value, dict) else vector(value))
        return here

    def vector(values: bytes | list[Any]) -> int:
        align()
        here = len(data)
        data.extend(struct.pack("<I", len(values)))
        if isinstance(values, bytes):
            data.extend(values)
        elif values and isinstance(values[0], dict):
            data.extend(bytes(4 * len(values)))
            for index, each in enumerate(values):
                point(here + 4 + 4 * index, table(each))
        else:
            data.extend(struct.pack(f"<{len(values)}i", *values))
        return here

    point(0, table(root))
    return bytes(data)


def model(steps: list[tuple[int | str, list[int], int, dict[int, Any], bytes]], constants) -> bytes:
    """A graph whose tensor 0 is the input; each step is (code, inputs, output, options, custom)."""
    codes = list(dict.fromkeys(step[0] for step in steps))
    count = 1 + max(max([*inputs, output]) for _, inputs, output, *_ in steps)
    tensors, buffers = [], [{}]
    for place in range(count):
        values = constants.get(place, np.zeros(0, np.float32))
        kind = {"float32": 0, "float16": 1, "int32": 2}[str(values.dtype)]
        fields = {0: list(values.shape), 1: ("<b", kind), 2: ("<I", 0)}
        if place in constants:
            fields[2] = ("<I", len(buffers))
            buffers.append({0: values.tobytes()})
        tensors.append(fields)
    operators = [
        {0: ("<I", codes.index(code)), 1: inputs, 2: [output], 4: options, 5: custom}
        for code, inputs, output, options, custom in steps
    ]
    named = [
        {0: ("<b", 32), 1: c.encode()} if isinstance(c, str) else {0: ("<b", c)} for c in codes
    ]
    graph = {0: tensors, 1: [0], 2: [steps[-1][2]], 3: operators}
    return buffer_of({1: named, 2: [graph], 4: buffers})


RANDOM = np.random.default_rng(4)


def random(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def test_operations_are_those_of_torch():
    """A strided convolution with TensorFlow's padding, and what a segmentation network adds."""
    kernel, bias, deep = random(4, 3, 3, 3), random(4).astype(np.float16), random(1, 3, 3, 4)
    up, half = random(2, 2, 2, 4), struct.pack("<3i", 1, 2, 2)
    zero, two = np.zeros(4, np.float32), np.zeros(2, np.float32)
    constants = {1: kernel, 2: bias, 5: deep, 6: zero, 10: up, 11: two}
    steps = [
        (6, [2], 3, {}, b""),
        (3, [0, 1, 3], 4, {0: ("<b", 0), 1: ("<i", 2), 2: ("<i", 2), 3: ("<b", 1)}, b""),
        (4, [4, 5, 6], 7, {0: ("<b", 0), 1: ("<i", 1), 2: ("<i", 1)}, b""),
        (1, [7], 8, {3: ("<i", 4), 4: ("<i", 4)}, b""),
        (18, [7, 8], 9, {}, b""),
        ("Convolution2DTransposeBias", [9, 10, 11], 12, {}, half),
        (117, [12], 13, {}, b""),
        (0, [13, 12], 14, {}, b""),
        (14, [14], 15, {}, b""),
    ]
    image = torch.rand(1, 3, 8, 8)
    (result,) = run_tflite(read_tflite(model(steps, constants)), image)
    t = torch.from_numpy
    x = F.conv2d(
        F.pad(image, (0, 1, 0, 1)), t(kernel).permute(0, 3, 1, 2), t(bias).float(), 2
    ).relu()
    x = F.conv2d(x, t(deep).permute(3, 0, 1, 2), padding=1, groups=4)
    x = x * x.mean((2, 3), keepdim=True)
    x = F.conv_transpose2d(x, t(up).permute(3, 0, 1, 2), stride=2)
    assert result.shape == (1, 2, 8, 8)
    assert torch.allclose(result, (F.hardswish(x) + x).sigmoid(), atol=1e-5)


def test_operations_of_a_detector():
    border = np.array([[0, 0], [1, 0], [0, 2], [0, 1]], np.int32)
    steps = [
        (34, [0, 1], 2, {}, b""),
        (17, [2], 3, dict.fromkeys((1, 2, 3, 4), ("<i", 2)), b""),
        (22, [3], 4, {0: [1, 8, 4]}, b""),
        (2, [4, 4], 5, {0: ("<i", 1)}, b""),
    ]
    image = torch.rand(1, 3, 3, 6)
    (result,) = run_tflite(read_tflite(model(steps, {1: border})), image)
    small = F.max_pool2d(F.pad(image, (0, 2, 1, 0, 0, 1)), 2)
    rows = small.permute(0, 2, 3, 1).reshape(1, 8, 4)
    assert torch.equal(result, torch.cat([rows, rows], 1))


def test_damage_and_what_is_not_known_are_refused():
    data = model([(14, [0], 1, {}, b"")], {})
    assert torch.equal(run_tflite(read_tflite(data), torch.zeros(1))[0], torch.full((1,), 0.5))
    for cut in range(0, len(data) - 8, 3):
        with pytest.raises(ValueError):  # noqa: PT011 -- of many words
            run_tflite(read_tflite(data[:cut]), torch.zeros(1))
    with pytest.raises(ValueError, match="operation 77"):
        run_tflite(read_tflite(model([(77, [0], 1, {}, b"")], {})), torch.zeros(1))


def test_a_detectors_boxes_are_around_its_places():
    boxes = torch.zeros(896, 16)
    boxes[3, :4] = torch.tensor([12.8, 0, 64, 32])
    decoded = _decode_boxes(boxes)
    assert torch.allclose(decoded[3], torch.tensor([1.5 / 16 + 0.1, 0.5 / 16, 0.5, 0.25]))
    assert torch.allclose(decoded[-1, :2], torch.tensor([7.5 / 8, 7.5 / 8]))
    oval = _draw_oval((100, 200), (0.5, 0.5), (0.5, 0.5))
    assert oval.mean() == pytest.approx(np.pi / 16, rel=0.02)


def bluish(scale: float) -> bytes:
    """A network that sees how blue a pixel is."""
    kernel = np.array([-1, -1, 1], np.float32).reshape(1, 1, 1, 3) * np.float32(scale)
    constants = {1: kernel, 2: np.full(1, -0.5 * scale, np.float32)}
    ones = {1: ("<i", 1), 2: ("<i", 1)}
    return model([(3, [0, 1, 2], 3, ones, b""), (14, [3], 4, {}, b"")], constants)


def put(cache, monkeypatch, module, name: str, data: bytes) -> None:
    member = replace(getattr(module, name), sha256=hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(module, name, replace(member, distribution="a-b"))
    monkeypatch.setenv("IMPASTO_CACHE", str(cache))
    with zipfile.ZipFile(cache / f"a_b-{member.version}-cp311.whl", "w") as wheel:
        wheel.writestr(member.path, data)


def test_what_the_network_takes_for_a_person_becomes_a_mask(tmp_path, monkeypatch):
    put(tmp_path, monkeypatch, people, "SELFIE", bluish(20))
    pixels = np.full((60, 80, 3), (180, 90, 20), np.uint8)
    with pytest.raises(InputError, match="no person was found"):
        find_masks(read_picture(pixels), [], ["person"], [])
    pixels[20:40, 10:50] = (20, 40, 250)
    (mask,), _ = find_masks(read_picture(pixels), [], ["person"], [])
    assert mask.values[24:36, 15:45].min() > 0.9
    assert mask.values[:12].max() < 0.1


def test_faces_are_ovals_where_the_network_says(tmp_path, monkeypatch):
    put(tmp_path, monkeypatch, people, "BLAZE", bluish(1))
    boxes, scores = torch.zeros(1, 896, 16), torch.full((1, 896, 1), -5.0)
    monkeypatch.setattr(people, "run_tflite", lambda *_: (boxes, scores))
    photo = read_picture(np.full((64, 128, 3), 128, np.uint8))
    with pytest.raises(InputError, match="no face was found"):
        find_masks(photo, [], ["face"], [])
    # A face in the middle of the upper left quarter of the photo, which is the square's middle.
    boxes[0, 0, :4] = torch.tensor([32 - 4, 48 - 4, 16, 16])
    scores[0, 0] = 5
    (mask,), _ = find_masks(photo, [], ["face"], [])
    rows, columns = np.nonzero(mask.values > 0.5)
    assert columns.mean() == pytest.approx(32, abs=1)
    assert rows.mean() == pytest.approx(16 - 0.12 * 16, abs=1.5)
