"""What `penjing plan` and `penjing apply` print: exact costs before and after, and what was checked."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from penjing.core import Plan
from penjing.pipeline.carry_out import Applied
from penjing.report.auto import tournament_lines
from penjing.surgery import Verified

COSTS = (
    ("parameters", "parameters"),
    ("bytes", "bytes of weights"),
    ("macs_per_token", "multiply-adds per token"),
    ("macs", "multiply-adds per sample (512 tokens, where there are tokens)"),
    ("kv_cache_bytes_per_token", "KV cache per token, bytes"),
)


def costs_table(verified: Verified) -> Table:
    """Before, after and the change of each cost."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("before", "after", "change"):
        table.add_column(name, justify="right")
    for key, label in COSTS:
        before, after = getattr(verified.before, key, None), getattr(verified.after, key, None)
        if before and after is not None:
            table.add_row(label, f"{before:,.0f}", f"{after:,.0f}", f"{after / before - 1:+.1%}")
    return table


def cut_lines(plan: Plan) -> list[str]:
    """What a plan does, line by line; where nobody said which axes, the first says that they are the usual ones."""
    lines = list(plan.describe())
    if lines and plan.made.get("settings", {}).get("axes", "") is None:
        lines[0] += " (the usual ones of this kind of model; --axes names others)"
    return lines


def plan_page(plan: Plan, verified: Verified, out: Path) -> Group:
    """The dry run of a plan."""
    notes = [f"note: {escape(n)}" for n in (*plan.made.get("notes", ()), *verified.notes)]
    lines = [*cut_lines(plan), *tournament_lines(plan.made)]
    return Group(*lines, "", costs_table(verified), *notes, "", f"written: {out}")


def plan_json(plan: Plan, verified: Verified) -> dict[str, Any]:
    """Plain data with stable keys: `before`, `after`, `keeps`, `made`, `notes`."""
    return {
        "before": asdict(verified.before),
        "after": asdict(verified.after),
        "keeps": {a: len(u) for a, u in plan.keeps().items()},
        "made": dict(plan.made),
        "notes": list(verified.notes),
    }


def applied_page(done: Applied) -> Group:
    """What was written, and what its re-opening gave."""
    notes = [f"note: {escape(n)}" for n in done.verified.notes]
    return Group(costs_table(done.verified), *notes, "", _opened(done), f"written: {done.folder}")


def _opened(done: Applied) -> str:
    if done.reopened is None:
        return "not re-opened: asked not to, or the model is not of a library that opens it"
    result = done.reopened
    return f"opens in {result.loader}; differs from the same edits in memory by at most {result.max_abs_difference:.3g}"


def applied_json(done: Applied) -> dict[str, Any]:
    """Plain data with stable keys: `folder`, `before`, `after`, `reopened`, `notes`."""
    return {
        "folder": str(done.folder),
        "before": asdict(done.verified.before),
        "after": asdict(done.verified.after),
        "reopened": None if done.reopened is None else asdict(done.reopened),
        "notes": list(done.verified.notes),
    }
