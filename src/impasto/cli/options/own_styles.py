"""The paintings that a network is for, kept in its file: styles that need no picture."""

from __future__ import annotations

import argparse
import hashlib
import os
from pathlib import Path


def with_own_styles(options: argparse.Namespace, *, needed: bool = True) -> argparse.Namespace:
    """The options with the network's own paintings for the ``--style`` that names them, or for the
    one that is not given.

    Args:
        options: with ``style`` and ``recipe``.
        needed: whether there must be a style.

    Raises:
        InputError: there is no style, and none, or more than one, of the network's own.
        WeightsError: the network's file is missing or damaged.
        ResourceError: they cannot be unpacked.
    """
    from impasto.errors import InputError
    from impasto.recipe.recipe import NETWORK_SUFFIX

    network = Path(options.recipe or "")
    own = _unpacked(network) if network.suffix == NETWORK_SUFFIX else {}
    if options.style:
        options.style = [
            each if os.path.isfile(each) else own.get(each, each)  # noqa: PTH113 -- never raises
            for each in options.style
        ]
    elif len(own) == 1:
        options.style = [*own.values()]
    elif own:
        raise InputError(
            f"{network}: is for several styles, choose one: --style {' or '.join(own)}"
        )
    elif needed:
        raise InputError("no painting given: --style PAINTING is needed")
    return options


def _unpacked(network: Path) -> dict[str, str]:
    """Files of the network's own paintings by name, in the cache."""
    from impasto.encoders.sources import find_cache_folder
    from impasto.image.files.atomic import make_folder, write_atomically
    from impasto.network.network_files import paintings_in

    found = {}
    for name, png in paintings_in(network).items():
        folder = find_cache_folder() / "styles" / hashlib.sha256(png).hexdigest()[:16]
        file = folder / f"{Path(name).name}.png"  # whoever wrote the file, in this folder
        if not file.exists():
            make_folder(folder)
            write_atomically(file, png)
        found[name] = str(file)
    return found
