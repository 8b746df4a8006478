"""Share loaded networks among engines."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

Network = TypeVar("Network")


class EngineCache:
    """Loaded networks by what they were loaded from, for all engines of one caller.

    It keeps nothing in memory by itself: a network is shared for as long as some engine uses it.
    """

    def __init__(self) -> None:
        """Create an empty cache."""
        self._networks: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()

    def load(self, key: Hashable, load: Callable[[], Network]) -> Network:
        """Return the network of a key; load it if no engine uses it.

        Args:
            key: everything that the loaded network depends on.
            load: loads the network.
        """
        network: Network | None = self._networks.get(key)
        if network is None:
            network = self._networks[key] = load()
        return network
