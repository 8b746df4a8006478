"""A plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.cli.reports.progress import clock
from impasto.errors import format_count

if TYPE_CHECKING:
    from impasto.engine.plan import Plan


def in_short(plan: Plan) -> str:
    """One line, before the work begins."""
    return (
        f"{plan.width}x{plan.height} px in {_at_most(plan)}{_iterations(plan)}: "
        f"{_time(plan)} and {_memory(plan)}, {_tiles(plan)}"
    )


def in_full(plan: Plan) -> str:
    """A few lines."""
    sizes = ", ".join(f"{s.width}x{s.height} ({s.iterations})" for s in plan.scales)
    free = "" if plan.bytes_free is None else f", {plan.bytes_free / 2**30:.1f} may be used"
    return "\n".join(
        (
            f"result  {plan.width}x{plan.height} px",
            f"scales  {sizes}",
            f"memory  about {_memory(plan)}{free}, {_tiles(plan)}",
            f"time    {_time(plan)} on {plan.device}, {plan.precision}",
        )
    )


def _iterations(plan: Plan) -> str:
    return format_count(sum(scale.iterations for scale in plan.scales), "iteration")


def _time(plan: Plan) -> str:
    return f"{_at_most(plan)}about {clock(plan.seconds)}"


def _at_most(plan: Plan) -> str:
    return "at most " if plan.at_most else ""


def _memory(plan: Plan) -> str:
    memory = f"{plan.bytes_needed / 2**30:.1f} GiB of memory"
    if plan.state == "host":
        return f"{memory} and {plan.bytes_on_host / 2**30:.1f} GiB of the machine's"
    if plan.state == "disk":
        return f"{memory} and {plan.bytes_on_disk / 2**30:.1f} GiB in {plan.scratch}"
    return memory


def _tiles(plan: Plan) -> str:
    return f"in tiles of {plan.tile} px" if plan.tile else "as a whole"
