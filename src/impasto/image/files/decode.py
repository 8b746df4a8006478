"""Read a :class:`Picture` from anything that is an image."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from impasto.errors import ImageError, InputError, LimitError
from impasto.image.color.profiles import PlainConversion
from impasto.image.files.headers import check_header
from impasto.image.files.layouts import deep
from impasto.image.files.layouts.assemble import assemble_picture, choose_conversion
from impasto.image.files.layouts.gain_map import has_gain_map
from impasto.image.files.layouts.heif_boxes import read_bit_depth, read_nclx
from impasto.image.files.layouts.png_chunks import drop_damaged_chunks, read_png_color
from impasto.image.files.layouts.sample_sources import (
    ArraySource,
    PillowSource,
    SampleSource,
    TiffSource,
)
from impasto.image.files.layouts.tiff import TiffReader
from impasto.image.files.layouts.unfinished import complete_jpeg
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import UPRIGHT, clean_exif
from impasto.image.files.reading_cost import ReadingCost
from impasto.image.files.rights import read_rights
from impasto.image.files.sniff import HEAD, sniff_format
from impasto.image.picture import Metadata, Picture

Notice = Callable[[str], None]
EXTENSIONS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}


def read_picture(
    source: Any,
    *,
    limits: Limits | None = None,
    notice: Notice | None = None,
    name: str = "the data",
    max_memory: int | None = None,
) -> Picture:
    """Read a picture from a file, bytes, an array or another image object.

    EXIF orientation is applied, colors are converted to sRGB, alpha is kept separately, 16 bits
    are kept, and the first frame of an animation is used.

    Args:
        source: a path, encoded bytes, a binary file, a PIL image, an array [H, W] or [H, W, C],
            a tensor [C, H, W] or [1, C, H, W], or a :class:`Picture`, which is returned unchanged.
            Arrays and tensors are uint8, uint16 or floats in [0, 1].
        limits: limits of bytes, pixels, sides and aspect. None: the defaults.
        notice: called with one line for each thing that was converted or ignored.
        name: name of encoded bytes in notices and errors.
        max_memory: bytes that the process may take while it reads. None: there is no limit.

    Raises:
        ImageError: the image is missing, damaged, of a format that is not accepted, or has floats
            outside [0, 1].
        LimitError: the image exceeds a limit.
        ResourceError: reading it takes more memory than ``max_memory``.
    """
    if isinstance(source, Picture):
        return source
    limits = limits or Limits()
    say = notice or _ignore
    if isinstance(source, str | Path):
        return _read_file(Path(source), limits, say, max_memory)
    if isinstance(source, bytes | bytearray):
        return _read_bytes(bytes(source), name, limits, say, max_memory)
    if isinstance(source, Image.Image):
        limits.check_size(*source.size, "the image")
        with _convert_errors("the image"):
            return _convert_pil(source, _Reporter("the image", say))
    if hasattr(source, "detach") and hasattr(source, "shape"):
        return _convert_array(_convert_tensor(source), "the tensor", limits)
    if isinstance(source, np.ndarray):
        return _convert_array(source, "the array", limits)
    if hasattr(source, "read"):
        data = source.read(limits.max_bytes + 1)
        name = "standard input" if source is getattr(sys.stdin, "buffer", None) else "the stream"
        limits.check_bytes(len(data), name)
        return _read_bytes(data, name, limits, say, max_memory)
    raise InputError(
        f"a {type(source).__name__} is not an image", expected="a path, bytes or an array"
    )


def read_paintings(sources: Any, *, max_memory: int | None = None) -> list[Picture]:
    """Read one image or a list of images, each as :func:`read_picture` does.

    Raises:
        ImageError, LimitError: see :func:`read_picture`.
        InputError: the list is empty.
    """
    is_list = isinstance(sources, list | tuple)
    each_source = sources if is_list else [sources]
    paintings = [read_picture(each, max_memory=max_memory) for each in each_source]
    if not paintings:
        raise InputError("no painting", expected="at least one")
    return paintings


def _ignore(_: str) -> None:
    pass


def _read_file(path: Path, limits: Limits, say: Notice, max_memory: int | None) -> Picture:
    try:
        if path.is_dir():
            raise ImageError("is a folder", where=path, expected="a picture")
        if path.exists() and not path.is_file():
            raise ImageError("is not a regular file", where=path)
        limits.check_bytes(path.stat().st_size, str(path))
        data = path.read_bytes()
    except FileNotFoundError:
        raise explain_missing(path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"cannot be read ({reason})", where=path) from None
    kind = sniff_format(data[:HEAD], str(path))
    suffix = path.suffix.lower()
    if (
        any(suffix in suffixes for suffixes in EXTENSIONS.values())
        and suffix not in EXTENSIONS[kind]
    ):
        say(f"{path}: is {kind}, unlike its extension")
    return _read_bytes(data, str(path), limits, say, max_memory)


def explain_missing(path: Path) -> ImageError:
    """Make the error of a file that does not exist."""
    address = re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", str(path), re.IGNORECASE)
    if address:  # a path has lost one of its slashes
        where = f"{address[1]}://{address[2]}"
        return ImageError("is an address; download it first", where=where)
    if not path.parent.is_dir():
        return ImageError(f"no such folder {path.parent}", where=path)
    return ImageError("no such file", where=path)


def _read_bytes(
    data: bytes, name: str, limits: Limits, say: Notice, max_memory: int | None
) -> Picture:
    kind = sniff_format(data[:HEAD], name)
    if kind == "HEIF":
        _enable_heif(name)
    limits.check_bytes(len(data), name)
    report = _Reporter(name, say)
    if kind == "PNG" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        limits.check_size(width, height, name)
    check_header(data, kind, limits, name)
    peak = ReadingCost.estimate(data, kind).check(max_memory, name)
    picture = _decode(data, kind, name, limits, report)
    return picture.with_metadata(replace(picture.metadata, reading_peak=peak))


def _decode(data: bytes, kind: str, name: str, limits: Limits, report: _Reporter) -> Picture:
    """Decode a file whose header is within the limits."""
    if kind == "PNG":
        data, dropped = drop_damaged_chunks(data)
        if dropped:
            report(f"its {' and '.join(dict.fromkeys(dropped))} chunk is damaged and was ignored")
    if has_gain_map(data, kind):
        report("has an HDR gain map; its base picture is used")
    with _convert_errors(name):
        if kind == "TIFF":
            with contextlib.suppress(NotImplementedError):
                return _read_tiff(data, name, limits, report)
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            limits.check_size(*image.size, name)
            # To count the frames would take long for some files.
            if getattr(image, "is_animated", False):
                report("has several frames; the first is used")
            return _convert_pil(image, report, kind, data)


class _Reporter:
    """Reports lines about one picture."""

    def __init__(self, name: str, say: Notice) -> None:
        self._name = name
        self._say = say

    def __call__(self, line: str) -> None:
        self._say(f"{self._name}: {line}")


def _read_tiff(data: bytes, name: str, limits: Limits, report: _Reporter) -> Picture:
    """Read a TIFF of gray, RGB or inks.

    Raises:
        NotImplementedError: Pillow must read it.
    """
    reader = TiffReader(data)
    layout = reader.layout
    limits.check_size(layout.width, layout.height, name)
    if layout.frames > 1:
        report("has several frames; the first is used")
    if layout.extra:
        report(
            "has an extra channel, which is not transparency and was ignored"
            if layout.extra == 1
            else f"has {layout.extra} extra channels, which are not transparency and were ignored"
        )
    orientation, block = clean_exif(_read_tiff_exif(data))
    depth = 8 if layout.bits <= 8 else 16 if layout.bits <= 16 else 32
    source = TiffSource(reader)
    conversion = choose_conversion(source, reader.profile, None, depth, report)
    metadata = Metadata(block, "TIFF", depth, reader.rights)
    return assemble_picture(source, conversion, orientation, metadata, report)


@contextlib.contextmanager
def _convert_errors(name: str) -> Iterator[None]:
    """Convert whatever a decoder raises about a damaged file to an error of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # limits and notices of this module cover them
            yield
    except (ImageError, LimitError) as error:
        raise (error.copy_with_place(name) if error.where is None else error) from None
    except Image.DecompressionBombError as error:
        match = re.search(r"\((\d+) pixels\)", str(error))
        pixels = f"{int(match[1]) / 1e6:.0f} megapixels" if match else "too many pixels"
        raise LimitError(f"{pixels}, over the limit for decoding", where=name) from None
    except UnidentifiedImageError:
        raise ImageError("damaged, or of a kind that is not supported", where=name) from None
    except MemoryError:
        raise LimitError("not enough memory to decode it", where=name) from None
    except Exception as error:  # Pillow's plugins raise many types for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise ImageError(f"damaged or not readable ({reason})", where=name) from None


