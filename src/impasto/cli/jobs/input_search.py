"""Find the files that a picture was made from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.cli.options.arguments import say

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.record.provenance import FileHash, Provenance


class InputSearch:
    """Finds the files that a picture was made from, and notes whether any has changed.

    Attributes:
        files: every file found so far.
        has_changes: whether an input or the weights differ from those in the record.
    """

    def __init__(self, picture: Path, provenance: Provenance, *, accept_changed: bool) -> None:
        self._picture = picture
        self._provenance = provenance
        self._accept_changed = accept_changed
        self.files: list[Path] = []
        self.has_changes = False

    def find_inputs(self, photo: str | None, styles: list[str] | None) -> list[Picture]:
        """Read the photo and the paintings, from the given paths or found by their names."""
        named_photo, *named_paintings = self._provenance.inputs
        pairs = _pair(named_paintings, styles, "painting", "--style")
        return [
            self.find_picture(named_photo, photo, "--photo"),
            *(self.find_picture(entry, override, "--style") for entry, override in pairs),
        ]

    def find_picture(self, entry: FileHash, override: str | None, flag: str) -> Picture:
        """Read a picture, from the given path or found by its name.

        Args:
            entry: name and hash in the record.
            override: the path that the user gave. None: search next to the output and in the
                current folder.
            flag: the flag that gives this path.
        """
        from impasto.image.files.decode import read_picture

        path = Path(override) if override else self._find_by_name(entry[0], flag)
        picture = read_picture(path)
        self.files.append(path)
        if picture.compute_sha256() != entry[1]:
            self._note_change("is not the picture that was used", path)
        return picture

    def find_masks(
        self,
        pictures: tuple[Picture, list[Picture]],
        masks: list[str] | None = None,
        style_masks: list[str] | None = None,
        flags: tuple[str, str] = ("--mask", "--style-mask"),
    ) -> tuple[list[Mask], list[Mask | None]]:
        """Read or find the masks of the photo and of the paintings.

        Args:
            pictures: the photo and the paintings.
            masks, style_masks: the paths that the user gave.
            flags: the flags that give these paths. Empty: there is no such flag.
        """
        from impasto.record.provenance import FileHash
        from impasto.segment.mask_words import find_masks

        record = self._provenance
        entire = FileHash("none", "")
        regions = _pair(record.masks, masks, "mask", flags[0])
        parts = _pair([n or entire for n in record.style_masks], style_masks, "part", flags[1])
        result = find_masks(
            *pictures,
            [self._choose_mask(*each, flags[0]) for each in regions],
            [None if n is entire else self._choose_mask(n, g, flags[1]) for n, g in parts],
        )
        for mask, (entry, _) in zip((*result[0], *result[1]), (*regions, *parts), strict=True):
            if mask is not None and mask.compute_sha256() != entry[1]:
                self._note_change("is not the mask that was used", mask.path or mask.name)
        return result

    def _choose_mask(self, entry: FileHash, override: str | None, flag: str) -> str | Path:
        """Return a word for a mask, or the file, given or found by its name."""
        from impasto.segment.mask_words import get_mask_file, is_mask_word

        word = override or entry[0]
        if not is_mask_word(word):
            self.files.append(Path(override) if override else self._find_by_name(word, flag))
            return self.files[-1]
        file = get_mask_file(word)
        if file is None:
            return word
        self.files.append(Path(file) if override else self._find_by_name(file, flag))
        return f"scribble:{self.files[-1]}"

    def find_network(self, override: str | None) -> str | None:
        """Return the file of the one-pass network, given or found by its name.

        Returns:
            The file. None: the network that comes with impasto.

        Raises:
            InputError: no file was given, and the one found is not the one in the record.
        """
        from impasto.errors import InputError
        from impasto.network.network_files import choose_network, identify_network

        entry, engine = self._provenance.network, choose_network(self._provenance.recipe)
        file = override
        if override is None and engine.file is not None:
            if entry is None:
                raise InputError(
                    "its record has no hash of the network; give the file of the network with "
                    "--network",
                    where=self._picture,
                )
            file = str(self._find_by_name(entry[0], "--network"))
        identity = identify_network(engine.model_copy(update={"file": file}))
        if file is not None:
            self.files.append(Path(file))
        if entry is None:
            self.has_changes = True  # so that the new record contains the hash
        elif identity is not None and identity[1] != entry[1]:
            change = "is not the network that was used"
            if file is not None and override is None:  # a record alone must not choose a network
                raise InputError(f"{change}; give it with --network", where=identity[0])
            self._note_change(change, identity[0])
        return file

    def check_weights(self, override: str | None) -> None:
        """Check that VGG's weights are those in the record, if it names any."""
        from impasto.record.provenance import identify_weights

        expected = self._provenance.weights
        if expected is None:
            return
        identity = identify_weights(self._provenance.recipe.encoder.network, override)
        if identity is not None and identity[1] != expected[1]:
            self._note_change(
                f"has SHA-256 {identity[1][:12]}, but the weights used were {expected[0]} "
                f"({expected[1][:12]}); give them with --weights",
                identity[0],
            )

    def _find_by_name(self, name: str, flag: str) -> Path:
        from impasto.errors import InputError
        from impasto.record.names import find_file

        folders = (self._picture.parent, Path.cwd())
        for folder in folders:
            file = find_file(name, folder)
            if file is not None:
                return file
        if flag == "--style":
            from impasto.library.library_paintings import load_library

            paintings = (each.path for each in load_library() if each.path.name == name)
            file = next(paintings, None)
            if file is not None:
                return file
        remedy = f"give its path with {flag}" if flag else "put it there"
        links = (os.path.islink(folder / name) for folder in folders)  # noqa: PTH114 -- never raises
        if name and any(links):
            raise InputError(f"is a link to a file outside its folder; {remedy}", where=name)
        raise InputError(
            f"is neither next to {self._picture} nor in the current folder; {remedy}",
            what=name or "an input without a file name",
        )

    def _note_change(self, change: str, file: str | Path) -> None:
        from impasto.errors import InputError

        if not self._accept_changed:
            raise InputError(f"{change}; --accept-changed continues anyway", where=file)
        say(f"{file}: {change}")
        self.has_changes = True


def _pair(
    entries: Sequence[FileHash], overrides: list[str] | None, what: str, flag: str
) -> list[tuple[FileHash, str | None]]:
    """Pair the names in the record with the paths that the user gave."""
    from impasto.errors import InputError, format_count

    if overrides and len(overrides) != len(entries):
        raise InputError(
            f"has {format_count(len(entries), what)}; give {flag} for each", what="the picture"
        )
    places: Sequence[str | None] = overrides or [None] * len(entries)
    return list(zip(entries, places, strict=True))
