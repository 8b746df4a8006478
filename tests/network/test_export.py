"""ONNX: the graphs give what PyTorch gives, at any size and in a browser; 8 bits lose little."""

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

from conftest import REPOSITORY, complaint, synthetic_painting, synthetic_photo
from impasto.cli import main
from impasto.network import export as export_module
from impasto.network.export import PICTURE, STYLE, CodeGraph, PaintingGraph, quantize_kernels
from impasto.network.network_files import read_painter
from processes import running

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = [(45, 51), (64, 72), (33, 100)]


def session(graph):
    source = graph if isinstance(graph, bytes) else str(graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def pictures(height, width):
    generator = torch.Generator().manual_seed(height)
    return [torch.rand(1, 3, height, width, generator=generator) for _ in range(2)]


@pytest.mark.slow
def test_the_graphs_give_what_pytorch_gives_at_any_size(exported):
    network, folder = exported
    painter, _ = read_painter(network)
    coding, painting = CodeGraph(painter.book).eval(), PaintingGraph(painter).eval()
    style, picture = session(folder / STYLE), session(folder / PICTURE)
    for height, width in SIZES:
        photo, model = pictures(height, width)
        with torch.no_grad():
            code = coding(model)
            expected = painting(photo, code)
        (exported_code,) = style.run(None, {"painting": model.numpy()})
        np.testing.assert_allclose(exported_code, code.numpy(), atol=1e-3, rtol=1e-4)
        (result,) = picture.run(None, {"photo": photo.numpy(), "code": exported_code})
        np.testing.assert_allclose(result, expected.numpy(), atol=1e-3, rtol=0)
        assert result.shape == photo.shape


@pytest.mark.slow
def test_eight_bits_are_a_third_of_the_size_and_nearly_the_same_picture(
    exported, tmp_path, monkeypatch
):
    network, folder = exported
    there = {"code": STYLE, "picture": PICTURE}  # tracing the network again takes half a minute
    monkeypatch.setattr(
        export_module, "_build_graph", lambda *inputs: onnx.load(folder / there[inputs[2]])
    )
    assert main(["export", str(network), "-o", str(tmp_path), "--quantize", "int8"]) == 0
    photo, painting = pictures(*SIZES[1])
    results = []
    for graphs in (folder, tmp_path):
        onnx.checker.check_model(onnx.load(graphs / PICTURE))
        (code,) = session(graphs / STYLE).run(None, {"painting": painting.numpy()})
        inputs = {"photo": photo.numpy(), "code": code}
        results += session(graphs / PICTURE).run(None, inputs)
    assert 0 < np.abs(results[0] - results[1]).mean() < 0.01
    for name in (STYLE, PICTURE):
        assert 3 * (tmp_path / name).stat().st_size < (folder / name).stat().st_size


@pytest.mark.slow
def test_existing_graphs_are_kept_without_force(exported, capsys):
    network, folder = exported
    assert main(["export", str(network), "-o", str(folder)]) == 2
    assert STYLE in capsys.readouterr().err
    assert main(["export", "gone.safetensors"]) == 2
    capsys.readouterr()
    for place, why in ((network, "is a file"), (network / "graphs", "cannot be created")):
        assert main(["export", str(network), "-o", str(place)]) == 4
        assert f"{place}: {why}" in complaint(capsys)


PAGE = REPOSITORY / "docs" / "browser"
MODULES = Path(os.environ.get("IMPASTO_NODE_MODULES") or PAGE / "node_modules")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or not (MODULES / "onnxruntime-web").is_dir(),
    reason="no Chromium, or onnxruntime-web is not installed (npm install in docs/browser)",
)

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


@in_a_browser
@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.slow
def test_the_page_paints_what_pytorch_paints(exported, tmp_path, bits):
    network, graphs = exported
    if bits == 8:
        graphs = tmp_path / "eight"
        graphs.mkdir()
        for name in (STYLE, PICTURE):
            model = onnx.load(exported[1] / name)
            quantize_kernels(model)
            onnx.save(model, graphs / name)
    site(tmp_path, graphs)
    handler = functools.partial(Server, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.reported = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/test.html"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        flags += [f"--user-data-dir={tmp_path / 'profile'}"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with running([CHROMIUM, *flags, address], **silent) as browser:
            assert server.reported.wait(240), "the page never finished"
            browser.terminate()
            browser.wait()
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
        expected = PaintingGraph(painter)(photo, CodeGraph(painter.book)(small.clamp(0, 1)))
    result = levels[..., :3].transpose(2, 0, 1) / 255
    assert np.abs(result - expected[0].numpy()).mean() < 0.03
    assert np.abs(result - photo[0].numpy()).mean() > 0.1
