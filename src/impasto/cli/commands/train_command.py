"""``impasto train``: train the one-pass network, for any style or for a few paintings."""

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
from impasto.cli.jobs.stop_signals import catch_stop_signals
from impasto.cli.options.arguments import (
    Parser,
    accept_integer,
    accept_number,
    parse_device,
    say,
)
from impasto.cli.reports.progress import format_duration

LINE_EVERY_S = 30.0
PACKING_HOURS = 6
"""Time that other processes wait for the first, which prepares the pictures for all of them."""
LOSSES = (
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
STROKE_LOSSES = (
    "deviation",
    "covariance",
    "half-deviation",
    "half-covariance",
    "patches",
    "energy",
    "content",
    "similarity",
    "halo",
    "emboss",
    "roughness",
    "bounds",
    "grid",
    "identity",
)
"""Losses of ``train strokes``."""
DEFAULT_WORK = Path("impasto-training")
OWN_SIZES = 3
"""Sizes in which each painting of ``train style`` is used."""
FOR_ANY_STYLE: dict[str, Any] = {
    "styles": (),
    "usual_base": None,
    "scratch": False,
    "fitted": None,
}
"""What the flags of ``train style`` would say in the other kinds of training."""
SCRATCH_STEPS = 4000
"""Default number of steps with ``--scratch``."""


def build_parser() -> Parser:
    """Build the parser of the command, with all kinds of training."""
    parser = Parser(
        prog="impasto train",
        description="Train the one-pass network. The same command continues where it stopped.",
    )
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    any_style = kinds.add_parser(
        "arbitrary",
        help="train a network for any style",
        description="Train a network for any style, like that of --quality draft. With several "
        "GPUs, use `torchrun --nproc-per-node N -m impasto train arbitrary ...`.",
    )
    any_style.add_argument(
        "--paintings", metavar="DIR", type=Path, required=True, help="folder of paintings"
    )
    any_style.add_argument(
        "--from",
        dest="base",
        metavar="NETWORK",
        help="network to start from; draft is the one that comes with impasto (default: random "
        "weights)",
    )
    any_style.set_defaults(make_plan=_make_painter_plan, **FOR_ANY_STYLE)
    _add_common_flags(any_style, steps=20_000, batch=8, rate=1e-3)
    own = kinds.add_parser(
        "style",
        help="train a network for one or a few paintings",
        description="Fit the network to one or a few paintings in minutes. Several paintings need "
        "more --steps. Use the result with --recipe FILE --style PAINTING.",
    )
    own.add_argument("styles", metavar="PAINTING", type=Path, nargs="+", help="a painting")
    own.add_argument(
        "--normalization",
        dest="fitted",
        action="store_const",
        const="normalization",
        help="only fit gains and offsets: a small change that keeps the network usable for any "
        "style",
    )
    start = own.add_mutually_exclusive_group()
    start.add_argument(
        "--from",
        dest="base",
        metavar="NETWORK",
        help="network to start from (default: the one that comes with impasto)",
    )
    start.add_argument(
        "--scratch",
        action="store_true",
        help="start from random weights, for a network of these paintings only (default steps: "
        f"{SCRATCH_STEPS})",
    )
    own.set_defaults(
        make_plan=_make_painter_plan, paintings=None, usual_base="draft", variants=OWN_SIZES
    )
    _add_common_flags(own, steps=300, batch=2, rate=1e-3)
    strokes = kinds.add_parser(
        "strokes",
        help="train the stroke network, which cannot be used as a recipe yet",
        description="Train the stroke network, the next network for any style. Its file cannot be "
        "used as a recipe yet.",
    )
    strokes.add_argument(
        "--paintings", metavar="DIR", type=Path, required=True, help="folder of paintings"
    )
    strokes.add_argument(
        "--fall",
        metavar=("FIRST", "STEPS"),
        nargs=2,
        type=accept_integer(1, 10**9),
        help="let the learning rate fall to zero over STEPS steps, from step FIRST on (default: "
        "constant)",
    )
    strokes.set_defaults(make_plan=_make_stroke_plan, base=None, **FOR_ANY_STYLE)
    _add_common_flags(
        strokes, steps=40_000, batch=4, rate=5e-4, side=256, doubling=80, losses=STROKE_LOSSES
    )
    return parser


def _add_common_flags(
    parser: argparse.ArgumentParser,
    *,
    steps: int,
    batch: int,
    rate: float,
    side: int = 128,
    doubling: int = 60,
    losses: tuple[str, ...] = LOSSES,
) -> None:
    add = parser.add_argument
    add("--photos", metavar="DIR", type=Path, required=True, help="folder of photos")
    add(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="file of the network (default: painter.safetensors in --work)",
    )
    add(
        "--work",
        metavar="DIR",
        type=Path,
        help="folder for the state of the training (default: a folder next to FILE, or "
        "impasto-training)",
    )
    add("--force", action="store_true", help="replace an existing FILE of another training")
    parser.set_defaults(usual_steps=steps)
    add(
        "--steps",
        metavar="N",
        type=accept_integer(1, 10**9),
        help=f"training steps (default: {steps})",
    )
    add(
        "--batch",
        metavar="N",
        type=accept_integer(1, 4096),
        default=batch,
        help=f"photos in each step (default: {batch})",
    )
    add(
        "--side",
        metavar="PX",
        type=accept_integer(64, 256),
        default=side,
        help=f"side of the training crops (default: {side})",
    )
    add(
        "--rate",
        metavar="R",
        type=accept_number(0),
        default=rate,
        help=f"learning rate (default: {rate:g})",
    )
    add(
        "--seed",
        metavar="N",
        type=accept_integer(0, 2**31),
        default=0,
        help="random seed (default: 0)",
    )
    add(
        "--doubling",
        metavar="N",
        type=accept_integer(0, 10**9),
        help=f"steps after which the number of paintings in use doubles (default: {doubling})",
    )
    for loss in losses:
        add(f"--{loss}", metavar="W", type=accept_number(0), help=f"weight of the {loss} loss")
    add(
        "--checkpoint-every",
        metavar="N",
        type=accept_integer(1, 10**9),
        default=50,
        help="steps between checkpoints (default: 50)",
    )
    add(
        "--sample-every",
        metavar="N",
        type=accept_integer(1, 10**9),
        default=1000,
        help="steps between sample pictures (default: 1000)",
    )
    add(
        "--device",
        type=parse_device,
        default="auto",
        help="auto, cpu, cuda, cuda:N or mps (default: auto)",
    )
    add(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="precision of convolutions (default: bfloat16 if the device supports it natively)",
    )
    add("--quiet", action="store_true", help="do not report progress")


def run(argv: list[str]) -> int:
    """Train until the number of steps is reached or the user stops."""
    options = build_parser().parse_args(argv)
    from impasto.network.train.session import train

    session = _make_session(options)
    plan = options.make_plan(options, session.base)
    device, rank = _choose_process_device(options.device)
    quiet = options.quiet or rank > 0
    report = (lambda _: None) if quiet else say
    last_line = time.monotonic() - LINE_EVERY_S
    first: tuple[float, float] | None = None
    """Time and number of the first step of this command."""
    steps = train(session, plan, device, report, rank)
    with catch_stop_signals(
        lambda: report("stopping after this step; Ctrl-C again quits at once")
    ) as stop:
        for losses in steps:
            now, left = time.monotonic(), plan.steps - losses["step"]
            first = first or (now, losses["step"])
            if not quiet and (not left or now - last_line >= LINE_EVERY_S):
                last_line, steps_done = now, losses["step"] - first[1]
                eta = (
                    f"  {format_duration(left * (now - first[0]) / steps_done)} left"
                    if left and steps_done
                    else ""
                )
                print(_format_losses(losses, plan.steps) + eta, file=sys.stderr, flush=True)
            if _is_any_stopped(bool(stop), device):
                steps.close()  # writes a checkpoint
                report(f"stopped at step {losses['step']:.0f}; the same command continues")
                return INTERRUPTED
    return 0


def _make_painter_plan(options: argparse.Namespace, base: Path | None) -> Any:
    """Choose the settings of ``train arbitrary`` and ``train style``."""
    from impasto.network.train.batches import TrainingPlan

    return TrainingPlan(**_read_settings(options, base, TrainingPlan))


def _make_stroke_plan(options: argparse.Namespace, base: Path | None) -> Any:
    """Choose the settings of ``train strokes``.

    Raises:
        InputError: several processes train the stroke network together.
    """
    from impasto.errors import InputError
    from impasto.network.train.stroke_trainer import StrokePlan

    if "WORLD_SIZE" in os.environ:
        raise InputError("runs in one process; start it without torchrun", what="train strokes")
    settings = _read_settings(options, base, StrokePlan)
    if options.fall:
        settings["fall"] = tuple(options.fall)
    return StrokePlan(**settings)


def _read_settings(options: argparse.Namespace, base: Path | None, plan: type) -> dict[str, Any]:
    """Read the fields of a plan from the flags of the same names; the others keep defaults."""
    values = {field.name: getattr(options, field.name, None) for field in fields(plan)}
    values["steps"] = options.steps or (SCRATCH_STEPS if options.scratch else options.usual_steps)
    if base is not None:
        # A trained network does not need to start with few paintings.
        values["doubling"] = options.doubling or 0
    return {name: value for name, value in values.items() if value is not None}


def _make_session(options: argparse.Namespace) -> Any:
    """Choose the folders and files of the training.

    Raises:
        InputError: a painting does not exist, or the network's file cannot be written.
    """
    from impasto.errors import InputError
    from impasto.network.network_files import network_file
    from impasto.network.train.session import Session

    output: Path | None = options.output
    work = options.work or (output.with_name(f"{output.stem}-training") if output else DEFAULT_WORK)
    if options.scratch and options.fitted is not None:
        raise InputError(
            "requires a trained network and cannot be combined with --scratch",
            what="--normalization",
        )
    begin = None if options.scratch else options.base or options.usual_base
    missing = [path for path in options.styles if not path.is_file()]
    if missing:
        raise InputError("no such painting", where=missing[0])
    paintings: Any = tuple(options.styles) or options.paintings
    base = None if begin is None else network_file(begin)
    for folder in (options.photos, paintings):
        if isinstance(folder, Path) and work.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"is inside {folder}, which contains training pictures", where=work, field="work"
            )
    if output is not None:
        inputs = [*options.styles, *([] if base is None else [base])]
        _check_output(output, inputs, work, overwrite=options.force)
    return Session(
        photos=options.photos,
        paintings=paintings,
        work=work,
        output=output or work / "painter.safetensors",
        base=base,
        checkpoint_every=options.checkpoint_every,
        sample_every=options.sample_every,
        overwrite=options.force or output is None,
        notice=say,
    )


