"""Download official weight files into the cache: resumable, verified and atomic.

Impasto never downloads anything by itself. Only `impasto weights download` calls this module.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from impasto.encoders.weight_sources import (
    WeightSource,
    compute_digest,
    find_cache_folder,
    hash_file,
)
from impasto.errors import InputError, ResourceError, WeightsError
from impasto.image.files.atomic import open_without_link, write_atomically

CHUNK = 2**20
TIMEOUT_S = 30
ATTEMPTS = 3
"""Requests per call; each one resumes where the previous one broke off."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and the total, which is None if the server does not state it."""


def download_weights(source: WeightSource, progress: Progress | None = None) -> Path:
    """Download a source into the cache folder.

    The data goes to ``NAME.partial``. An interrupted transfer is resumed by a Range request with
    If-Range, so that a file that has changed on the server is fetched from the beginning. A
    complete file whose hash does not start with the publisher's digits is deleted. The full SHA-256
    is stored next to the file and checked at every use; where the publisher states no hash, the
    first download is trusted.

    Args:
        source: file to download.
        progress: None: progress is not reported.

    Returns:
        Path of the file in the cache.

    Raises:
        InputError: the source is not a download.
        WeightsError: the hash is wrong, or the server does not deliver.
        ResourceError: the cache folder cannot be written, or the disk is full.
    """
    if source.url is None:
        raise InputError("is part of the installation and needs no download", what=source.name)
    target = find_cache_folder() / source.file
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(source.url, partial, progress)
        sha256 = hash_file(partial)
        digests = [("sha256", sha256, source.sha256)]
        if source.md5:
            digests.append(("md5", compute_digest(partial, "md5"), source.md5))
        for algorithm, digest, expected in digests:
            if not digest.startswith(expected):
                partial.unlink()
                raise WeightsError(
                    f"has {algorithm} {digest} and was deleted",
                    where=source.url,
                    expected=expected,
                )
        note = target.with_name(target.name + ".sha256")
        write_atomically(note, f"{sha256}\n".encode("ascii"))
        partial.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise WeightsError(
            f"{reason}; the partial file is kept, repeat the command to resume", where=source.url
        ) from None
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror or error})", where=target
        ) from None
    partial.with_name(partial.name + ".etag").unlink(missing_ok=True)
    return target


def _fetch(url: str, partial: Path, progress: Progress | None) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if _transfer(url, partial, progress):
                return
        except (http.client.HTTPException, TimeoutError, ConnectionError):
            if attempt == ATTEMPTS:
                raise
    raise WeightsError(
        f"the connection broke off {ATTEMPTS} times; repeat the command to resume", where=url
    )


def _transfer(url: str, partial: Path, progress: Progress | None) -> bool:
    """Make one request and return whether the file is complete."""
    etag = partial.with_name(partial.name + ".etag")
    size = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "impasto"})
    if size and etag.exists():
        request.add_header("Range", f"bytes={size}-")
        request.add_header("If-Range", etag.read_text("ascii"))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Either the file is complete already, or it is not the file that the server has now.
        with error:
            complete = error.headers.get("Content-Range") == f"bytes */{size}"
        if not complete:
            partial.unlink()
        return complete
    with response:
        is_resumed = response.status == http.client.PARTIAL_CONTENT
        size = size if is_resumed else 0
        length = response.headers.get("Content-Length")
        total = size + int(length) if length else None
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if validator:
            write_atomically(etag, validator.encode("ascii"))
        with open_without_link(partial, append=is_resumed) as file:
            while block := response.read(CHUNK):
                file.write(block)
                size += len(block)
                if progress is not None:
                    progress(size, total)
    return total is None or size >= total
