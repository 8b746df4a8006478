"""Records that strangers wrote: an error of one line, whatever their bytes are."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from conftest import complaint, synthetic_photo
from impasto.cli import main
from impasto.errors import ImageError
from impasto.image.files.metadata import read_record

PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r impasto:record="%s"/></x:xmpmeta>'


def make_jpeg(record: bytes) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(synthetic_photo()).save(stream, "JPEG", xmp=PACKET % record)
    return stream.getvalue()


@pytest.mark.parametrize("record", [b"\xff\xfe", b"{\xc3\x28}", b"\xed\xa0\x80"])
def test_a_record_that_is_not_utf_8_is_an_error(record):
    with pytest.raises(ImageError, match=r"its record is damaged; expected UTF-8"):
        read_record(make_jpeg(record))


@pytest.mark.usefixtures("in_work")
def test_it_is_one_line_of_replay(capsys):
    Path("gift.jpg").write_bytes(make_jpeg(b"\xff"))
    assert main(["replay", "gift.jpg"]) == 2
    assert "gift.jpg: its record is damaged" in complaint(capsys)