def _check_output(output: Path, inputs: list[Path], work: Path, *, overwrite: bool) -> None:
    from impasto.cli.options.output_files import check_targets
    from impasto.errors import InputError
    from impasto.network.train.session import is_own_output
    from impasto.plugins.network import NETWORK_SUFFIX

    if output.suffix != NETWORK_SUFFIX:
        raise InputError(f"the name of a network's file must end in {NETWORK_SUFFIX}", where=output)
    check_targets([output], inputs, overwrite=overwrite or is_own_output(work, output))


def _format_losses(losses: dict[str, float], steps: int) -> str:
    terms = {k: v for k, v in losses.items() if k not in ("step", "seconds")}
    values = "  ".join(f"{name} {value:.3g}" for name, value in terms.items())
    return f"step {losses['step']:.0f} of {steps}  {values}"


def _is_any_stopped(here: bool, device: Any) -> bool:
    """Tell whether this process or another of the same training was stopped.

    All processes must stop after the same step, because each waits for the others' gradients.
    """
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return here
    flag = torch.tensor(float(here), device=device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)


def _choose_process_device(name: str) -> tuple[Any, int]:
    """Return the device of this process and its rank, which is 0 without torchrun.

    Raises:
        InputError: there is no such device, or all processes would use the same GPU.
    """
    import torch

    from impasto.engine.machine.hardware import resolve_device
    from impasto.errors import InputError

    if "WORLD_SIZE" not in os.environ:
        return resolve_device(name), 0
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(
            "torchrun gives each process its own device",
            where=f"--device {name}",
            expected="auto or cpu",
        )
    cuda = name != "cpu" and torch.cuda.is_available()
    if not torch.distributed.is_initialized():
        backend = "nccl" if cuda else "gloo"
        torch.distributed.init_process_group(backend, timeout=timedelta(hours=PACKING_HOURS))
    rank = torch.distributed.get_rank()
    if not cuda:
        return torch.device("cpu"), rank
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
    torch.cuda.set_device(own)
    return own, rank
