"""Keep the statistics of paintings, which are measured once for many photos."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor

from impasto.objective.statistics.gauge import Gauge, Statistics

Measure = Callable[[Tensor, Sequence[Gauge]], list[Statistics]]
"""Measures a whole picture [1, 3, H, W] with some gauges."""

CACHE_SIZE = 32
"""Number of paintings whose statistics are kept; each takes some megabytes."""


class TargetCache:
    """The statistics of whole paintings, for the next photo of the same size."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, list[Statistics]] = OrderedDict()

    def measure(
        self, painting: Tensor, gauges: Sequence[Gauge], measure: Measure
    ) -> list[Statistics]:
        """Measure a painting, unless equal pixels were measured before."""
        pixels = painting.detach().cpu().contiguous()
        digest = hashlib.sha256(repr(pixels.shape).encode())
        digest.update(pixels.numpy().data)
        key = digest.digest()
        if key not in self._entries:
            self._entries[key] = measure(painting, gauges)
            if len(self._entries) > CACHE_SIZE:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return self._entries[key]
