"""Draw sample sheets of a training run: held-out photos in the styles of held-out paintings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from impasto.image.files.atomic import make_folder, replace_atomically
from impasto.network.train.trainer import NetworkTrainer
from impasto.network.train.training_photos import Photos, read_next_picture, to_batch
from impasto.record.contact_sheet import ContactSheet

SHEET = (4, 7)
"""Photos (columns) and paintings (rows)."""


@torch.no_grad()
def write_samples(
    trainer: NetworkTrainer[Any, Any], photos: Photos, paintings: Any, folder: Path
) -> None:
    """Write a sheet of held-out photos in the styles of held-out paintings.

    The pictures are painted by the averaged network.

    Args:
        trainer: trainer of the run.
        photos, paintings: held-out pictures; the paintings are of the trainer's kind.
        folder: folder of the sheets; the file is named after the step.

    Raises:
        ResourceError: the folder cannot be written or the disk is full.
    """
    across, down = (
        min(most, count) for most, count in zip(SHEET, (len(photos), len(paintings)), strict=True)
    )
    columns = [k * len(photos) // across for k in range(across)]
    contents = [to_batch(photos.squares[index]) for index in columns]
    cell = photos.squares.shape[1:3]
    sheet = ContactSheet((cell[1], cell[0]), across + 1, (down + 1) * (across + 1))
    for column, index in enumerate(columns):
        sheet.place(column + 1, "", Image.fromarray(np.asarray(photos.squares[index])))
    for row in range(down):
        index = row * len(paintings) // down
        place = (row + 1) * (across + 1)
        sheet.place(place, "", read_next_picture(paintings.paths, index).to_pil())
        for column, result in enumerate(trainer.paint_samples(contents, paintings, index)):
            pixels = result[0].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
            picture = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
            sheet.place(place + column + 1, "", picture)
    make_folder(folder)
    with replace_atomically(folder / f"{trainer.step:07d}.jpg") as temporary:
        sheet.image.save(temporary, "JPEG", quality=90)
