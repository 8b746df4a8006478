"""Compute pastiche's own objective, by its own code, for pictures saved by any tool.

``reach.py`` runs it with the Python of pastiche's environment, which has no impasto:
``python pastiche_loss.py CONTENT STYLE SIZE PICTURE...`` prints a JSON list, one value for each
picture. The pictures are read from their files, so the values are of what was saved: clamped, in
8 bits.
"""

from __future__ import annotations

import json
import sys

import torch
from pastiche.pastiche import PasticheArtist, load_image


def main() -> None:
    """Load the network and the targets once, then evaluate each picture."""
    content, style, size, *pictures = sys.argv[1:]
    artist = PasticheArtist(content, [style], size=int(size), device="cpu")
    values = []
    for picture in pictures:
        artist.pastiche = load_image(picture)
        if list(artist.pastiche.shape[2:]) != artist.content_size:
            actual = "x".join(str(side) for side in artist.pastiche.shape[:1:-1])
            raise SystemExit(f"{picture} is {actual}, not {artist.content_size[::-1]}")
        with torch.no_grad():
            values.append(float(artist._calc_loss()))
    print(json.dumps(values))


if __name__ == "__main__":
    main()
