"""Know which of the paintings that ship with impasto are alike; no network is needed."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.library.library_paintings import load_shipped
from impasto.library.style_index import rank_codes

CODES_FILE = "shipped-codes.safetensors"


@cache
def load_codes() -> dict[str, NDArray[Any]]:
    """Return the style codes [64] of the paintings that ship, by name."""
    from safetensors.numpy import load_file

    path = Path(str(resources.files("impasto") / "library" / "weights" / CODES_FILE))
    return {name: code.astype(np.float32) for name, code in load_file(path).items()}


def list_similar(name: str, count: int) -> list[str]:
    """Return the names of the paintings of the library most like one that ships, the most first."""
    codes = load_codes()
    names = [each.name for each in load_shipped() if each.name != name]
    matches = rank_codes(np.stack([codes[each] for each in names]), codes[name], count)
    return [names[each.place] for each in matches]
