"""Show what each layer keeps of a picture's content, and what its Gram matrix keeps of a style.

These are the reconstructions in figure 1 of Gatys, Ecker and Bethge (arXiv:1508.06576). Each one is
an ordinary run from noise whose recipe has only the content term, or only the style term, of one
layer.
"""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.encoders.weights import load_vgg
from impasto.engine.inputs import Inputs
from impasto.engine.machine.hardware import Hardware, resolve_device
from impasto.engine.machine.storage import Storage
from impasto.engine.pixels.tensors import picture_to_tensor
from impasto.explain.inspection_page import (
    ACTIVATIONS,
    CONTENT,
    INDEX,
    LAYERS,
    STYLE,
    name_picture,
    render_page,
)
from impasto.image.files.atomic import make_folder
from impasto.image.files.encode import write_picture
from impasto.image.files.result_file import ResultFile
from impasto.image.picture import Picture, fit_within
from impasto.optimize.optimizer_engine import OptimizerEngine
from impasto.recipe.recipe import Recipe

CHANNELS_PER_SHEET = 64


@dataclass(frozen=True)
class Inspection:
    """The pictures to inspect and the settings of the reconstructions.

    Attributes:
        photo: picture to reconstruct and whose activations are shown.
        painting: picture whose texture is synthesized.
        size: longer side in pixels.
        iterations: iterations per reconstruction and per texture.
        seed: seed of the initial noise.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    photo: Picture
    painting: Picture
    size: int = 224
    iterations: int = 60
    seed: int = 0
    device: str = "auto"


def write_inspection(
    inspection: Inspection,
    folder: Path,
    *,
    overwrite: bool = True,
    notice: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Write all pictures and ``index.html`` into a folder, and yield a line of text for each.

    Args:
        inspection: what to inspect.
        folder: created if it does not exist.
        overwrite: replace the files of
            :func:`impasto.explain.inspection_page.list_inspection_files`.
        notice: called with one line if such a file is kept, and a new one has another name.

    Raises:
        ResourceError: the folder cannot be created or written.
    """
    make_folder(folder)
    names: dict[tuple[str, str], str] = {}

    def save(kind: str, layer: str, image: Image.Image | Picture) -> None:
        stream = io.BytesIO()
        if isinstance(image, Picture):
            write_picture(image, stream)
        else:
            image.save(stream, "PNG")
        target = folder / name_picture(kind, layer)
        file = ResultFile(target, overwrite=overwrite, notice=notice, what="the picture")
        names[kind, layer] = file.write_bytes(stream.getvalue()).name

    sheets = draw_activation_sheets(inspection)
    for layer in LAYERS:
        picture, loss = reconstruct_content(inspection, layer)
        save(CONTENT, layer, picture)
        yield f"{layer}: content reconstructed, relative squared error {loss:.2g}"
        picture, loss = synthesize_texture(inspection, layer)
        save(STYLE, layer, picture)
        yield f"{layer}: texture synthesized, relative squared Gram error {loss:.2g}"
        save(ACTIVATIONS, layer, sheets[layer])
    page = render_page(inspection.iterations, inspection.size, inspection.seed, names)
    ResultFile(folder / INDEX, overwrite=overwrite, notice=notice).write_bytes(page.encode())


def reconstruct_content(inspection: Inspection, layer: str) -> tuple[Picture, float]:
    """Reconstruct the photo from the features of one layer.

    Returns:
        The reconstruction and the remaining relative error.
    """
    return _optimize_noise(
        inspection,
        {
            "content": {"layers": {layer: 1.0}, "normalization": "relative"},
            "style": {"layers": {layer: 1.0}, "weight": 0.0},
        },
    )


def synthesize_texture(inspection: Inspection, layer: str) -> tuple[Picture, float]:
    """Synthesize a texture with the painting's Gram matrix at one layer.

    Returns:
        The texture and the remaining relative error.
    """
    return _optimize_noise(
        inspection,
        {
            "content": {"layers": {layer: 1.0}, "weight": 0.0},
            "style": {"layers": {layer: 1.0}, "normalization": "relative"},
        },
    )


def _optimize_noise(inspection: Inspection, terms: dict[str, object]) -> tuple[Picture, float]:
    recipe = Recipe.model_validate(
        {
            **terms,
            "size": inspection.size,
            "seed": inspection.seed,
            "start": {"noise_ratio": 1.0, "noise_amplitude": 0.2},
            "schedule": {"iterations": inspection.iterations},
            "solver": {"kind": "bounded"},
        }
    )
    engine = OptimizerEngine(recipe, Hardware.resolve(inspection.device))
    steps = engine.run(Inputs(inspection.photo, (inspection.painting,)))
    (last,) = deque(steps, maxlen=1)
    return last.picture(), last.losses["total"]


def draw_activation_sheets(inspection: Inspection) -> dict[str, Image.Image]:
    """Draw the most active channels of each layer as gray pictures, brightest where most active."""
    device = resolve_device(inspection.device)
    encoder = load_vgg("vgg19", LAYERS, device=device)
    size = fit_within(inspection.photo.width, inspection.photo.height, inspection.size)
    with torch.no_grad():
        features = encoder(picture_to_tensor(inspection.photo, *size, Storage(device)))
    return {layer: _draw_sheet(features[layer][0].float().cpu().numpy()) for layer in LAYERS}


def _draw_sheet(channels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Image.Image:
    strongest = np.argsort(-channels.mean((1, 2)), kind="stable")[:CHANNELS_PER_SHEET]
    columns = math.isqrt(len(strongest))
    height, width = channels.shape[1:]
    cell = (max(48, min(96, width)), max(36, min(96, height)))
    sheet = Image.new("L", (columns * (cell[0] + 2), -(-len(strongest) // columns) * (cell[1] + 2)))
    for position, channel in enumerate(strongest):
        values = channels[channel] / (channels[channel].max() + 1e-12)
        tile = Image.fromarray((values * 255).astype(np.uint8)).resize(cell, Image.Resampling.BOX)
        row, column = divmod(position, columns)
        sheet.paste(tile, (column * (cell[0] + 2), row * (cell[1] + 2)))
    return sheet
