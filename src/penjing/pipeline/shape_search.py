"""Which shape is worth its parameters: each candidate is trimmed, healed briefly, and held against the whole model.

Rankings before training say little of those after it, so every candidate is trained on the same tokens before one is
chosen. Intervals are of the paired differences of held-out rows, by Student's t, p corrected over all pairs (Holm).

Source: Muralidharan et al., "Compact Language Models via Pruning and Knowledge Distillation", arXiv:2407.14679, section
2.4. Deviations: a few shapes that lie far apart stand for all that meet the budget, where the paper lists all of coarse
grids; candidates are ranked by their divergence from the whole model, where the paper takes the loss of the text.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from penjing import surgery
from penjing.core import Budget, Plan
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, LayoutError
from penjing.evaluate.fidelity import compare_rows
from penjing.evaluate.scoring import evaluating, logits
from penjing.io import write_whole, writing
from penjing.layouts import costs
from penjing.maths.kendall import kendall
from penjing.pipeline.carry_out import Manner, carry_out
from penjing.pipeline.healing import Course, healed
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder, resolve
from penjing.running.stock import load
from penjing.search.data_selection import Tried as Ranked
from penjing.search.data_selection import rank
from penjing.select.shape import BLOCKS, Shape, shapes_within

METHOD = "minitron"
FORMAT = "penjing shapes 1"
USUAL = ("neurons", "heads", BLOCKS)
"""Kinds whose sizes differ between candidates where nobody names others, as far as the model has them."""


@dataclass(frozen=True, kw_only=True)
class Within:
    """Which shapes are candidates: so many `parameters` within `tolerance`; at most `most`, none below `least`.

    `kinds` of axes may differ in size between them (empty: neurons, heads and blocks). `multiple` is the rounding.
    """

    parameters: int
    kinds: tuple[str, ...] = ()
    tolerance: float = 0.05
    most: int = 8
    least: float = 0.4
    multiple: int | None = None


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How one shape did: nats per token of divergence from the whole model, before and after healing.

    `error` is the standard error of `after` over held-out rows; `behind` is it less the best one's, [value, low, high],
    paired by row, and `p` that of no difference, corrected over all pairs; "tie" where it is 0.05 or more.
    """

    shape: str
    parameters: int
    before: float
    after: float
    error: float
    behind: tuple[float, float, float] | None
    p: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ShapeSearch:
    """All shapes, best first, each healed on so many `tokens` and judged on `rows` of `length` tokens.

    `tau` is Kendall's, of the ranking before healing with that after it; None where two shapes are too few for it.
    """

    model: str
    parameters: int
    limit: int
    tried: tuple[Tried, ...]
    tau: float | None
    rows: int
    length: int
    tokens: int
    heal: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What every candidate is tried with; `order` says what is calibrated on."""

    source: Source
    order: Order
    course: Course
    lender: Lender
    cache: Path
    progress: Progress = silent


def search_shapes(bench: Bench, within: Within) -> ShapeSearch:
    """Try shapes that meet a budget, and rank them; what was tried is kept, so that a killed search goes on.

    Raises:
        BudgetError: no shape meets the budget.
        DataError: too little of the text could be held out to judge by.
        PenjingError: a shape cannot be made, or healing does not serve.
    """
    began, source, course = time.monotonic(), bench.source, bench.course
    held = list(course.lessons.held_out)
    rows = sum(len(h) for h in held)
    if rows < 2:
        raise DataError(
            f"found {rows} rows of the text to hold out, needed 2 or more to rank shapes by; give more text, or "
            "shorter rows (--heal-length)"
        )
    every = shapes_within(
        source.layout, within.parameters, within.kinds or usual_kinds(source), tolerance=within.tolerance,
        most=within.most, least=within.least, multiple=within.multiple,
    )  # fmt: skip
    found = [_known(bench, shape, lambda s=shape, n=n: _try(bench, s, f"shape {n} of {len(every)}"))
             for n, shape in enumerate(every, 1)]  # fmt: skip
    before, after = (torch.tensor([f[i] for f in found], dtype=torch.float64) for i in (0, 1))
    by_name = {str(s): (s, float(b.mean())) for s, b in zip(every, before, strict=True)}
    return ShapeSearch(
        model=Path(source.name).name, parameters=costs.parameters(source.layout), limit=within.parameters,
        tried=tuple(_tried(r, *by_name[r.name]) for r in rank(list(by_name), after)),
        tau=kendall(before.mean(1), after.mean(1))[0] if len(every) > 2 else None, rows=rows, length=held[0].shape[1],
        tokens=course.steps * course.lessons.size * course.how.accumulate, heal=dict(course.told),
        seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip


def usual_kinds(source: Source) -> tuple[str, ...]:
    """Those of the usual kinds that the model has and that may be cut.

    Raises:
        LayoutError: it has none of them.
    """
    there = {a.kind for a in source.layout.axes.values() if a.state == "free"}
    there |= {BLOCKS} if len(source.layout.blocks) == 1 else set()
    found = tuple(k for k in USUAL if k in there)
    if not found:
        raise LayoutError(f"the model has none of {', '.join(USUAL)}; name kinds of axes with --kinds")
    return found


def _tried(ranked: Ranked, shape: Shape, before: float) -> Tried:
    return Tried(
        shape=ranked.name, parameters=shape.parameters, before=before, after=ranked.divergence, error=ranked.error,
        behind=ranked.behind, p=ranked.p, verdict=ranked.verdict,
    )  # fmt: skip


_Values = tuple[list[float], list[float]]
"""[rows]: the divergence of each held-out row before healing, and after."""


def _known(bench: Bench, shape: Shape, make: Callable[[], _Values]) -> _Values:
    """What came of a shape: what is kept of an earlier process, or else made and kept.

    Raises:
        OutputError: the cache cannot be written to.
    """
    course, order = bench.course, bench.order
    facts = [
        FORMAT, bench.source.weights().fingerprint, str(shape), course.told, course.lessons.digest, course.steps,
        course.learning_rate, course.lora, course.embeddings, course.seed, [str(t) for t in order.texts], order.rows,
        order.length, order.seed, str(torch.__version__),
    ]  # fmt: skip
    key = sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:24]
    place = bench.cache / "shapes" / f"{key}.json"
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        return kept["before"], kept["after"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    before, after = make()
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps({"before": before, "after": after}).encode())
    return before, after


def _try(bench: Bench, shape: Shape, which: str) -> _Values:
    source, held = bench.source, list(bench.course.lessons.held_out)

    def said(what: str, done: int, total: int) -> None:
        bench.progress(f"{which}: {what}", done, total)

    order = replace(bench.order, method=METHOD, settings={"shape": str(shape)}, budget=Budget(keep=1.0))
    with bench.lender.lend(as_folder(source, bench.cache, said), torch.float32) as whole:
        plan = make_plan(source, order, cache=bench.cache, module=whole, progress=said)
        with TemporaryDirectory(prefix="penjing-shape-") as scratch:
            folder = Path(scratch) / "cut"
            carry_out(source, plan, folder, Manner(reopening=False, allow_sensitive=True), cache=bench.cache,
                      lender=bench.lender, progress=said)  # fmt: skip
            student = resolve(folder)
            before = divergences(whole, load(folder, dtype=torch.float32), held)
            values = healed(
                student, source, bench.course, lender=bench.lender, cache=bench.cache, progress=said
            )
            after = divergences(whole, _with(student, folder, values), held)
    return before.tolist(), after.tolist()


def _with(student: Source, folder: Path, values: Plan) -> nn.Module:
    module = load(folder, dtype=torch.float32)
    return surgery.apply(module, student.layout, values)


def divergences(whole: nn.Module, other: nn.Module, batches: Sequence[Any]) -> Tensor:
    """[rows] float64: KL(whole || other) of each row's next-token predictions, the mean over its tokens, in nats."""
    out = []
    with evaluating(whole), evaluating(other):
        for ids in batches:
            for first, second in zip(logits(whole, ids), logits(other, ids), strict=True):
                out.append(compare_rows(first, second)[0] / len(first))
    return torch.tensor(out, dtype=torch.float64)