def _enable_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            "HEIC requires an extra package: pip install 'impasto[heic]'", where=name
        ) from None
    pillow_heif.register_heif_opener()


def _read_tiff_exif(data: bytes) -> Image.Exif:
    """Read the tags of a TIFF, also of one whose pixels Pillow cannot read."""
    exif = Image.Exif()
    with contextlib.suppress(Exception):  # a damaged directory costs the metadata only
        exif.load(data)
    with (
        contextlib.suppress(Exception),
        Image.open(io.BytesIO(data), formats=["TIFF"]) as image,
    ):
        exif = image.getexif()
        len(exif)  # reads the tags before the file is closed
    return exif


def _convert_pil(
    image: Image.Image, report: _Reporter, kind: str = "array", data: bytes | None = None
) -> Picture:
    """Convert an opened image of Pillow.

    Args:
        image: the image.
        report: receives lines about it.
        kind: Pillow's name of the format, or ``array``.
        data: content of the file. None: the image is no file.
    """
    code, precedes, depth = None, False, 8
    source: SampleSource
    if data is not None and kind == "PNG":
        code, precedes = read_png_color(data)
    elif data is not None and kind in ("AVIF", "HEIF"):
        code = read_nclx(data)
    if data is not None and kind == "PNG" and deep.is_deep_png(data):
        source, depth = deep.read_deep_png(image, data), 16
        image.load()
    elif data is not None and (samples := _read_deep_heif(image, data, kind)) is not None:
        source, depth = samples, 16
    elif image.mode in ("I", "F") or image.mode.startswith("I;"):
        image.load()
        source, depth = _convert_numbers(image), 16
    else:
        image = _load(image, report, data)
        source = PillowSource(image)
        bits = read_bit_depth(data) if data is not None and kind == "AVIF" else None
        if bits is not None and bits > 8:
            report(f"has {bits} bits per channel, of which 8 are read")
    orientation, exif = clean_exif(image.getexif())
    profile = None if precedes or image.mode == "LAB" else image.info.get("icc_profile")
    conversion = choose_conversion(source, profile, code, depth, report)
    metadata = Metadata(exif, kind, depth, read_rights(image))
    return assemble_picture(
        source, conversion, orientation, metadata, report, ignores_empty_alpha=kind == "BMP"
    )


