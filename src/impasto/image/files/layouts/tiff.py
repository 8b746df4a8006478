"""Read TIFFs of gray, RGB and inks at any bit depth, compression and layout, some rows at a time.

tifffile reads the tags. LibTIFF, which comes with Pillow, undoes the compression: each strip or
tile is handed to it as a gray picture of bytes. What the bytes mean is decided here, so that all
depths, compressions and layouts follow one rule.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from impasto.errors import ImageError, LimitError
from impasto.image.files.rights import merge_rights

# tifffile logs about damaged files, which our own errors report already.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

Array = NDArray[Any]
_PHOTOMETRICS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Color channels of inverted gray, gray, RGB and inks. Pillow reads the others."""
_WHITE_IS_ZERO, _INKS = 0, 5
_NO_COMPRESSION = 1
_BYTE_COMPRESSIONS = (5, 8, 32_773, 32_946, 34_925, 50_000)
"""LZW, Deflate, PackBits, Deflate by its old number, LZMA and Zstandard. All others are for
pictures of 8 bits or fewer, or JPEG's, which Pillow reads."""
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_FLOAT_TYPES = {16: np.float16, 32: np.float32, 64: np.float64}
_NO_PREDICTOR, _DIFFERENCES, _FLOAT_DIFFERENCES = 1, 2, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2
_LSB_FIRST = 2
_DNG_VERSION, _FILL_ORDER, _INK_SET = 50_706, 266, 332
_XMP, _IPTC, _PROFILE = 700, 33_723, 34_675
_CMYK = 1
MOST_CHANNELS = 16
"""More channels are measurements and not a picture."""
_LARGEST_SEGMENT = 2**31
_RAW = "is a raw camera file"
_DEVELOPED = "a picture developed from it, as TIFF or PNG"
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1])
"""Each byte with its bits in reverse order."""


@dataclass(frozen=True)
class TiffLayout:
    """How the samples of a TIFF are stored, and what they mean.

    Attributes:
        width, height: size in pixels, as stored.
        channels: number of channels, with extra ones.
        colors: number of color channels: 1, 3 or 4 inks.
        alpha: index of the channel that is alpha. None: there is none.
        is_associated: whether colors are multiplied by alpha.
        bits: bits of a sample.
        is_float: whether samples are floats.
        is_inverted: whether 0 is white.
        frames: number of pictures in the file.
    """

    width: int
    height: int
    channels: int
    colors: int
    alpha: int | None
    is_associated: bool
    bits: int
    is_float: bool
    is_inverted: bool
    frames: int

    @property
    def extra(self) -> int:
        """Number of channels that are neither color nor alpha."""
        return self.channels - self.colors - (self.alpha is not None)


