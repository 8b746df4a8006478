"""``impasto export MODEL --format onnx``: the one-pass network for other programs."""

from __future__ import annotations

from pathlib import Path

from impasto.cli.options.arguments import Parser, say


def run(argv: list[str]) -> int:
    """Read the network, write the graphs."""
    parser = Parser(
        prog="impasto export",
        description="Write a one-pass network as two graphs: style.onnx, from a painting to its "
        "code, and stylize.onnx, from a photo and a code to the picture. Any size, RGB in [0, 1]; "
        "without the grain that impasto paints stills with.",
    )
    parser.add_argument("model", metavar="MODEL", help="a network.safetensors, or draft: our own")
    parser.add_argument("--format", choices=["onnx"], default="onnx")
    parser.add_argument("-o", "--output", metavar="DIR", help="default: MODEL-onnx")
    parser.add_argument(
        "--quantize", choices=["none", "int8"], default="none", help="kernels in 8 bits (none)"
    )
    parser.add_argument("--weights", metavar="FILE", help="VGG weights (.h5, .pth, .mat, ...)")
    parser.add_argument("--force", action="store_true", help="replace the files of an earlier one")
    options = parser.parse_args(argv)

    from impasto.cli.options.output_files import check_targets
    from impasto.network.export import PICTURE, STYLE, export
    from impasto.network.network_files import network_file, read_painter

    model = network_file(options.model)
    painter, _ = read_painter(model)
    folder = Path(options.output or f"{Path(options.model).stem}-onnx")
    if folder.is_dir():
        targets = [folder / name for name in (STYLE, PICTURE)]
        check_targets(targets, [model], overwrite=options.force)
    vgg = None if options.weights is None else Path(options.weights)
    for path in export(painter, folder, quantize=options.quantize, vgg=vgg, say=say):
        say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
