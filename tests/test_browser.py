"""docs/browser in a real Chromium: two files in, the picture that PyTorch makes out.

Needs Chromium, the page's npm packages (`npm install` in docs/browser, or IMPASTO_NODE_MODULES) and
the onnx extra; skipped without them.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import synthetic_painting, synthetic_photo
from impasto.fast.export import Coding, Painting
from impasto.fast.files import read_painter

PAGE = Path(__file__).parents[1] / "docs" / "browser"
MODULES = Path(os.environ.get("IMPASTO_NODE_MODULES") or PAGE / "node_modules")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(
        not (MODULES / "onnxruntime-web").is_dir(), reason="onnxruntime-web is not installed"
    ),
]

FORM = """
<!doctype html><title>waiting</title><script type="module">
const page = document.createElement("iframe");
page.src = "index.html";
document.body.append(page);
await new Promise((done) => page.addEventListener("load", done));
const inside = page.contentDocument;
for (const name of ["photo", "painting"]) {
  const blob = await (await fetch(name + ".png")).blob();
  const files = new page.contentWindow.DataTransfer();
  files.items.add(new page.contentWindow.File([blob], name + ".png", { type: "image/png" }));
  inside.getElementById(name).files = files.files;
}
inside.getElementById("size").value = 64;
inside.getElementById("form").requestSubmit();
const status = inside.getElementById("status");
while (!/failed|in .* s$/.test(status.textContent)) await new Promise((d) => setTimeout(d, 50));
const canvas = inside.getElementById("picture");
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const report = { status: status.textContent, size: [canvas.width, canvas.height],
                 pixels: btoa(String.fromCharCode(...pixels.data)) };
await fetch("report", { method: "POST", body: JSON.stringify(report) });
</script>
"""


class Server(http.server.SimpleHTTPRequestHandler):
    """Static files, and a place to post the report to."""

    extensions_map: ClassVar = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def do_POST(self):
        self.server.report = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.reported.set()

    def log_message(self, *_):
        pass


def site(folder, graphs):
    """The page as it would be served, with its two pictures and a script that fills in the form."""
    for each in PAGE.iterdir():
        if each.is_file():
            (folder / each.name).write_bytes(each.read_bytes())
    (folder / "models").symlink_to(graphs)
    (folder / "node_modules").symlink_to(MODULES)
    Image.fromarray(synthetic_photo()).save(folder / "photo.png")
    Image.fromarray(synthetic_painting()).save(folder / "painting.png")
    (folder / "test.html").write_text(FORM)


def test_the_page_paints_what_pytorch_paints(exported, tmp_path):
    network, graphs = exported
    site(tmp_path, graphs)
    handler = functools.partial(Server, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.reported = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/test.html"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}"]
        with subprocess.Popen(
            [CHROMIUM, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as browser:
            try:
                assert server.reported.wait(240), "the page never finished"
            finally:
                browser.terminate()
        server.shutdown()
    report = json.loads(server.report)
    assert "failed" not in report["status"], report["status"]
    assert report["size"] == [64, 48]
    levels = np.frombuffer(base64.b64decode(report["pixels"]), np.uint8).reshape(48, 64, 4)
    painter, _ = read_painter(network)
    photo, painting = (
        torch.from_numpy(each.transpose(2, 0, 1).copy())[None].float() / 255
        for each in (synthetic_photo(), synthetic_painting())
    )
    # The painting is brought to the photo's area; the browser resamples a little differently.
    scale = (64 * 48 / (56 * 64)) ** 0.5
    size = (round(64 * scale), round(56 * scale))
    small = torch.nn.functional.interpolate(painting, size, mode="bicubic", antialias=True)
    with torch.no_grad():
        expected = Painting(painter)(photo, Coding(painter.book)(small.clamp(0, 1)))
    found = levels[..., :3].transpose(2, 0, 1) / 255
    assert np.abs(found - expected[0].numpy()).mean() < 0.03
    assert np.abs(found - photo[0].numpy()).mean() > 0.1