class TiffReader:
    """Reads the first picture of a TIFF.

    Attributes:
        layout: how its samples are stored.
        profile: its ICC profile. None: it has none.
        rights: the rights in its tags for XMP and IPTC.
    """

    def __init__(self, data: bytes) -> None:
        """Read the tags.

        Args:
            data: content of the file.

        Raises:
            ImageError: the file is a raw camera file, whose first picture is a thumbnail; has
                signed or complex samples; or contradicts itself.
            LimitError: there are far too many channels.
            NotImplementedError: the TIFF is of a kind that Pillow must read.
        """
        import tifffile

        if data[8:10] == b"CR":  # Canon's raw format
            raise ImageError(_RAW, expected=_DEVELOPED)
        self._data = data
        try:
            with tifffile.TiffFile(io.BytesIO(data)) as file:
                self._read_page(file.pages.first, file.byteorder, len(file.pages))
        except (ImageError, LimitError, NotImplementedError):
            raise
        except Exception:  # tifffile raises many types for damaged files
            raise NotImplementedError from None

    def _read_page(self, page: Any, order: str, frames: int) -> None:
        if _DNG_VERSION in page.tags or page.is_reduced:
            raise ImageError(_RAW, expected=_DEVELOPED)
        photometric, compression = int(page.photometric), int(page.compression)
        colors = _PHOTOMETRICS.get(photometric)
        is_ours = compression in (_NO_COMPRESSION, *_BYTE_COMPRESSIONS)
        if colors is None or not is_ours or page.imagedepth != 1:
            raise NotImplementedError
        if photometric == _INKS and int(page.tags.valueof(_INK_SET, _CMYK)) != _CMYK:
            raise ImageError("has unusual inks", expected="cyan, magenta, yellow and black")
        channels, bits = int(page.samplesperpixel), page.bitspersample
        if channels > MOST_CHANNELS:
            raise LimitError(
                f"has {channels} channels, over the limit of {MOST_CHANNELS}", limit=MOST_CHANNELS
            )
        if channels < colors or not isinstance(bits, int):
            raise ImageError(
                f"has {channels} channels of {bits} bits", expected=f"at least {colors} equal ones"
            )
        kind = int(page.sampleformat or _UNSIGNED)
        if kind == _SIGNED:
            raise ImageError(
                f"has signed integers of {bits} bits, whose black and white are not defined",
                expected="unsigned integers or floats",
            )
        is_float = kind == _FLOAT
        if kind not in (_UNSIGNED, _FLOAT, _UNDEFINED) or (is_float and bits not in _FLOAT_TYPES):
            raise ImageError(
                f"has samples of kind {kind} with {bits} bits",
                expected="integers, or floats of 16, 32 or 64 bits",
            )
        if not 1 <= bits <= 64:
            raise ImageError(f"has samples of {bits} bits", expected="1 to 64")
        kinds = [int(each) for each in page.extrasamples][: channels - colors]
        alphas = [n for n, each in enumerate(kinds) if each in (_ASSOCIATED, _UNASSOCIATED)]
        self.layout = TiffLayout(
            width=page.imagewidth,
            height=page.imagelength,
            channels=channels,
            colors=colors,
            alpha=colors + alphas[0] if alphas else None,
            is_associated=bool(alphas) and kinds[alphas[0]] == _ASSOCIATED,
            bits=bits,
            is_float=is_float,
            is_inverted=photometric == _WHITE_IS_ZERO,
            frames=frames,
        )
        profile, iptc = page.tags.valueof(_PROFILE), page.tags.valueof(_IPTC)
        if isinstance(iptc, tuple):  # some programs store the bytes as 32-bit integers
            iptc = struct.pack(f"{order}{len(iptc)}I", *iptc)
        self.profile = profile if isinstance(profile, bytes) else None
        self.rights = merge_rights(page.tags.valueof(_XMP), iptc)
        self._order, self._compression = order, compression
        self._predictor = int(page.predictor)
        self._is_reversed = int(page.tags.valueof(_FILL_ORDER, 1)) == _LSB_FIRST
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._is_tiled = page.is_tiled
        self._segment_rows = page.tilelength if page.is_tiled else page.rowsperstrip
        self._segment_width = page.tilewidth if page.is_tiled else page.imagewidth
        self._is_planar = int(page.planarconfig) != 1 and channels > 1
        if not self._is_tiled:
            self._segment_rows = min(self._segment_rows or page.imagelength, page.imagelength)
        stored = 1 if self._is_planar else channels
        largest = self._segment_rows * self._segment_width * stored * math.ceil(bits / 8)
        if self._segment_rows < 1 or self._segment_width < 1:
            raise ImageError("damaged", expected="strips or tiles with rows")
        if largest > _LARGEST_SEGMENT:
            raise LimitError(
                f"is stored in pieces of {largest / 2**20:.0f} MiB", limit=_LARGEST_SEGMENT
            )

    def read_bands(self) -> Iterator[tuple[slice, Array]]:
        """Yield all rows from top to bottom.

        Yields:
            The rows, and their samples [rows, W, channels]: unsigned integers or floats.

        Raises:
            ImageError: the file is damaged or its compression is not supported.
        """
        layout = self.layout
        down = math.ceil(layout.height / self._segment_rows)
        for row in range(down):
            top = row * self._segment_rows
            rows = slice(top, min(top + self._segment_rows, layout.height))
            yield rows, self._read_row_of_segments(row, down, rows.stop - rows.start)

    def _read_row_of_segments(self, row: int, down: int, height: int) -> Array:
        layout = self.layout
        across = math.ceil(layout.width / self._segment_width)
        planes = layout.channels if self._is_planar else 1
        stored = 1 if self._is_planar else layout.channels
        if planes == across == 1:
            return self._read_segment(row, height, stored)[:, : layout.width]
        result: Array | None = None
        for plane in range(planes):
            for column in range(across):
                index = (plane * down + row) * across + column
                part = self._read_segment(index, height, stored)
                if result is None:
                    result = np.empty((height, layout.width, layout.channels), part.dtype)
                left = column * self._segment_width
                channels = slice(plane, plane + 1) if self._is_planar else slice(None)
                result[:, left : left + self._segment_width, channels] = part[
                    :, : layout.width - left
                ]
        assert result is not None
        return result

    def _read_segment(self, index: int, height: int, channels: int) -> Array:
        """Read the first rows of a strip or tile, [height, width of the segment, channels]."""
        if index >= len(self._offsets):
            raise ImageError("damaged", expected="all of its pixels")
        start, count = self._offsets[index], self._counts[index]
        width, bits = self._segment_width, self.layout.bits
        row_bytes = math.ceil(width * channels * bits / 8)
        rows = self._segment_rows if self._is_tiled else height
        packed = self._data[start : start + count]
        if self._compression == _NO_COMPRESSION:
            plain = packed[: rows * row_bytes]
            levels = np.frombuffer(plain, np.uint8)
            if self._is_reversed:
                levels = _REVERSED[levels]
        else:
            levels = self._decompress(packed, rows, row_bytes)
        if levels.size < height * row_bytes:
            raise ImageError("damaged", expected="all of its pixels")
        levels = levels[: height * row_bytes].reshape(height, row_bytes)
        return self._interpret(levels, width, channels)

    def _decompress(self, packed: bytes, rows: int, row_bytes: int) -> Array:
        """Undo the compression of a segment, through a TIFF of bytes for LibTIFF."""
        order = _LSB_FIRST if self._is_reversed else 1
        entries = [
            *((256, row_bytes), (257, rows), (258, 8), (259, self._compression), (262, 1)),
            *((_FILL_ORDER, order), (273, 0), (277, 1), (278, rows), (279, len(packed))),
        ]
        start = 8 + 2 + 12 * len(entries) + 4
        fields = [struct.pack("<HHLL", tag, 4, 1, start if tag == 273 else n) for tag, n in entries]
        directory = struct.pack("<H", len(entries)) + b"".join(fields) + bytes(4)
        wrapped = b"II*\0" + struct.pack("<L", 8) + directory + packed
        try:
            # Not Image.open, which would take the number of bytes for one of pixels.
            with TiffImagePlugin.TiffImageFile(io.BytesIO(wrapped)) as image:
                return np.frombuffer(image.tobytes(), np.uint8)
        except Exception:  # Pillow's plugins raise many types for damaged files
            raise ImageError(
                f"damaged, or compressed in an unsupported way ({self._compression})",
                expected="LZW, Deflate or no compression",
            ) from None

    def _interpret(self, rows: Array, width: int, channels: int) -> Array:
        """Convert rows of bytes [rows, bytes] to samples [rows, width, channels]."""
        bits, shape = self.layout.bits, (len(rows), width, channels)
        if self._predictor == _FLOAT_DIFFERENCES:
            return self._undo_float_differences(rows, shape)
        if bits in (8, 16, 32, 64):
            kind = "f" if self.layout.is_float else "u"
            samples = np.ascontiguousarray(rows).view(f"{self._order}{kind}{bits // 8}")
            if self._predictor == _DIFFERENCES:
                whole = samples.view(f"{self._order}u{bits // 8}")
                native = whole.astype(f"u{bits // 8}").reshape(shape)
                summed = np.cumsum(native, axis=1, dtype=native.dtype)
                samples = summed.view(f"f{bits // 8}") if self.layout.is_float else summed
            return samples.reshape(shape)
        if self._predictor != _NO_PREDICTOR:
            raise ImageError(
                f"has a predictor for samples of {bits} bits", expected="8, 16, 32 or 64 bits"
            )
        return _unpack_bits(rows, bits, width * channels).reshape(shape)

    def _undo_float_differences(self, rows: Array, shape: tuple[int, int, int]) -> Array:
        """Undo the predictor of floats (Adobe Photoshop TIFF Technical Note 3)."""
        count = self.layout.bits // 8
        if not self.layout.is_float:
            raise ImageError("has a predictor for floats", expected="floats")
        height, width, channels = shape
        bytewise = rows.reshape(height, -1, channels)
        summed = np.cumsum(bytewise, axis=1, dtype=np.uint8).reshape(height, count, -1)
        samples = np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">f{count}")
        return samples.reshape(height, width, channels)


def _unpack_bits(rows: Array, bits: int, count: int) -> Array:
    """Unpack rows of integers of any number of bits, each row from a new byte."""
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint64
    result = np.empty((len(rows), count), kind)
    for row, target in zip(rows, result, strict=True):
        ones = np.unpackbits(row, count=count * bits).reshape(count, bits)
        target[:] = 0
        for place in range(bits):
            target[:] = (target << kind(1)) | ones[:, place].astype(kind)
    return result
