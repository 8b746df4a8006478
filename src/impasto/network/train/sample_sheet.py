"""Sheets of samples of a training run: held-out photos in the styles of held-out paintings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.image.files.atomic import make_folder, replace_atomically
from impasto.network.grain import grained
from impasto.network.model import Painter
from impasto.network.train.trainer import Trainer
from impasto.network.train.training_paintings import Paintings
from impasto.network.train.training_photos import Photos, as_batch, readable
from impasto.record.contact_sheet import ContactSheet

SHEET = (4, 7)
"""Photos and paintings."""


@torch.no_grad()
def write_samples(trainer: Trainer, photos: Photos, paintings: Paintings, folder: Path) -> None:
    """A sheet of held-out photos in the styles of held-out paintings, by the averaged network.

    Raises:
        ResourceError: the folder cannot be written or the disk is full.
    """
    across, down = (
        min(wanted, have) for wanted, have in zip(SHEET, (len(photos), len(paintings)), strict=True)
    )
    painter = Painter().to(trainer.device)
    painter.load_state_dict(trainer.averaged)
    chosen = [k * len(photos) // across for k in range(across)]
    cell = photos.squares.shape[1:3]
    sheet = ContactSheet((cell[1], cell[0]), across + 1, (down + 1) * (across + 1))
    for column, index in enumerate(chosen):
        sheet.place(column + 1, "", Image.fromarray(np.asarray(photos.squares[index])))
    for row in range(down):
        index = row * len(paintings) // down
        place = (row + 1) * (across + 1)
        sheet.place(place, "", readable(paintings.paths, index).to_pil())
        code = paintings.book.code(paintings.moments([(index, 0)]))
        style = painter.style(code[:, None])
        for column, photo in enumerate(chosen):
            content = as_batch(photos.squares[photo]).to(trainer.device)
            made = painter(grained(content), style)[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
            picture = Image.fromarray(np.rint(made * 255).astype(np.uint8))
            sheet.place(place + column + 1, "", picture)
    make_folder(folder)
    with replace_atomically(folder / f"{trainer.step:07d}.jpg") as temporary:
        sheet.image.save(temporary, "JPEG", quality=90)
