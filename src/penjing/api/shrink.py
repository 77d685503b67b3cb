"""The whole path in one: plan, carry out, re-open, measure, report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from penjing.api.arguments import Batches, Model, order
from penjing.api.arguments import budget as wanted_budget
from penjing.core import Budget, Plan, Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.errors import OutputError
from penjing.io import check_output
from penjing.pipeline.carry_out import Applied, carry_out
from penjing.pipeline.evidence import Evidence, SoFar, measured
from penjing.planning.plans import LENGTH, ROWS
from penjing.report import save, save_card
from penjing.running.source import as_folder, resolve
from penjing.search.auto import plan_for


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What `shrink` gives: the plan, and the folder with its report, or the smaller module."""

    plan: Plan
    folder: Path | None = None
    module: nn.Module | None = None
    report: Report | None = None
    applied: Applied | None = None


def shrink(
    model: Model,
    out: str | Path | None = None,
    *,
    method: str = "activation",
    budget: Budget | None = None,
    keep: float | None = None,
    settings: Mapping[str, Any] | None = None,
    texts: Sequence[str | Path] = (),
    evaluation: Sequence[str | Path] = (),
    images: Sequence[str | Path] = (),
    labels: str | Path | None = None,
    data: Batches | None = None,
    rows: int = ROWS,
    length: int = LENGTH,
    batch: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    example: Any = None,
    table: Path | None = None,
    measure: bool = True,
    speed: bool = True,
    allow_sensitive: bool = False,
    allow_nonfinite: bool = False,
    licence: str | None = None,
    notes: Sequence[str] = (),
    command: str = "",
    progress: Progress = silent,
    so_far: SoFar | None = None,
) -> Shrunk:
    """Make a model smaller: plan, verify, write, re-open, measure, report.

    A module gives a smaller module; anything else is written into `out`, with `report.html` and a model card.
    `texts`, `images` or `data` calibrate, as in `plan`, and `evaluation` measures; text that occurs in both is
    refused. `licence` (its SPDX name) and `notes` go into the card and the page.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is half written.
    """
    source = resolve(model, example=example, table=table)
    asked = order(
        method, wanted_budget(method, budget, keep), settings=settings, texts=texts, images=images, labels=labels,
        data=data, batch=batch, rows=rows, length=length, seed=seed, memory=memory,
    )  # fmt: skip
    cache = cache_folder()
    if isinstance(model, nn.Module) and out is None:
        from penjing import surgery

        made = plan_for(source, asked, cache=cache, module=model, progress=progress)
        smaller = surgery.apply(model, source.layout, made, example=example, allow_sensitive=allow_sensitive)
        return Shrunk(plan=made, module=smaller)
    if out is None:
        raise OutputError("a checkpoint on disk is shrunk into a folder; found no folder; pass out=...")
    out = Path(out)
    folder = source.weights().folder
    check_output(out, [folder] if folder else [])
    made = plan_for(source, asked, cache=cache, progress=progress)
    done = carry_out(
        source, made, out, cache=cache, allow_sensitive=allow_sensitive, allow_nonfinite=allow_nonfinite,
        progress=progress
    )
    if not measure:
        return Shrunk(plan=made, folder=out, applied=done)
    wish = Evidence(texts=tuple(Path(t) for t in evaluation), calibration=asked.texts, speed=speed, length=length)
    report = measured(
        [as_folder(source, cache, progress), out], wish, plan=made, applied=done, notes=notes, command=command,
        progress=progress,
        so_far=so_far,
    )  # fmt: skip
    save(report, out)
    hub_id = source.name if not Path(source.name).exists() else None
    save_card(report, out, base=hub_id, licence=licence)
    return Shrunk(plan=made, folder=out, report=report, applied=done)
