"""Official weight files into the cache: resumed where they broke off, verified, then renamed.

Nothing in impasto downloads by itself; only `impasto weights download` calls this.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from impasto.encoders.cache import cache_directory
from impasto.encoders.weights import Source, file_hash, file_sha256
from impasto.errors import InputError, ResourceError, WeightsError

CHUNK = 2**20
TIMEOUT_S = 30
ATTEMPTS = 3
"""Of one call; every one goes on where the last broke off."""
Progress = Callable[[int, int | None], None]
"""Bytes so far, and in all if the server said."""


def download(source: Source, progress: Progress | None = None) -> Path:
    """Fetch a source into the cache directory and return its path.

    The transfer goes to ``NAME.partial``; a broken one is resumed by a Range request, with If-Range
    so that a file changed meanwhile begins anew. A whole file whose hash does not begin with the
    publisher's digits is deleted. Its full SHA-256 is kept beside it and checked at every use;
    where the publisher states no hash, the first download is trusted.

    Raises:
        InputError: the source is no download.
        WeightsError: the hash is wrong, or the server does not deliver.
        ResourceError: the cache directory cannot be written, or the disk is full.
    """
    if source.url is None:
        raise InputError(f"{source.name} comes with the installation, there is nothing to download")
    target = cache_directory() / source.file
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(source.url, partial, progress)
        found = file_sha256(partial)
        stated = [("sha256", found, source.sha256)]
        if source.md5:
            stated.append(("md5", file_hash(partial, "md5"), source.md5))
        for algorithm, digest, expected in stated:
            if not digest.startswith(expected):
                partial.unlink()
                raise WeightsError(
                    f"{source.url}: {algorithm} {digest}, expected {expected}; the file was deleted"
                )
        target.with_name(target.name + ".sha256").write_text(found + "\n", "ascii")
        partial.replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise WeightsError(
            f"{source.url}: {reason}; what has arrived is kept, repeat the command to go on"
        ) from None
    except OSError as error:
        raise ResourceError(f"cannot write {target}: {error.strerror or error}") from None
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
    raise WeightsError(f"{url}: broke off {ATTEMPTS} times; repeat the command to go on")


def _transfer(url: str, partial: Path, progress: Progress | None) -> bool:
    """One request; whether the file is whole afterwards."""
    etag = partial.with_name(partial.name + ".etag")
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "impasto"})
    if have and etag.exists():
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", etag.read_text("ascii"))
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # All of it is here already, or what is here is not of the file that the server has.
        with error:
            whole = error.headers.get("Content-Range") == f"bytes */{have}"
        if not whole:
            partial.unlink()
        return whole
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if mark:
            etag.write_text(mark, "ascii")
        with partial.open("ab" if resumed else "wb") as file:
            while block := response.read(CHUNK):
                file.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, total)
    return total is None or have >= total
