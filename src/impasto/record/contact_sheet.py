"""Many small pictures on one large one, labeled."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 8
"""Pixels between cells, and around them."""
LABEL = 14
"""Height of the letters in pixels."""
_LINE = LABEL + 6
_PAPER, _INK, _EMPTY = "white", "black", "#dddddd"


class ContactSheet:
    """References on top, then cells in rows; cells may be placed in any order, or never."""

    def __init__(
        self,
        cell: tuple[int, int],
        columns: int,
        count: int,
        references: Sequence[tuple[str, Image.Image]] = (),
    ) -> None:
        """Lay the sheet out and place the references.

        Args:
            cell: width and height in pixels that every picture is fitted into.
            columns: in a row.
            count: of cells.
            references: labels and pictures, such as the photo and the paintings.
        """
        self._cell = cell
        self._columns = max(1, min(columns, max(count, len(references))))
        self._above = -(-len(references) // self._columns)
        rows = self._above + -(-count // self._columns)
        width, height = cell[0] + GAP, cell[1] + _LINE + GAP
        self.image = Image.new("RGB", (self._columns * width + GAP, rows * height + GAP), _PAPER)
        self._font = ImageFont.load_default(LABEL)
        for index, (label, picture) in enumerate(references):
            self._draw(index, label, picture)
        for index in range(count):
            self.place(index, "", Image.new("RGB", cell, _EMPTY))

    def place(self, index: int, label: str, picture: Image.Image | None) -> None:
        """Put a picture into a cell, reduced to fit; none: the cell stays empty but for its label.

        Args:
            index: of the cell, row by row from 0.
            label: one line, cut where it is too long.
            picture: transparent parts are laid on white.
        """
        picture = picture or Image.new("RGB", self._cell, _EMPTY)
        self._draw(self._above * self._columns + index, label, picture)

    def _draw(self, place: int, label: str, picture: Image.Image) -> None:
        width, height = self._cell
        row, column = divmod(place, self._columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + _LINE + GAP)
        fitted = picture.convert("RGBA")
        fitted.thumbnail(self._cell, Image.Resampling.LANCZOS)
        box = Image.new("RGB", (width, height + _LINE), _PAPER)
        offset = ((width - fitted.width) // 2, (height - fitted.height) // 2)
        box.paste(fitted, offset, fitted)
        pen = ImageDraw.Draw(box)
        text = self._cut(label)
        across = (width - self._font.getlength(text)) / 2
        pen.text((across, height + 2), text, fill=_INK, font=self._font)
        self.image.paste(box, (left, top))

    def _cut(self, label: str) -> str:
        """As much of a label as a cell is wide."""
        text = label
        while text and self._font.getlength(text) > self._cell[0]:
            text = text.removesuffix("...")[:-1] + "..." if len(text) > 4 else ""
        return text
