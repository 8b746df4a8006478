"""Read a :class:`Picture` from anything that is an image."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from impasto.errors import ImageError, InputError, LimitError
from impasto.image.color import spaces as color
from impasto.image.files import deep
from impasto.image.files.headers import check_header
from impasto.image.files.limits import Limits
from impasto.image.files.metadata import UPRIGHT, clean_exif
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

    Raises:
        ImageError: the image is missing, damaged, of a format that is not accepted, or has floats
            outside [0, 1].
        LimitError: the image exceeds a limit.
    """
    if isinstance(source, Picture):
        return source
    limits = limits or Limits()
    say = notice or _ignore
    if isinstance(source, str | Path):
        return _read_file(Path(source), limits, say)
    if isinstance(source, bytes | bytearray):
        return _read_bytes(bytes(source), name, limits, say)
    if isinstance(source, Image.Image):
        limits.check_size(*source.size, "the image")
        with _convert_errors("the image"):
            return _convert_pil(source, "the image", say)
    if hasattr(source, "detach") and hasattr(source, "shape"):
        return _convert_array(_convert_tensor(source), "the tensor", limits)
    if isinstance(source, np.ndarray):
        return _convert_array(source, "the array", limits)
    if hasattr(source, "read"):
        data = source.read(limits.max_bytes + 1)
        limits.check_bytes(len(data), "the stream")
        return _read_bytes(data, "the stream", limits, say)
    raise InputError(
        f"a {type(source).__name__} is not an image", expected="a path, bytes or an array"
    )


def read_paintings(sources: Any) -> list[Picture]:
    """Read one image or a list of images, each as :func:`read_picture` does.

    Raises:
        ImageError, LimitError: see :func:`read_picture`.
        InputError: the list is empty.
    """
    is_list = isinstance(sources, list | tuple)
    paintings = [read_picture(each) for each in (sources if is_list else [sources])]
    if not paintings:
        raise InputError("no painting", expected="at least one")
    return paintings


def _ignore(_: str) -> None:
    pass


def _read_file(path: Path, limits: Limits, say: Notice) -> Picture:
    try:
        if path.is_dir():
            raise ImageError("is a folder", where=path, expected="a picture")
        if path.exists() and not path.is_file():
            raise ImageError("is not a regular file", where=path)
        limits.check_bytes(path.stat().st_size, str(path))
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError("no such file", where=path) from None
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
    return _read_bytes(data, str(path), limits, say)


def _read_bytes(data: bytes, name: str, limits: Limits, say: Notice) -> Picture:
    kind = sniff_format(data[:HEAD], name)
    if kind == "HEIF":
        _enable_heif(name)
    limits.check_bytes(len(data), name)
    if kind == "PNG" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        limits.check_size(width, height, name)
    check_header(data, kind, limits, name)
    with _convert_errors(name):
        samples = None
        if kind == "TIFF":
            samples = deep.read_deep_tiff(data, lambda w, h: limits.check_size(w, h, name))
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
        except UnidentifiedImageError:
            if samples is None:
                raise
            # Pillow cannot open a TIFF with three floats per pixel; its profile is ignored.
            image = Image.new("RGB", (samples.shape[1], samples.shape[0]))
        with image:
            limits.check_size(*image.size, name)
            # To count the frames would take long for some files.
            if getattr(image, "is_animated", False):
                say(f"{name}: has several frames; the first is used")
            if kind == "PNG" and deep.is_deep_png(data):
                samples = deep.read_deep_png(image, data)
            if samples is None:
                _report_lost_bits(image, name, say)
                return _convert_pil(image, name, say, kind)
            return _convert_deep(samples, image, name, say, kind)


def _report_lost_bits(image: Image.Image, name: str, say: Notice) -> None:
    bits = max(getattr(image, "tag_v2", {}).get(TiffImagePlugin.BITSPERSAMPLE, (8,)))
    if bits > 8 and image.mode in ("RGB", "RGBA", "CMYK", "LAB", "YCbCr"):
        say(f"{name}: this kind of TIFF is read with 8 of its {bits} bits")


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


def _convert_pil(image: Image.Image, name: str, say: Notice, kind: str = "array") -> Picture:
    image.load()
    orientation, exif = clean_exif(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        samples = np.asarray(image)
        if image.mode == "I":  # 32-bit integers that hold 16-bit samples
            samples = np.clip(samples, 0, 65_535).astype(np.uint16)
        return _build_picture(
            deep.to_unit(samples[..., None]), orientation, Metadata(exif, kind, 16)
        )
    alpha = None
    if image.mode in ("PA", "La", "RGBa") or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        alpha = np.asarray(image.getchannel("A"))
        profile = image.info.get("icc_profile")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    else:
        profile = image.info.get("icc_profile")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    image, complaint = color.convert_to_srgb(image, profile)
    if complaint:
        say(f"{name}: {complaint}")
    samples = np.asarray(image)
    if alpha is not None:
        samples = np.dstack([samples, alpha])
    return _build_picture(deep.to_unit(samples), orientation, Metadata(exif, kind, 8))


def _convert_deep(
    samples: NDArray[Any], image: Image.Image, name: str, say: Notice, kind: str
) -> Picture:
    orientation, exif = clean_exif(image)
    depth = 16 if samples.dtype.itemsize == 2 else 32
    values = deep.to_unit(samples)
    profile = image.info.get("icc_profile")
    if profile and values.shape[2] >= 3:
        levels = Image.fromarray(np.rint(values[..., :3] * 255).astype(np.uint8))
        converted, complaint = color.convert_to_srgb(levels, profile)
        if converted is not levels and complaint is None:
            complaint = f"its color profile was applied with 8 of its {depth} bits"
            values = values.copy()
            values[..., :3] = np.asarray(converted, dtype=np.float32) / 255
        if complaint:
            say(f"{name}: {complaint}")
    return _build_picture(values, orientation, Metadata(exif, kind, depth))


def _build_picture(values: NDArray[np.float32], orientation: int, metadata: Metadata) -> Picture:
    """Build an upright RGB picture from values [H, W, 1 to 4] in [0, 1]."""
    values = _rotate_upright(values, orientation)
    alpha = None
    if values.shape[2] in (2, 4):
        alpha = np.ascontiguousarray(values[..., -1])
        values = values[..., :-1]
        if bool((alpha == 1).all()):
            alpha = None
    pixels = np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
    if alpha is not None:
        pixels = _replace_hidden_colors(pixels, alpha)
    return Picture(pixels, alpha, metadata)


def _replace_hidden_colors(
    pixels: NDArray[np.float32], alpha: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give fully transparent pixels the mean visible color, so that nothing bleeds out of them."""
    weight = float(alpha.sum())
    mean = (pixels * alpha[..., None]).sum((0, 1)) / weight if weight else np.full(3, 0.5)
    return np.where(alpha[..., None] > 0, pixels, mean.astype(np.float32))


def _rotate_upright(values: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo EXIF orientations 2 to 8; ignore all others."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


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
        return _build_picture(deep.to_unit(array), UPRIGHT, Metadata(depth=depth))
