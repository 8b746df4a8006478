"""Deinterlace frames: the two halves of each were taken one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import av

_FILTER, _OPTIONS = "bwdif", "mode=send_frame:deint=interlaced"
"""FFmpeg's filter by Weston and w3fdif; frames that are not marked as interlaced stay as they
are."""
_AGAIN = (av.error.BlockingIOError, av.error.EOFError)


def deinterlace_frames(frames: Iterator[Any], report: Callable[[], None]) -> Iterator[Any]:
    """Yield frames, deinterlaced from the first one on that is marked as interlaced.

    Args:
        frames: decoded frames, in order.
        report: called once, if there is such a frame.
    """
    graph: Any = None
    for frame in frames:
        if graph is None and frame.interlaced_frame:
            graph = _make_graph(frame)
            report()
        if graph is None:
            yield frame
            continue
        graph.push(frame)
        yield from _pull(graph)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph)


def _make_graph(frame: Any) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    middle, sink = graph.add(_FILTER, _OPTIONS), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph


def _pull(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except _AGAIN:
            return
