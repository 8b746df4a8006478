"""Render the page of ``impasto inspect``, and name all its files."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT, STYLE, ACTIVATIONS = "content", "style", "activations"
KINDS = (CONTENT, STYLE, ACTIVATIONS)
INDEX = "index.html"


def name_picture(kind: str, layer: str) -> str:
    """Return the file name of a picture: one of :data:`KINDS` at one of :data:`LAYERS`."""
    return f"{kind}-{layer}.png"


def list_inspection_files(folder: Path) -> list[Path]:
    """List every file that is written into a folder."""
    names = [name_picture(kind, layer) for layer in LAYERS for kind in KINDS]
    return [folder / name for name in (*names, INDEX)]


def render_page(iterations: int, size: int, seed: int, names: Mapping[tuple[str, str], str]) -> str:
    """Render the page in HTML.

    Args:
        iterations: iterations of each reconstruction and texture.
        size: longer side in pixels.
        seed: seed of the initial noise.
        names: file name of each picture by its kind and layer.
    """
    rows = "".join(
        f"<tr><th>{layer}</th>"
        + "".join(
            f'<td><img src="{names[kind, layer]}" alt="{kind} {layer}" loading="lazy"></td>'
            for kind in KINDS
        )
        + "</tr>"
        for layer in LAYERS
    )
    caption = html.escape(
        f"{iterations} iterations from noise at {size} px, "
        f"seed {seed}. Content: the photo reconstructed from one layer. Style: a "
        "texture with the painting's Gram matrix at that layer. Activations: the photo's "
        "strongest channels."
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>impasto inspect</title>'
        "<style>body{font:16px system-ui;margin:2rem;background:#fff;color:#222}"
        "img{max-width:320px;display:block}th{text-align:left;vertical-align:top}"
        "td,th{padding:.5rem}</style>"
        f"<h1>What VGG-19 keeps</h1><p>{caption}</p>"
        "<table><tr><th>layer</th><th>content</th><th>style</th><th>activations</th></tr>"
        f"{rows}</table></html>\n"
    )
