"""Draw many small labeled pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

GAP = 8
"""Pixels between and around the cells."""
LABEL = 14
"""Font size in pixels."""
_LINE = LABEL + 6
_PAPER, _INK, _EMPTY = "white", "black", "#dddddd"


class ContactSheet:
    """A sheet with reference pictures on top and rows of cells, which are filled in any order."""

    def __init__(
        self,
        cell: tuple[int, int],
        columns: int,
        count: int,
        references: Sequence[tuple[str, Image.Image]] = (),
    ) -> None:
        """Lay out the sheet and draw the references.

        Args:
            cell: width and height in pixels of the box that each picture is fitted into.
            columns: cells per row.
            count: number of cells.
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
        """Put a picture into a cell.

        Args:
            index: index of the cell, row by row from 0.
            label: one line of text; it is shortened if it is too long.
            picture: reduced to fit; transparent parts become white. None: the cell stays empty.
        """
        picture = picture or Image.new("RGB", self._cell, _EMPTY)
        self._draw(self._above * self._columns + index, label, picture)

    def _draw(self, place: int, label: str, picture: Image.Image) -> None:
        width, height = self._cell
        row, column = divmod(place, self._columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + _LINE + GAP)
        small = picture.convert("RGBA")
        small.thumbnail(self._cell, Image.Resampling.LANCZOS)
        box = Image.new("RGB", (width, height + _LINE), _PAPER)
        offset = ((width - small.width) // 2, (height - small.height) // 2)
        box.paste(small, offset, small)
        pen = ImageDraw.Draw(box)
        text = self._shorten(label)
        across = (width - self._font.getlength(text)) / 2
        pen.text((across, height + 2), text, fill=_INK, font=self._font)
        self.image.paste(box, (left, top))

    def _shorten(self, label: str) -> str:
        """Shorten a label to the width of a cell."""
        text = label
        while text and self._font.getlength(text) > self._cell[0]:
            text = text.removesuffix("...")[:-1] + "..." if len(text) > 4 else ""
        return text
