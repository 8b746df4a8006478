"""Write plans as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.cli.reports.progress import format_duration
from impasto.errors import format_count

if TYPE_CHECKING:
    from impasto.engine.plan import Plan


def summarize_plan(plan: Plan) -> str:
    """Write a plan in one line."""
    return (
        f"{plan.width}x{plan.height} px in {_format_bound(plan)}{_format_iterations(plan)}: "
        f"{_format_time(plan)} and {_format_memory(plan)}, {_format_tiles(plan)}"
    )


def describe_needs(plan: Plan) -> str:
    """Write the time and the memory of a plan."""
    return f"{_format_time(plan)} and {_format_memory(plan)}"


def describe_plan(plan: Plan) -> str:
    """Write a plan in a few lines."""
    sizes = ", ".join(f"{s.width}x{s.height} ({s.iterations})" for s in plan.scales)
    free = "" if plan.bytes_free is None else f", {plan.bytes_free / 2**30:.1f} GiB available"
    return "\n".join(
        (
            f"result  {plan.width}x{plan.height} px",
            f"scales  {sizes}",
            f"memory  about {_format_memory(plan)}{free}, {_format_tiles(plan)}",
            f"reading about {plan.bytes_to_read / 2**30:.1f} GiB of memory at its peak",
            f"time    {_format_time(plan)} on {plan.device}, {plan.precision}",
        )
    )


def _format_iterations(plan: Plan) -> str:
    return format_count(sum(scale.iterations for scale in plan.scales), "iteration")


def _format_time(plan: Plan) -> str:
    return f"{_format_bound(plan)}about {format_duration(plan.seconds)}"


def _format_bound(plan: Plan) -> str:
    return "at most " if plan.at_most else ""


def _format_memory(plan: Plan) -> str:
    memory = f"{plan.bytes_needed / 2**30:.1f} GiB of memory"
    if plan.state == "host":
        return f"{memory} and {plan.bytes_on_host / 2**30:.1f} GiB of main memory"
    if plan.state == "disk":
        return f"{memory} and {plan.bytes_on_disk / 2**30:.1f} GiB in {plan.scratch}"
    return memory


def _format_tiles(plan: Plan) -> str:
    return f"in tiles of {plan.tile} px" if plan.tile else "without tiles"