def _load(image: Image.Image, report: _Reporter, data: bytes | None) -> Image.Image:
    """Decode an image; a JPEG that lacks only its end is completed."""
    try:
        image.load()
    except OSError as error:
        if data is None or image.format not in ("JPEG", "MPO") or "truncated" not in str(error):
            raise
        return complete_jpeg(data, report)
    return image


def _read_deep_heif(image: Image.Image, data: bytes, kind: str) -> SampleSource | None:
    """Decode HEIC with all of its bits. None: there are 8."""
    bits = int(image.info.get("bit_depth") or 8)
    if kind != "HEIF" or bits <= 8:
        return None
    import pillow_heif

    opened = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    samples = np.asarray(opened)
    if samples.dtype != np.uint16:
        return None
    if samples.ndim == 2:
        samples = samples[..., None]
    return ArraySource(samples >> (16 - bits), 2**bits - 1)


def _convert_numbers(image: Image.Image) -> SampleSource:
    """Convert an image of whole numbers or floats.

    Pillow's 32-bit integers hold the levels of whatever they were made from, so their range
    follows from them: 8 bits if none exceeds 255, else 16.

    Raises:
        ImageError: integers are negative, or over 65535.
    """
    samples = np.asarray(image)
    if image.mode != "I":
        return ArraySource(samples[..., None])
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65_535:
        raise ImageError(
            f"mode I with values from {low} to {high}", expected="values in [0, 65535]"
        )
    kind = np.uint8 if high <= 255 else np.uint16
    return ArraySource(samples.astype(kind)[..., None])


def _convert_tensor(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().to("cpu")
    # NumPy has no bfloat16.
    array = np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3:
        raise InputError(
            f"has shape {tuple(array.shape)}",
            what="the tensor",
            expected="[C, H, W] or [1, C, H, W]",
        )
    return array.transpose(1, 2, 0)


def _convert_array(array: NDArray[Any], name: str, limits: Limits) -> Picture:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
        raise InputError(
            f"has shape {array.shape}", where=name, expected="[H, W] or [H, W, 1 to 4]"
        )
    limits.check_size(array.shape[1], array.shape[0], name)
    with _convert_errors(name):
        depth = {1: 8, 2: 16}.get(array.dtype.itemsize, 32)
        report = _Reporter(name, _ignore)
        source, plain = ArraySource(array), PlainConversion(depth)
        return assemble_picture(source, plain, UPRIGHT, Metadata(depth=depth), report)
