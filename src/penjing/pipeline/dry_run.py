"""What a plan would give, checked as before writing, with nothing written."""

from pathlib import Path

from penjing.core import Plan
from penjing.running.source import resolve
from penjing.surgery import Verified, verify


def dry_run(model: str | Path, plan: Plan, *, table: Path | None = None, allow_sensitive: bool = False) -> Verified:
    """Possible? Held by a config? At what exact cost?

    Raises:
        PlanError: it cannot be carried out, or the result would not open.
    """
    source = resolve(model, table=table)
    return verify(source.weights(), source.layout, plan, allow_sensitive=allow_sensitive)
