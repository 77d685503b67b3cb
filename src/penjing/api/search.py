"""What is found out by trying: which part can be cut, and which data to plan from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from penjing.api.arguments import Batches, Model, order
from penjing.api.arguments import budget as wanted_budget
from penjing.core import Budget
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.planning.plans import ROWS
from penjing.running.source import resolve
from penjing.search.candidates import Search
from penjing.search.data_selection import Selection
from penjing.search.data_selection import select_data as choose_data
from penjing.search.sensitivity import FRACTIONS, HELD_OUT, Sensitivity, measure_sensitivity


def sensitivity(
    model: Model, *, axes: str | None = None, fractions: Sequence[float] = FRACTIONS, method: str = "activation",
    settings: Mapping[str, Any] | None = None, texts: Sequence[str | Path] = (), images: Sequence[str | Path] = (),
    labels: str | Path | None = None, data: Batches | None = None, rows: int = 16, held_out: int = HELD_OUT,
    length: int = 256, batch: int | None = None, seed: int = 0, example: Any = None, table: Path | None = None,
    progress: Progress = silent,
) -> Sensitivity:  # fmt: skip
    """What cutting each axis alone, to each share of `fractions`, adds to the loss on data that no plan is made from.

    Raises:
        PenjingError: nothing was removed, or the model, the method or the data does not serve.
    """
    asked = order(
        method, Budget(keep=1.0), settings=settings, texts=texts, images=images, labels=labels, data=data, batch=batch,
        rows=rows, length=length, seed=seed,
    )  # fmt: skip
    return measure_sensitivity(
        resolve(model, example=example, table=table), asked, axes=axes, fractions=fractions, held_out=held_out,
        cache=cache_folder(), module=model if isinstance(model, nn.Module) else None, progress=progress,
    )  # fmt: skip


def select_data(
    model: Model, *, method: str = "activation", budget: Budget | None = None, keep: float | None = None,
    settings: Mapping[str, Any] | None = None, texts: Sequence[str | Path] = (), images: Sequence[str | Path] = (),
    labels: str | Path | None = None, data: Batches | None = None, candidates: int | None = None, each: bool = False,
    held_out: int = 64, held_out_texts: Sequence[str | Path] = (), rows: int = ROWS, length: int = 128,
    batch: int | None = None, seed: int = 0, example: Any = None, table: Path | None = None,
    progress: Progress = silent,
) -> Selection:  # fmt: skip
    """Which calibration data to take: candidates ranked by the divergence that plans made from them leave.

    `candidates` draws (10) of all the data, or, with `each`, of each file (1), or each batch of `data`; `held_out` rows
    that none of them holds are judged on. `penjing.plan(model, **found.made_again)` makes the best one's plan.

    Raises:
        PenjingError: there is nothing to choose among, or the model, the method or the data does not serve.
    """
    asked = order(
        method, wanted_budget(method, budget, keep), settings=settings, texts=texts, images=images, labels=labels,
        data=data, batch=batch, rows=rows, length=length, seed=seed,
    )  # fmt: skip
    search = Search(
        candidates=candidates, each=each, held_out=held_out, held_out_texts=tuple(map(Path, held_out_texts))
    )
    return choose_data(
        resolve(model, example=example, table=table), asked, search, cache=cache_folder(),
        module=model if isinstance(model, nn.Module) else None, progress=progress,
    )  # fmt: skip
