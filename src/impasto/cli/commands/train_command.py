"""``impasto train``: the one-pass network, for any style, or for paintings of one's own."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from impasto.cli import INTERRUPTED
from impasto.cli.jobs.paint import stoppable
from impasto.cli.options.arguments import Parser, device, number, say, whole
from impasto.cli.reports.progress import clock

LINE_EVERY_S = 30.0
PACKING_HOURS = 6
"""That other processes wait for the first, which packs the pictures of all."""
WEIGHTS = (
    "deviation",
    "covariance",
    "content",
    "similarity",
    "structure",
    "roughness",
    "bounds",
    "grid",
    "identity",
)
DEFAULT_WORK = Path("impasto-training")
OWN_SIZES = 3
"""Variants of a painting of one's own: its sizes, in its own colors."""
SCRATCH_STEPS = 4000
"""That a network of some paintings alone takes, unless told otherwise."""


def build_parser() -> Parser:
    """The flags of both kinds of training."""
    parser = Parser(
        prog="impasto train",
        description="Train the one-pass network. The same command goes on where it was stopped.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    any_style = kinds.add_parser(
        "arbitrary",
        help="for any style",
        description="Train the network of --quality draft. With several GPUs: "
        "`torchrun --nproc-per-node N -m impasto train arbitrary ...`.",
    )
    any_style.add_argument("--paintings", metavar="DIR", type=Path, required=True)
    any_style.add_argument(
        "--from", dest="base", metavar="NETWORK", help="to begin with; draft: impasto's own (none)"
    )
    _add_common(any_style, steps=20_000, batch=8, rate=1e-3)
    own = kinds.add_parser(
        "style",
        help="for one painting, or a few",
        description="Bring the network closer to some paintings, in minutes; to several by more "
        "--steps. Use: --recipe FILE --style PAINTING.",
    )
    own.add_argument("styles", metavar="PAINTING", type=Path, nargs="+")
    own.add_argument(
        "--normalization",
        action="store_true",
        help="fit its gains and offsets only: hardly a change, but still a network for any style",
    )
    begin = own.add_mutually_exclusive_group()
    begin.add_argument("--from", dest="base", metavar="NETWORK", help="(the one of impasto's own)")
    begin.add_argument(
        "--scratch",
        action="store_true",
        help=f"from random weights: a network of these paintings alone ({SCRATCH_STEPS} steps)",
    )
    _add_common(own, steps=300, batch=2, rate=1e-3)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, steps: int, batch: int, rate: float) -> None:
    add = parser.add_argument
    add("--photos", metavar="DIR", type=Path, required=True)
    add("-o", "--output", metavar="FILE", type=Path, help="(painter.safetensors in --work)")
    add("--work", metavar="DIR", type=Path, help="kept state (beside FILE; impasto-training)")
    add("--force", action="store_true", help="replace a FILE of something else")
    parser.set_defaults(usual_steps=steps)
    add("--steps", metavar="N", type=whole(1, 10**9), help=f"({steps})")
    add("--batch", metavar="N", type=whole(1, 4096), default=batch, help=f"({batch})")
    add("--side", metavar="PX", type=whole(64, 256), default=128, help="of the crops (128)")
    add("--rate", metavar="R", type=number(0), default=rate, help=f"learning rate ({rate:g})")
    add("--seed", metavar="N", type=whole(0, 2**31), default=0)
    twice = "steps to twice as many paintings (60)"
    add("--doubling", metavar="N", type=whole(0, 10**9), help=twice)
    for weight in WEIGHTS:
        add(f"--{weight}", metavar="W", type=number(0), help=f"weight of the loss {weight}")
    add("--checkpoint-every", metavar="N", type=whole(1, 10**9), default=50, help="(50)")
    add("--sample-every", metavar="N", type=whole(1, 10**9), default=1000, help="(1000)")
    add("--device", type=device, default="auto")
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of convolutions (bfloat16 where the device is made for it)",
    )
    add("--quiet", action="store_true")


