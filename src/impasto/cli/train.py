"""``impasto train arbitrary``: the one-pass network, trained on photos and paintings."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from impasto.cli.arguments import Parser, device, number, say, whole

LINE_EVERY_S = 30.0


def run(argv: list[str]) -> int:
    """Train until the number of steps is reached, or until interrupted."""
    parser = Parser(
        prog="impasto train arbitrary",
        description="Train the one-pass network of --quality draft. The same command goes on where "
        "it was stopped. With several GPUs: `torchrun --nproc-per-node N -m impasto train ...`.",
    )
    parser.add_argument("kind", choices=["arbitrary"], help="a network for any style")
    parser.add_argument("--photos", metavar="DIR", type=Path, required=True)
    parser.add_argument("--paintings", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="(DIR of --work/painter.safetensors)"
    )
    parser.add_argument(
        "--work", metavar="DIR", type=Path, default=Path("impasto-training"), help="kept state"
    )
    parser.add_argument("--steps", metavar="N", type=whole(1, 10**9), default=20_000)
    parser.add_argument("--batch", metavar="N", type=whole(1, 4096), default=8)
    parser.add_argument("--side", metavar="PX", type=whole(64, 256), default=128)
    parser.add_argument("--rate", metavar="R", type=number(0), default=1e-3)
    parser.add_argument("--seed", metavar="N", type=whole(0, 2**31), default=0)
    for weight in ("deviation", "covariance", "content", "structure", "roughness", "identity"):
        parser.add_argument(f"--{weight}", metavar="W", type=number(0), help=f"weight of {weight}")
    parser.add_argument("--checkpoint-every", metavar="N", type=whole(1, 10**9), default=200)
    parser.add_argument("--sample-every", metavar="N", type=whole(1, 10**9), default=1000)
    parser.add_argument("--device", type=device, default="auto")
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(argv)

    from impasto.fast.session import Session, train
    from impasto.fast.train import Plan

    session = Session(
        options.photos,
        options.paintings,
        options.work,
        options.output or options.work / "painter.safetensors",
        options.checkpoint_every,
        options.sample_every,
    )
    chosen = {f.name: getattr(options, f.name, None) for f in fields(Plan)}
    plan = Plan(**{name: value for name, value in chosen.items() if value is not None})
    where, rank = _device_of_this_process(options.device)
    quiet = options.quiet or rank > 0
    silent = (lambda _: None) if quiet else say
    told = time.monotonic() - LINE_EVERY_S
    for losses in train(session, plan, where, silent, rank):
        if not quiet and time.monotonic() - told >= LINE_EVERY_S:
            told = time.monotonic()
            print(_line(losses, plan.steps), file=sys.stderr, flush=True)
    silent(f"{session.output}")
    return 0


def _line(losses: dict[str, float], steps: int) -> str:
    named = {k: v for k, v in losses.items() if k not in ("step", "seconds")}
    told = "  ".join(f"{name} {value:.3g}" for name, value in named.items())
    return f"step {losses['step']:.0f} of {steps}  {told}"


def _device_of_this_process(asked: str) -> tuple[Any, int]:
    """The device, and the rank among processes that torchrun started; 0 if it did not."""
    import torch

    from impasto.optimize.device import resolve_device

    if "WORLD_SIZE" not in os.environ:
        return resolve_device(asked), 0
    cuda = asked != "cpu" and torch.cuda.is_available()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    rank = torch.distributed.get_rank()
    local = int(os.environ.get("LOCAL_RANK", rank))
    return torch.device("cuda", local) if cuda else torch.device("cpu"), rank
