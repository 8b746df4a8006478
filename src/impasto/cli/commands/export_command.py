"""``impasto export MODEL --format onnx``: export the one-pass network."""

from __future__ import annotations

from pathlib import Path

from impasto.cli.options.arguments import Parser, say


def run(argv: list[str]) -> int:
    """Read the network and write its graphs."""
    parser = Parser(
        prog="impasto export",
        description="Export a one-pass network as two ONNX graphs: style.onnx turns a painting "
        "into a style code, and stylize.onnx turns a photo and a style code into the result. "
        "Pictures are RGB in [0, 1] of any size. The grain that impasto adds to still pictures "
        "is not included.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a network's .safetensors file, or draft for the one that comes with impasto",
    )
    parser.add_argument(
        "--format", choices=["onnx"], default="onnx", help="file format (default: onnx)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="folder of the graphs (default: MODEL-onnx)"
    )
    parser.add_argument(
        "--quantize",
        choices=["none", "int8"],
        default="none",
        help="int8: store kernels in 8 bits (default: none)",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="VGG weights file (.h5, .pth, .mat or .safetensors)"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files")
    options = parser.parse_args(argv)

    from impasto.cli.options.output_files import check_targets
    from impasto.network.export import PICTURE, STYLE, export_graphs
    from impasto.network.network_files import network_file, read_painter

    model = network_file(options.model)
    painter, _ = read_painter(model)
    folder = Path(options.output or f"{Path(options.model).stem}-onnx")
    if folder.is_dir():
        targets = [folder / name for name in (STYLE, PICTURE)]
        check_targets(targets, [model], overwrite=options.force)
    vgg = None if options.weights is None else Path(options.weights)
    for path in export_graphs(
        painter, folder, quantize=options.quantize, vgg=vgg, overwrite=options.force, say=say
    ):
        say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
