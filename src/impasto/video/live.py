"""Paint a clip as it plays and show it in a browser, as MJPEG served to this machine only."""

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
from impasto.video.clip.frames import Levels
from impasto.video.clip.selection import FrameSource
from impasto.video.stabilize.stabilizer import Stabilizer

HOST = "127.0.0.1"
BOUNDARY = "frame"
PAGE = b"<!doctype html><title>impasto live</title><body style='margin:0;background:#000'>\
<img src='/stream' style='width:100vw;height:100vh;object-fit:contain'>"
RATE_FRAMES = 10
"""Number of recent frames over which the frame rate is measured."""


class Screen:
    """Holds the newest picture for any number of viewers."""

    def __init__(self) -> None:
        """Start without a picture."""
        self._changed = threading.Condition()
        self._jpeg = b""
        self._count = 0
        self._closed = False

    def show(self, jpeg: bytes) -> None:
        """Replace the picture."""
        with self._changed:
            self._jpeg, self._count = jpeg, self._count + 1
            self._changed.notify_all()

    def close(self) -> None:
        """End the streams of all viewers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def watch(self) -> Iterator[bytes]:
        """Yield the newest picture whenever it changes, until the screen is closed."""
        count = 0
        while True:
            with self._changed:
                while self._count == count and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                count, jpeg = self._count, self._jpeg
            yield jpeg


@contextmanager
def serve_screen(screen: Screen, port: int) -> Iterator[str]:
    """Serve a page that shows a screen, to this machine only.

    Args:
        screen: the screen; it is closed at the end.
        port: port to listen on. 0: any free port.

    Yields:
        The address of the page.

    Raises:
        ResourceError: the port cannot be used.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Without this check, a foreign page whose host name resolves to this machine could
            # see the camera.
            if self.headers.get("Host", HOST).partition(":")[0] not in (HOST, "localhost"):
                self._answer(421, "text/plain", b"only for this machine")
            elif self.path == "/stream":
                self._stream()
            elif self.path == "/":
                self._answer(200, "text/html", PAGE)
            else:
                self._answer(404, "text/plain", b"not found")

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
                # A browser shows a picture only after the header of the next part. That header is
                # sent along with the picture, and so it cannot state a length.
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
                self.wfile.write(head)
                for jpeg in screen.watch():
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
            f"port {port} cannot be used ({reason}); choose another `port`", field="port"
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


def play_live(
    source: FrameSource,
    stabilizer: Stabilizer,
    screen: Screen,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[float]:
    """Paint and show a clip at its own speed, skipping frames for which there is no time.

    Args:
        source: the frames, of a file or a camera.
        stabilizer: a stabilizer that has not painted any frame yet.
        screen: where the frames are shown.
        clock, sleep: replaceable for tests; seconds.

    Yields:
        The frame rate that is reached, per second, after each frame that is shown.
    """
    start: float | None = None
    times: deque[float] = deque(maxlen=RATE_FRAMES)
    for frame in source.read_frames():
        if start is None:
            start = clock() - float(frame.time)
        late = clock() - start - float(frame.time)
        if late > 1 / source.clip.format.rate and times:
            continue
        if late < 0:
            sleep(-late)
        _, pixels = stabilizer.stylize_frame(source.load_pixels(frame))
        times.append(clock())
        span = times[-1] - times[0]
        rate = (len(times) - 1) / span if span > 0 else 0.0
        screen.show(_encode_jpeg(pixels, rate))
        yield rate


def _encode_jpeg(pixels: Levels, rate: float) -> bytes:
    """Encode a frame with the frame rate written into its corner."""
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