def run(argv: list[str]) -> int:
    """Train until the number of steps is reached, or until interrupted."""
    options = build_parser().parse_args(argv)
    from impasto.network.train.batches import Plan
    from impasto.network.train.session import train

    session = _session(options)
    chosen = {f.name: getattr(options, f.name, None) for f in fields(Plan)}
    scratch = getattr(options, "scratch", False)
    chosen["steps"] = options.steps or (SCRATCH_STEPS if scratch else options.usual_steps)
    if options.kind == "style":
        chosen["variants"] = OWN_SIZES
        chosen["fitted"] = "normalization" if options.normalization else "all"
    if session.base is not None:
        chosen["doubling"] = options.doubling or 0  # it knows strokes
    plan = Plan(**{name: value for name, value in chosen.items() if value is not None})
    where, rank = _device_of_this_process(options.device)
    quiet = options.quiet or rank > 0
    silent = (lambda _: None) if quiet else say
    told = time.monotonic() - LINE_EVERY_S
    first: tuple[float, float] | None = (
        None  # when a step of this command was first done, and which
    )
    steps = train(session, plan, where, silent, rank)
    with stoppable(lambda: silent("stopping when what is begun is done; again: at once")) as stop:
        for losses in steps:
            now, left = time.monotonic(), plan.steps - losses["step"]
            first = first or (now, losses["step"])
            if not quiet and (not left or now - told >= LINE_EVERY_S):
                told, done = now, losses["step"] - first[1]
                eta = f"  {clock(left * (now - first[0]) / done)} left" if left and done else ""
                print(_line(losses, plan.steps) + eta, file=sys.stderr, flush=True)
            if _asked_of_any(bool(stop), where):
                steps.close()  # keeps where it stands
                silent(f"stopped at step {losses['step']:.0f}; the same command goes on")
                return INTERRUPTED
    silent(f"{session.output}")
    return 0


def _session(options: argparse.Namespace) -> Any:
    """The folders and files of the run.

    Raises:
        InputError: a painting is not there, or the network's file cannot be written or is another.
    """
    from impasto.errors import InputError
    from impasto.network.network_files import network_file
    from impasto.network.train.session import Session

    paintings: Any = getattr(options, "paintings", None)
    output: Path | None = options.output
    work = options.work or (output.with_name(f"{output.stem}-training") if output else DEFAULT_WORK)
    begin = options.base
    if options.kind == "style":
        if options.scratch and options.normalization:
            raise InputError("--normalization is of a trained network: not with --scratch")
        begin = None if options.scratch else begin or "draft"
        paintings = tuple(options.styles)
        missing = [path for path in paintings if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: no such painting")
    base = None if begin is None else network_file(begin)
    for folder in (options.photos, paintings):
        if isinstance(folder, Path) and work.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"--work {work}: is in {folder}, whose pictures are to be trained on")
    if output is not None:
        inputs = [*getattr(options, "styles", ()), *([] if base is None else [base])]
        _check_output(output, inputs, work, overwrite=options.force)
    return Session(
        photos=options.photos,
        paintings=paintings,
        work=work,
        output=output or work / "painter.safetensors",
        base=base,
        checkpoint_every=options.checkpoint_every,
        sample_every=options.sample_every,
    )


def _check_output(output: Path, inputs: list[Path], work: Path, *, overwrite: bool) -> None:
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.network.train.session import wrote
    from impasto.recipe.recipe import NETWORK_SUFFIX

    if output.suffix != NETWORK_SUFFIX:
        raise InputError(f"{output}: a network's file ends in {NETWORK_SUFFIX}")
    check_targets([output], inputs, overwrite=overwrite or wrote(work, output))


def _line(losses: dict[str, float], steps: int) -> str:
    named = {k: v for k, v in losses.items() if k not in ("step", "seconds")}
    told = "  ".join(f"{name} {value:.3g}" for name, value in named.items())
    return f"step {losses['step']:.0f} of {steps}  {told}"


def _asked_of_any(here: bool, where: Any) -> bool:
    """Whether this process, or another that trains with it, was asked to stop: all of them leave
    after the same step, for each waits for the gradients of the others."""
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return here
    asked = torch.tensor(float(here), device=where)
    torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
    return bool(asked)


def _device_of_this_process(asked: str) -> tuple[Any, int]:
    """The device, and the rank among processes that torchrun started; 0 if it did not.

    Raises:
        InputError: there is no such device, or all processes are to have one and the same GPU.
    """
    import torch

    from impasto.engine.hardware import resolve_device
    from impasto.errors import InputError

    if "WORLD_SIZE" not in os.environ:
        return resolve_device(asked), 0
    if asked not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {asked}: each process of torchrun takes its own; auto or cpu")
    cuda = asked != "cpu" and torch.cuda.is_available()
    if not torch.distributed.is_initialized():
        backend = "nccl" if cuda else "gloo"
        torch.distributed.init_process_group(backend, timeout=timedelta(hours=PACKING_HOURS))
    rank = torch.distributed.get_rank()
    if not cuda:
        return torch.device("cpu"), rank
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
    torch.cuda.set_device(own)
    return own, rank
