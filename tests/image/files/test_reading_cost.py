"""The memory that reading takes: as estimated, as limited, and as it is."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from impasto.errors import ResourceError
from impasto.image import rows
from impasto.image.files import reading_cost
from impasto.image.files.decode import read_picture
from impasto.image.files.layouts import assemble
from impasto.image.files.reading_cost import ReadingCost

MIB = 2**20
SIZE = (1600, 1000)


def encode(kind: str, size: tuple[int, int] = SIZE, mode: str = "RGB", **options) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, kind, **options)
    return stream.getvalue()


def trace_peak(data: bytes) -> int:
    """Return the most bytes that reading took of Python and NumPy; Pillow's are not traced."""
    tracemalloc.start()
    read_picture(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_large_picture_is_never_in_memory_as_floats(kind, monkeypatch):
    monkeypatch.setattr(rows, "PIXELS_PER_BAND", 2**14)
    data = encode(kind)
    read_picture(data)  # loads what is loaded once
    small = trace_peak(data)
    monkeypatch.setattr(assemble, "LARGEST_IN_FLOATS", 0)
    # Integers take 9 bytes a pixel less than floats; a band is checked, which takes some.
    assert trace_peak(data) < small - 5 * SIZE[0] * SIZE[1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_the_estimate_counts_file_decoded_picture_and_result(kind):
    data = encode(kind, mode="L" if kind == "GIF" else "RGB")
    cost = ReadingCost.estimate(data, kind)
    assert cost.pixels == SIZE[0] * SIZE[1]
    assert cost.result in (12 * cost.pixels, 16 * cost.pixels)  # not every header tells of alpha
    assert cost.peak >= len(data) + (12 + 4) * cost.pixels


def test_progressive_and_deep_files_cost_more():
    plain, progressive = encode("JPEG"), encode("JPEG", progressive=True)
    difference = ReadingCost.estimate(progressive, "JPEG").peak
    difference -= ReadingCost.estimate(plain, "JPEG").peak
    assert difference > 2 * SIZE[0] * SIZE[1]
    assert ReadingCost.estimate(b"\xff\xd8", "JPEG").pixels == 0


def test_a_picture_that_takes_too_much_is_refused_by_name_before_it_is_decoded(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(reading_cost, "measure_resident", lambda: 400 * MIB)
    path = tmp_path / "large.jpg"
    path.write_bytes(encode("JPEG", (5000, 4000)))
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
        with pytest.raises(ResourceError) as caught:
            read_picture(path, max_memory=500 * MIB)
    assert caught.value.exit_code == 4
    assert str(caught.value) == (
        f"{path}: reading 20 megapixels takes 0.60 GiB of memory, and `max_memory` is 0.49 GiB; "
        "expected a limit of 1.3GiB, or a smaller picture"
    )
    with pytest.raises(ResourceError, match=r"takes 0\.60 GiB"):  # whatever the limit
        read_picture(path, max_memory=300 * MIB)


def test_a_picture_within_the_limit_says_what_reading_took(monkeypatch):
    monkeypatch.setattr(reading_cost, "measure_resident", lambda: 400 * MIB)
    data = encode("JPEG")
    picture = read_picture(data, max_memory=600 * MIB)
    expected = 400 * MIB + ReadingCost.estimate(data, "JPEG").peak
    assert picture.metadata.reading_peak == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_estimate_is_at_least_what_a_process_takes(kind, tmp_path):
    path = tmp_path / "large"
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((5000, 4000)).save(path, kind)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from impasto.image.files.decode import read_picture\n"
        "picture = read_picture(Path(sys.argv[1]))\n"
        "peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(picture.metadata.reading_peak, peak)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    estimate, peak = map(int, answer.stdout.split())
    assert peak <= estimate
