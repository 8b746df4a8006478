"""Network files: one .safetensors with the weights in half precision, and a note about them."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.encoders.weight_sources import hash_file
from impasto.errors import WeightsError
from impasto.image.files.atomic import write_atomically
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.network.painter.model import Painter
from impasto.network.strokes import StrokePainter
from impasto.recipe.engine_registry import find_engine
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.recipe.tables import EngineChoice
from impasto.record.provenance import FileHash

KIND = "impasto painter 3"
STROKE_KIND = "impasto strokes 1"
"""Format of the files of :class:`StrokePainter`, which is not shipped yet."""
SHIPPED = "painter.safetensors"
OWN = "painting."
"""Prefix of the names of paintings that are stored with a network that is for them."""
OWN_PIXELS = 1024**2
"""Pixels that a stored painting has at most: no more of them are looked at."""


def network_file(path: str | None) -> Path:
    """Return the path of a network's file; None or ``draft``: impasto's own network."""
    if path is None or path == "draft":
        return Path(str(resources.files("impasto") / "network" / "weights" / SHIPPED))
    return Path(path)


def check_network_file(path: Path) -> Path:
    """Return the path of a network's file.

    Raises:
        WeightsError: there is no such file.
    """
    if not os.path.isfile(path):  # noqa: PTH113 -- never raises
        raise WeightsError("no such network file", where=path)
    return path


def choose_network(recipe: Recipe) -> EngineChoice:
    """Return the network that a recipe uses: as its engine, or for its optimizer's draft."""
    return load_recipe("draft").engine if recipe.start.base == "draft" else recipe.engine


def find_network_file(engine: EngineChoice) -> Path | None:
    """Return the file of an engine's network; None: the engine reads no such file.

    Raises:
        WeightsError: the file does not exist.
    """
    locate = find_engine(engine.kind).locate_network
    return None if locate is None else check_network_file(locate(engine.file))


def identify_network(engine: EngineChoice) -> FileHash | None:
    """Identify the file of an engine's network, with a hash of its bytes. None: it has none.

    Raises:
        WeightsError: the file does not exist.
    """
    path = find_network_file(engine)
    return None if path is None else FileHash(path.name, hash_file(path))


def write_painter(
    weights: Mapping[str, Tensor],
    path: Path,
    about: Mapping[str, Any],
    paintings: Mapping[str, bytes] | None = None,
    kind: str = KIND,
    *,
    overwrite: bool = True,
) -> None:
    """Write a network's state, and a note on how it was trained.

    Args:
        weights: the state.
        path: path of the file.
        about: the note.
        paintings: what :func:`encode_paintings` returned for the paintings that the network is for.
            None: it is for any painting.
        kind: format of the file, which names the kind of network.
        overwrite: replace an existing file.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the folder cannot be written to, or the disk is full.
    """
    from safetensors.torch import save

    # The book's numbers stay exact, because saved codes are in its units.
    tensors = {
        name: value.detach().cpu().to(torch.float32 if name.startswith("book.") else torch.float16)
        for name, value in weights.items()
    }
    for name, png in (paintings or {}).items():
        tensors[OWN + name] = torch.frombuffer(bytearray(png), dtype=torch.uint8)
    note = {"format": kind, "about": json.dumps(dict(about))}
    data = save({k: v.contiguous() for k, v in tensors.items()}, note)
    write_atomically(path, data, overwrite=overwrite)


@lru_cache(maxsize=1)
def encode_paintings(paths: tuple[Path, ...]) -> dict[str, bytes]:
    """Encode paintings as PNG, to be stored with the network that is for them.

    Returns:
        The files by name without suffix.

    Raises:
        ImageError, LimitError: a painting cannot be read.
    """
    files: dict[str, bytes] = {}
    for path in paths:
        picture = read_picture(path)
        scale = min(1.0, math.sqrt(OWN_PIXELS / (picture.width * picture.height)))
        sides = (max(1, round(side * scale)) for side in (picture.width, picture.height))
        stream = io.BytesIO()
        write_picture(picture.resize(*sides), stream, format="PNG", keep_metadata=False)
        name = path.stem if path.stem not in files else f"{path.stem}-{len(files) + 1}"
        files[name] = stream.getvalue()
    return files


def read_own_paintings(path: Path) -> dict[str, bytes]:
    """Read the paintings that are stored with a network, as PNG files by name.

    Returns:
        Nothing if the network is for any painting.

    Raises:
        WeightsError: there is no such file, or it is not a network's.
    """
    tensors = _open_file(path)[0]
    own = {name: value for name, value in tensors.items() if name.startswith(OWN)}
    return {name.removeprefix(OWN): value.numpy().tobytes() for name, value in own.items()}


def read_painter(path: Path) -> tuple[Painter, dict[str, Any]]:
    """Read a network that is ready to paint, and the note in its file.

    Raises:
        WeightsError: there is no such file, or it is not a network's.
    """
    painter = Painter()
    return painter, _load_weights(painter, path, KIND)


def read_stroke_painter(path: Path) -> tuple[StrokePainter, dict[str, Any]]:
    """Read a stroke network that is ready to paint, and the note in its file.

    Raises:
        WeightsError: there is no such file, or it is not a stroke network's.
    """
    painter = StrokePainter()
    return painter, _load_weights(painter, path, STROKE_KIND)


def _load_weights(painter: nn.Module, path: Path, kind: str) -> dict[str, Any]:
    """Load the weights of a file into a network for painting, and return the note in the file.

    Raises:
        WeightsError: there is no such file, or it is not of this kind.
    """
    tensors, note = _open_file(path, kind)
    try:
        painter.load_state_dict({k: v.float() for k, v in tensors.items() if not k.startswith(OWN)})
    except RuntimeError:
        raise WeightsError(
            f"its layers are not those of {kind}; is it damaged?", where=path
        ) from None
    painter.eval().requires_grad_(False)
    try:
        about: dict[str, Any] = json.loads(note.get("about", "{}"))
    except ValueError:
        raise WeightsError("its note is damaged", where=path) from None
    return about


def _open_file(path: Path, kind: str = KIND) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a network's file.

    Raises:
        WeightsError: there is no such file, or it is not a network's.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(check_network_file(path), framework="pt") as file:
            note = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"not a safetensors file ({error})", where=path) from None
    if note.get("format") != kind:
        raise WeightsError(
            f"holds {note.get('format', 'something else')!r}, not {kind!r}", where=path
        )
    return tensors, note
