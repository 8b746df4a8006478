"""Register encoders: what a recipe's ``encoder.network`` can name, and what each one says.

Layers are found by their names alone, whichever encoder has them: a recipe's layers are checked
before an encoder is loaded, and without torch.
"""

from __future__ import annotations

from impasto.encoders.encoder import PIXELS, Encoder, EncoderEntry, EncoderRequest, LayerShape
from impasto.encoders.vgg_entries import VGG_ENTRIES
from impasto.encoders.weight_sources import WeightSource
from impasto.errors import RecipeError

ENCODERS: dict[str, EncoderEntry] = {entry.name: entry for entry in VGG_ENTRIES}
"""Encoders by the recipe's ``encoder.network``. A new encoder is one module and one entry here."""


def register_encoder(entry: EncoderEntry) -> None:
    """Add an encoder in this process, or replace the one of the same name.

    Raises:
        ValueError: another encoder has a layer of the same name and another shape.
    """
    for other in ENCODERS.values():
        for layer in entry.layers.keys() & other.layers.keys():
            if other.name != entry.name and entry.layers[layer] != other.layers[layer]:
                raise ValueError(
                    f"encoder {entry.name!r}: {layer} has another shape in {other.name!r}"
                )
    ENCODERS[entry.name] = entry


def find_encoder(name: str) -> EncoderEntry:
    """Return the encoder with a name.

    Raises:
        RecipeError: there is none.
    """
    if name not in ENCODERS:
        raise RecipeError(
            f"no encoder {name!r}",
            expected=f"one of {', '.join(ENCODERS)}",
            field="encoder.network",
        )
    return ENCODERS[name]


def load_encoder(name: str, request: EncoderRequest) -> Encoder:
    """Load an encoder.

    Raises:
        RecipeError: there is no such encoder, or it has no such layer.
        WeightsError: there are no weights for it, or the file is damaged.
    """
    entry = find_encoder(name)
    missing = sorted(set(request.taps) - entry.layers.keys())
    if missing:
        raise RecipeError(
            f"has no layer {missing[0]}", what=name, expected=f"one of {', '.join(entry.layers)}"
        )
    return entry.load(request)


def list_sources() -> tuple[WeightSource, ...]:
    """List the official weight files of all encoders, each once."""
    return tuple(dict.fromkeys(source for entry in ENCODERS.values() for source in entry.sources))


def canonicalize_layer(name: str) -> str:
    """Return the canonical name of a layer, such as ``relu4_2`` for ``block4_conv2``.

    Raises:
        RecipeError: no encoder has such a layer.
    """
    for entry in ENCODERS.values():
        canonical = name if name in entry.layers else entry.canonicalize(name)
        if canonical is not None:
            return canonical
    raise _make_layer_error(name)


def get_layer_shape(layer: str) -> LayerShape:
    """Return the shape of a layer, by its canonical name.

    Raises:
        RecipeError: no encoder has such a layer.
    """
    if layer == PIXELS:
        return LayerShape(cell=1, channels=3)
    for entry in ENCODERS.values():
        if layer in entry.layers:
            return entry.layers[layer]
    raise _make_layer_error(layer)


def _make_layer_error(name: str) -> RecipeError:
    names = " or ".join(dict.fromkeys(entry.naming for entry in ENCODERS.values()))
    return RecipeError(f"no layer {name!r}", expected=names)


def get_cell_size(layer: str) -> int:
    """Return the pixels per side that one feature of a layer stands for."""
    return get_layer_shape(layer).cell


def count_channels(layer: str) -> int:
    """Count the numbers per feature of a layer."""
    return get_layer_shape(layer).channels
