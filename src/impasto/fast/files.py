"""Network files: one .safetensors with the weights in half precision, and what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.encoders.weights import file_sha256
from impasto.errors import WeightsError
from impasto.fast.network import Painter
from impasto.media.atomic import write_atomically
from impasto.recipe import Recipe
from impasto.recipe_tables import Engine

KIND = "impasto painter 3"
SHIPPED = "painter.safetensors"


def network_file(path: str | None) -> Path:
    """The file of a network; none, or ``draft``: of the one that comes with impasto."""
    if path is None or path == "draft":
        return Path(str(resources.files("impasto") / "fast" / "weights" / SHIPPED))
    return Path(path)


def network_there(path: Path) -> Path:
    """The file itself.

    Raises:
        WeightsError: there is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"no network file {path}")
    return path


def network_in(recipe: Recipe) -> Engine:
    """The network that has a part in a recipe: its engine, or what paints its optimiser's draft."""
    return Engine(kind="network") if recipe.start.base == "draft" else recipe.engine


def network_used(engine: Engine) -> tuple[str, str] | None:
    """Name without folder and SHA-256 of the file of a network; none: it is not ours.

    Raises:
        WeightsError: there is no such file.
    """
    if engine.kind != "network":
        return None
    path = network_there(network_file(engine.file))
    return path.name, file_sha256(path)


def write_painter(weights: Mapping[str, Tensor], path: Path, about: Mapping[str, Any]) -> None:
    """Write a network's state, and a note of how it came about.

    Raises:
        ResourceError: the folder cannot be written or the disk is full.
    """
    from safetensors.torch import save

    # The book's numbers stay exact: codes that were saved are in its units.
    tensors = {
        name: value.detach().cpu().to(torch.float32 if name.startswith("book.") else torch.float16)
        for name, value in weights.items()
    }
    note = {"format": KIND, "about": json.dumps(dict(about))}
    write_atomically(path, save({k: v.contiguous() for k, v in tensors.items()}, note))


def read_painter(path: Path) -> tuple[Painter, dict[str, Any]]:
    """A network ready to paint, and the note in its file.

    Raises:
        WeightsError: no such file, or not one of these.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(network_there(path), framework="pt") as file:
            note = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a safetensors file ({error})") from None
    if note.get("format") != KIND:
        raise WeightsError(f"{path}: holds {note.get('format', 'something else')!r}, not {KIND!r}")
    painter = Painter()
    try:
        painter.load_state_dict({k: v.float() for k, v in tensors.items()})
    except RuntimeError:
        raise WeightsError(f"{path}: its layers are not those of {KIND}; is it damaged?") from None
    try:
        about = json.loads(note.get("about", "{}"))
    except ValueError:
        raise WeightsError(f"{path}: its note is damaged") from None
    return painter.eval().requires_grad_(False), about
