"""MAT-files: read as SciPy writes them, and never more than an error if they are damaged."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from conftest import REPOSITORY
from impasto.encoders import mat_file
from impasto.encoders.formats import read_parameters
from impasto.encoders.mat_file import HEADER, MatFileError, read_mat_file
from impasto.errors import WeightsError

HOSTILE = REPOSITORY.parent / "shared" / "cases" / "hostile" / "segv.mat"


def write(contents: dict, *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    savemat(stream, contents, do_compression=compressed)
    return stream.getvalue()


def make_contents() -> dict:
    generator = np.random.default_rng(0)
    cells = np.empty(2, dtype=object)
    weights = np.empty(2, dtype=object)
    weights[0] = generator.normal(size=(3, 3, 4, 5)).astype(np.float32)
    weights[1] = np.arange(5, dtype=np.int16)
    cells[0] = {"name": "conv1_1", "weights": weights}
    cells[1] = {"name": "relu", "pad": np.array([[1, 1]], np.uint8)}
    return {"layers": cells, "meta": {"normalization": {"averageImage": np.ones((2, 2, 3))}}}


@pytest.mark.parametrize("compressed", [False, True])
def test_values_are_those_that_were_written(compressed):
    contents = make_contents()
    read = read_mat_file(write(contents, compressed=compressed))
    first, second = read["layers"]
    assert first["name"] == "conv1_1"
    kernel, bias = first["weights"]
    assert np.array_equal(kernel, contents["layers"][0]["weights"][0])
    assert kernel.dtype == np.float32
    assert bias.ravel().tolist() == [0, 1, 2, 3, 4]
    assert second["pad"].tolist() == [[1, 1]]
    assert read["meta"]["normalization"]["averageImage"].shape == (2, 2, 3)


@pytest.mark.parametrize("array", [1j * np.ones(3), np.zeros((0, 3)), np.array("text"), True])
def test_every_class_is_read_or_passed_over(array):
    assert set(read_mat_file(write({"a": array, "b": 2.0}))) == {"a", "b"}


DATA = write(make_contents())
PACKED = write(make_contents(), compressed=True)


@pytest.mark.timeout(60)
@settings(max_examples=300, deadline=None)
@given(st.sampled_from([DATA, PACKED]), st.data())
def test_damage_is_an_error_and_nothing_else(whole, data):
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(HEADER, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for each in (bytes(damaged), bytes(damaged[:cut])):
        with contextlib.suppress(MatFileError):
            read_mat_file(each)


def tag(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


def nest(depth: int) -> bytes:
    head = tag(6, struct.pack("<II", 1, 0)) + tag(5, struct.pack("<ii", 1, 1)) + tag(1, b"a")
    body = tag(6, struct.pack("<II", 6, 0)) + tag(5, struct.pack("<ii", 0, 0)) + tag(1, b"a")
    body = tag(14, body + tag(9, b""))
    for _ in range(depth):
        body = tag(14, head + body)
    return bytes(126) + b"IM" + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89HDF" + bytes(200),
        nest(40),
        bytes(126) + b"IM" + tag(15, b"not zlib"),
        bytes(126) + b"IM" + tag(15, zlib.compress(tag(14, tag(6, bytes(8)))) + b""),
        bytes(126) + b"IM" + struct.pack("<II", 14, 2**32 - 1),
        bytes(126)
        + b"IM"
        + tag(
            14,
            tag(6, struct.pack("<II", 6, 0))
            + tag(5, struct.pack("<ii", 2**30, 2**30))
            + tag(1, b"a")
            + tag(9, bytes(8)),
        ),
    ],
)
def test_hostile_files_are_errors(data):
    with pytest.raises(MatFileError):
        read_mat_file(data)


def test_what_inflates_without_end_is_not_unpacked(monkeypatch):
    bomb = bytes(126) + b"IM" + tag(15, zlib.compress(bytes(1 << 20)))
    monkeypatch.setattr(mat_file, "LARGEST", 1 << 16)
    with pytest.raises(MatFileError, match="too large"):
        read_mat_file(bomb)


def test_a_nest_of_a_few_cells_is_read():
    assert list(read_mat_file(nest(3))) == ["a"]


@pytest.mark.skipif(not HOSTILE.exists(), reason="../shared is absent")
def test_the_file_that_ended_the_process_is_a_weights_error():
    with pytest.raises(WeightsError):
        read_parameters(HOSTILE)
