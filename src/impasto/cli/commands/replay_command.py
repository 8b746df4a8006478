"""``impasto replay OUT.png``: the recipe found inside a picture, run again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from impasto._version import __version__
from impasto.cli.options.arguments import Parser, device, gigabytes, say

if TYPE_CHECKING:
    from impasto.image.masks import Mask
    from impasto.image.picture import Picture
    from impasto.record.provenance import FileHash, Provenance


def build_parser() -> Parser:
    """The flags of a replay."""
    parser = Parser(
        prog="impasto replay",
        description="Make a picture again from the recipe inside it. Its photo and painting are "
        "looked for beside it and in the current folder.",
    )
    add = parser.add_argument
    add("picture", metavar="OUT.png")
    add("-o", "--output", metavar="AGAIN.png", help="default: OUT-replay.png")
    add("--photo", metavar="FILE", help="where the photo is now")
    add("--style", metavar="FILE", action="append", help="where the painting is now; repeatable")
    add("--mask", metavar="FILE", action="append", help="where the mask is now; repeatable")
    add("--style-mask", metavar="FILE", action="append", help="likewise; none for one without")
    add("--init", metavar="FILE", help="where the picture is that the run began with")
    add("--weights", metavar="FILE", help="where the VGG's weights are")
    add("--network", metavar="FILE", help="where the one-pass network is")
    add("--device", type=device, help="default: the kind it was made on")
    add("--max-memory", metavar="GB", type=gigabytes, help="as of the main job")
    add("--scratch", metavar="DIR", help="likewise")
    add("--force", action="store_true", help="replace an existing output")
    add(
        "--accept-changed",
        action="store_true",
        help="go on with other inputs or weights than it was made from",
    )
    add("--quiet", action="store_true", help="no progress")
    add("--json", action="store_true", help="one JSON object on the last line of standard output")
    return parser


def run(argv: list[str]) -> int:
    """Find the inputs, check that they are the ones, and make the picture again."""
    options = build_parser().parse_args(argv)
    from impasto.cli.jobs.paint import Job, paint
    from impasto.cli.options.output_files import check_targets
    from impasto.image.files.decode import read_picture
    from impasto.image.files.encode import choose_format
    from impasto.record.provenance import FileHash, read_provenance

    path = Path(options.picture)
    made = read_picture(path)
    provenance = read_provenance(path)
    output = Path(options.output or path.with_name(f"{path.stem}-replay{path.suffix}"))
    depth = 16 if made.metadata.depth == 16 else 8
    choose_format(output, depth)
    if provenance.refined:
        say(f"{path} was refined afterwards; a replay is the picture before that")
    sought = Search(path, provenance, accept_changed=options.accept_changed)
    photo, *paintings = sought.inputs(options.photo, options.style)
    sources: list[str | None] = [str(each) for each in sought.found]
    masks, style_masks = sought.masks((photo, paintings), options.mask, options.style_mask)
    recipe = provenance.recipe
    # What the recipe asks for decides: an entry of the record may be missing.
    if recipe.start.image is not None:
        start = provenance.start or FileHash(recipe.start.image, "")
        sought.picture(start, options.init, "--init")
        recipe = recipe.with_changes({"start.image": str(sought.found[-1])})
    if recipe.engine.file is not None or provenance.network is not None:
        recipe = recipe.with_changes({"engine.file": sought.network(options.network)})
    check_targets([output], [path, *sought.found], overwrite=options.force)
    sought.check_weights(options.weights)
    where = options.device or _like(provenance.device)
    same = not sought.changed and where.split(":")[0] == provenance.device
    job = Job(
        recipe=recipe,
        photo=photo,
        paintings=paintings,
        masks=masks,
        style_masks=style_masks,
        sources=sources,
        output=output,
        device=where,
        weights=options.weights,
        depth=depth,
        overwrite=options.force,
        quiet=options.quiet,
        json=options.json,
        max_memory=options.max_memory,
        scratch=options.scratch,
        keep_metadata=provenance.keeps_metadata,
        record=replace(provenance, version=__version__, refined=()) if same else None,
    )
    return paint(job)


class Search:
    """Finds what a picture was made from, and remembers whether all of it is unchanged."""

    def __init__(self, picture: Path, provenance: Provenance, *, accept_changed: bool) -> None:
        self._picture = picture
        self._provenance = provenance
        self._accept_changed = accept_changed
        self.found: list[Path] = []
        self.changed = False

    def inputs(self, photo: str | None, styles: list[str] | None) -> list[Picture]:
        """The photo and the paintings, from the paths given or found by name."""
        named_photo, *named_paintings = self._provenance.inputs
        pairs = _paired(named_paintings, styles, "painting", "--style")
        return [
            self.picture(named_photo, photo, "--photo"),
            *(self.picture(named, given, "--style") for named, given in pairs),
        ]

    def picture(self, named: FileHash, given: str | None, flag: str) -> Picture:
        """The picture given, or found by name beside the output or in the current folder."""
        from impasto.image.files.decode import read_picture

        path = Path(given) if given else self._by_name(named[0], flag)
        picture = read_picture(path)
        self.found.append(path)
        if picture.compute_sha256() != named[1]:
            self._differs(f"{path}: is not the picture this was made from")
        return picture

    def masks(
        self,
        pictures: tuple[Picture, list[Picture]],
        masks: list[str] | None = None,
        style_masks: list[str] | None = None,
        flags: tuple[str, str] = ("--mask", "--style-mask"),
    ) -> tuple[list[Mask], list[Mask | None]]:
        """Of the photo and of the paintings, likewise; or found again. Flags that are empty cannot
        be given.
        """
        from impasto.record.provenance import FileHash
        from impasto.segment.mask_words import find_masks

        record = self._provenance
        entire = FileHash("none", "")
        regions = _paired(record.masks, masks, "mask", flags[0])
        parts = _paired([n or entire for n in record.style_masks], style_masks, "part", flags[1])
        found = find_masks(
            *pictures,
            [self._mask_source(*each, flags[0]) for each in regions],
            [None if n is entire else self._mask_source(n, g, flags[1]) for n, g in parts],
        )
        for mask, (named, _) in zip((*found[0], *found[1]), (*regions, *parts), strict=True):
            if mask is not None and mask.compute_sha256() != named[1]:
                self._differs(f"{mask.path or mask.name}: is not the mask this was made with")
        return found

    def _mask_source(self, named: FileHash, given: str | None, flag: str) -> str | Path:
        """A word, or the file given or found by name."""
        from impasto.segment.mask_words import get_mask_file, is_mask_word

        word = given or named[0]
        if not is_mask_word(word):
            self.found.append(Path(given) if given else self._by_name(word, flag))
            return self.found[-1]
        file = get_mask_file(word)
        if file is None:
            return word
        self.found.append(Path(file) if given else self._by_name(file, flag))
        return f"scribble:{self.found[-1]}"

    def network(self, given: str | None) -> str | None:
        """The one-pass network's file, given or found by name; none: it is impasto's own.

        Raises:
            InputError: it is not given, and the one that is found is not the one of the record.
        """
        from impasto.errors import InputError
        from impasto.network.network_files import identify_network, network_in

        named, engine = self._provenance.network, network_in(self._provenance.recipe)
        file = given
        if given is None and engine.file is not None:
            if named is None:
                raise InputError(
                    f"{self._picture}: its record has no hash of its network: say where the "
                    "network is with --network"
                )
            file = str(self._by_name(named[0], "--network"))
        found = identify_network(engine.model_copy(update={"file": file}))
        if file is not None:
            self.found.append(Path(file))
        if named is None:
            self.changed = True  # for the new record to have the hash
        elif found is not None and found[1] != named[1]:
            complaint = f"{found[0]}: is not the network this was made with"
            if file is not None and given is None:  # a record alone chooses no other network
                raise InputError(f"{complaint}; give it with --network")
            self._differs(complaint)
        return file

    def check_weights(self, given: str | None) -> None:
        """The network's weights are the ones, as far as the record tells."""
        from impasto.record.provenance import identify_weights

        expected = self._provenance.weights
        if expected is None:
            return
        found = identify_weights(self._provenance.recipe.encoder.network, given)
        if found[1] != expected[1]:
            self._differs(
                f"it was made with the weights {expected[0]} (SHA-256 {expected[1][:12]}), "
                f"not {found[0]} ({found[1][:12]}): give them with --weights"
            )

    def _by_name(self, name: str, flag: str) -> Path:
        from impasto.errors import InputError
        from impasto.record.names import find_file

        folders = (self._picture.parent, Path.cwd())
        for folder in folders:
            found = find_file(name, folder)
            if found is not None:
                return found
        instead = f"say where it is with {flag}" if flag else "put it there"
        links = (os.path.islink(folder / name) for folder in folders)  # noqa: PTH114 -- never raises
        if name and any(links):
            raise InputError(f"{name}: is a link, but not to a file in its folder: {instead}")
        raise InputError(
            f"{name or 'an input without a file name'} is neither beside {self._picture} nor in "
            f"the current folder: {instead}"
        )

    def _differs(self, complaint: str) -> None:
        from impasto.errors import InputError

        if not self._accept_changed:
            raise InputError(f"{complaint}; --accept-changed goes on all the same")
        say(complaint)
        self.changed = True


def _paired(
    named: Sequence[FileHash], given: list[str] | None, what: str, flag: str
) -> list[tuple[FileHash, str | None]]:
    """What the record names, and what the user gives for it."""
    from impasto.errors import InputError, format_count

    if given and len(given) != len(named):
        raise InputError(f"the picture has {format_count(len(named), what)}, {flag} for each")
    places: Sequence[str | None] = given or [None] * len(named)
    return list(zip(named, places, strict=True))


def _like(made_on: str) -> str:
    """The device it was made on, or whatever there is, with a word about it."""
    from impasto.engine.hardware import resolve_device
    from impasto.errors import ImpastoError

    try:
        return resolve_device(made_on).type
    except ImpastoError:
        there = resolve_device("auto").type
        say(f"it was made on {made_on}, this is {there}: expect a slightly different picture")
        return there
