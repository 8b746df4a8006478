"""A clip stylized as it comes and shown in a browser: MJPEG from this machine to itself."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image, ImageDraw, ImageFont

from impasto.errors import ResourceError
from impasto.video.clip.clip import Clip, Levels
from impasto.video.job.film_run import sized
from impasto.video.stabilize.stabilizer import Stabilizer

HOST = "127.0.0.1"
BOUNDARY = "frame"
PAGE = b"<!doctype html><title>impasto live</title><body style='margin:0;background:#000'>\
<img src='/stream' style='width:100vw;height:100vh;object-fit:contain'>"
WINDOW = 10
"""Frames that the rate is taken over."""


class Screen:
    """The newest picture, for any number of viewers."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._changed = threading.Condition()
        self._jpeg = b""
        self._count = 0
        self._closed = False

    def show(self, jpeg: bytes) -> None:
        """Replace what is shown."""
        with self._changed:
            self._jpeg, self._count = jpeg, self._count + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let the viewers go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pictures(self) -> Iterator[bytes]:
        """The newest, whenever there is a new one, until it is closed."""
        seen = 0
        while True:
            with self._changed:
                while self._count == seen and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                seen, jpeg = self._count, self._jpeg
            yield jpeg


@contextmanager
def served(screen: Screen, port: int) -> Iterator[str]:
    """A page with what a screen shows; its address, on this machine only.

    Raises:
        ResourceError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page elsewhere whose name is made to point here would see what the camera sees.
            if self.headers.get("Host", HOST).partition(":")[0] not in (HOST, "localhost"):
                self._answer(421, "text/plain", b"for this machine only")
            elif self.path == "/stream":
                self._stream()
            elif self.path == "/":
                self._answer(200, "text/html", PAGE)
            else:
                self._answer(404, "text/plain", b"not here")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            try:
                # A browser shows a picture once the head of the one after it has come, which
                # therefore goes out with it, and cannot tell that one's length.
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
                self.wfile.write(head)
                for jpeg in screen.pictures():
                    self.wfile.write(jpeg + b"\r\n" + head)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ResourceError(
            f"cannot serve on port {port} ({reason}); choose another `port`", field="port"
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        screen.close()
        server.shutdown()
        server.server_close()


def play(
    clip: Clip,
    size: tuple[int, int],
    stabilizer: Stabilizer,
    screen: Screen,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[float]:
    """Show a clip at its own speed, leaving out the frames there is no time for; yields the rate
    achieved, frames a second, after each that is shown.

    Args:
        clip: of a file, or a camera.
        size: (width, height) to show it at.
        stabilizer: with nothing done yet.
        screen: where to.
        clock, sleep: of time.
    """
    began: float | None = None
    shown: deque[float] = deque(maxlen=WINDOW)
    for frame in clip.frames():
        if began is None:
            began = clock() - float(frame.time)
        late = clock() - began - float(frame.time)
        if late > 1 / clip.format.rate and shown:
            continue
        if late < 0:
            sleep(-late)
        _, made = stabilizer.stylized(sized(frame, size))
        shown.append(clock())
        span = shown[-1] - shown[0]
        rate = (len(shown) - 1) / span if span > 0 else 0.0
        screen.show(_jpeg(made, rate))
        yield rate


def _jpeg(pixels: Levels, rate: float) -> bytes:
    image = Image.fromarray(pixels)
    if rate:
        pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)
        pen.text(
            (4, 2),
            f"{rate:.1f} frames/s",
            fill="white",
            font=font,
            stroke_width=1,
            stroke_fill="black",
        )
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
