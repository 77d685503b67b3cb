"""Every quality figure of two models, told apart from chance: difference, interval, p over all, and a verdict."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from penjing.core import Measurement, Subject
from penjing.core.report import Better
from penjing.errors import DataError, MeasureError
from penjing.evaluate.statistics import paired
from penjing.evaluate.statistics.interval import Interval
from penjing.evaluate.statistics.paired import Draws, Flips
from penjing.evaluate.statistics.records import Records
from penjing.maths.holm import holm

USUAL = Draws()
VERDICTS = ("worse", "better", "different", "no difference shown", "at chance", "not compared")


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One figure of two models. `p` is of no difference, `p_holm` the same corrected for all figures of the table.

    `difference` is other minus base. `ratio` and `recovery` (of what the base has above chance) are told where they
    make sense. `test` says how p was found, over how many `units`. `verdict` is one of `VERDICTS`; `note` says why
    something is missing.
    """

    name: str
    unit: str
    base: float | None
    other: float | None
    verdict: str
    difference: float | None = None
    interval: tuple[float, float] | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    recovery: float | None = None
    recovery_interval: tuple[float, float] | None = None
    p: float | None = None
    p_holm: float | None = None
    mid_p: float | None = None
    test: str = ""
    units: int = 0
    flips: Flips | None = None
    better: Better = ""
    chance: float | None = None
    note: str = ""


def compare_figures(base: Subject, other: Subject, *, alpha: float = 0.05, how: Draws = USUAL) -> tuple[Compared, ...]:
    """A row for each figure of the base that has items or a standard error, in the base's order.

    With the same items on both sides, p is McNemar's exact one for items that are right or wrong, else the paired
    bootstrap's, over clusters where items have them. A figure `name:what` with the answers of another is not tested
    again. Without items, it is from the two standard errors as if the models had been measured on different data, and
    so too cautious. Holm's correction is over all rows with a p, and the verdict is worse or better where the
    corrected p is below `alpha`. Figures that cannot be compared are rows too, with a note. Exact figures (sizes) and
    times have no row: they have tests of their own.
    """
    rows = [_row(f, other.figure(f.name), how) for f in base.figures if _has_spread(f)]
    rows = _once(rows, base, other)
    tested = [i for i, r in enumerate(rows) if r.p is not None]
    corrected = holm([p for r in rows if (p := r.p) is not None])
    for i, p in zip(tested, corrected, strict=True):
        rows[i] = _judged(replace(rows[i], p_holm=p), alpha)
    return tuple(rows)


def compared_to_json(rows: Sequence[Compared]) -> list[dict[str, Any]]:
    """The rows as plain data; flips with their share and the agreement; numbers that are not finite as None."""
    out = []
    for row in rows:
        told = asdict(row)
        if row.flips is not None:
            told["flips"] |= {"share": row.flips.share, "agreement": row.flips.agreement}
        out.append({k: _finite(v) for k, v in told.items()})
    return out


def at_chance(figure: Measurement, own: Records | None = None, how: Draws = USUAL) -> bool | None:
    """Whether a figure's interval holds its chance level; None when there is no chance level or no interval.

    The interval is over the records where they are given, else from the standard error.
    """
    if figure.chance is None or figure.value is None:
        return None
    if own is not None and (found := paired.own_interval(own, how)) is not None:
        return found.holds(figure.chance)
    if figure.spread is None or not figure.spread_kind.startswith("standard error"):
        return None
    return abs(figure.value - figure.chance) <= _normal(how.level) * figure.spread


def _once(rows: Sequence[Compared], base: Subject, other: Subject) -> list[Compared]:
    """The rows, without a p for what `name:what` repeats of another figure: Holm counts the same answers once."""
    answers = {r.name: repr([a for s in (base, other) if (a := _answers(s.figure(r.name)))]) for r in rows}
    seen: dict[str, str] = {}
    for row in sorted(rows, key=lambda r: ":" in r.name):
        seen.setdefault(answers[row.name], row.name)
    out = []
    for row in rows:
        first = seen[answers[row.name]]
        if ":" in row.name and first != row.name and row.p is not None and _answers(base.figure(row.name)):
            row = Compared(
                name=row.name, unit=row.unit, base=row.base, other=row.other, verdict="not compared",
                better=row.better, chance=row.chance, note=f"the same answers as {first}, which is tested",
            )  # fmt: skip
        out.append(row)
    return out


def _answers(figure: Measurement | None) -> list[tuple[str, Any]]:
    """(item, right or wrong) of each item; empty where items are not of that kind."""
    items = figure.items if figure is not None else {}
    return sorted(zip(items["id"], items["correct"], strict=False), key=repr) if {"id", "correct"} <= set(items) else []


def _has_spread(figure: Measurement) -> bool:
    return bool(figure.items) or figure.spread_kind.startswith("standard error")


def _row(base: Measurement, other: Measurement | None, how: Draws) -> Compared:
    bare = Compared(
        name=base.name, unit=base.unit, base=base.value, other=other.value if other else None, verdict="not compared",
        better=base.better, chance=base.chance,
    )  # fmt: skip
    if other is None:
        return replace(bare, note="the other model has no such figure")
    if base.value is None or other.value is None:
        return replace(bare, note=(base if base.value is None else other).note or "one of the two was not measured")
    if base.protocol != other.protocol:
        return replace(bare, note=f"measured as '{base.protocol}' and as '{other.protocol}'")
    try:
        pair = paired.both(base, other)
    except MeasureError as error:
        return replace(bare, note=str(error))  # one figure that cannot be paired does not cost the others
    try:
        row = _from_errors(bare, base, other, how) if pair is None else _from_items(bare, pair, how)
    except DataError as error:
        return replace(bare, note=str(error))
    own = pair or (None, None)
    if at_chance(base, own[0], how) and at_chance(other, own[1], how):
        return replace(row, verdict="at chance", note=_join(row.note, "neither model can be told from chance"))
    if at_chance(other, own[1], how):
        return replace(row, note=_join(row.note, "the other model cannot be told from chance"))
    return row


def _from_items(bare: Compared, pair: tuple[Records, Records], how: Draws) -> Compared:
    gap = paired.difference(pair, how)
    row = replace(
        bare, difference=gap.value, interval=_bounds(gap.interval), p=gap.p, units=gap.units,
        test="paired bootstrap over " + ("items" if pair[0].clusters is None else "clusters of items"),
        verdict="no difference shown" if gap.p is not None else "not compared",
        note="" if gap.p is not None else "one unit only: no interval and no p",
    )  # fmt: skip
    if pair[0].kind == pair[1].kind == "share":
        row = replace(row, flips=paired.flips(pair))
        if pair[0].clusters is None:
            exact, middle = paired.mcnemar(pair)
            row = replace(row, p=exact, mid_p=middle, test="McNemar, exact", verdict="no difference shown", note="")
    if bare.base and bare.better == "lower":
        over = paired.ratio(pair, how)
        row = replace(row, ratio=over.value, ratio_interval=_bounds(over.interval))
        if pair[0].kind == "perplexity" and over.p is not None:
            row = replace(row, p=over.p)
    if bare.chance is not None:
        try:
            back = paired.recovery(pair, bare.chance, how)
        except (MeasureError, DataError) as why:  # DataError: not defined in some draws
            return replace(row, note=_join(row.note, f"no recovery: {why}"))
        row = replace(row, recovery=back.value, recovery_interval=_bounds(back.interval))
    return row


def _from_errors(bare: Compared, base: Measurement, other: Measurement, how: Draws) -> Compared:
    """From two standard errors, as of two samples: right for unpaired figures, cautious for paired ones."""
    first, second = base.value or 0.0, other.value or 0.0
    gap = second - first
    row = replace(bare, difference=gap)
    if first and bare.better == "lower":
        row = replace(row, ratio=second / first)
    if bare.chance is not None and first != bare.chance:
        row = replace(row, recovery=(second - bare.chance) / (first - bare.chance))
    kinds = (base.spread_kind, other.spread_kind)
    if base.spread is None or other.spread is None or not all(k.startswith("standard error") for k in kinds):
        return replace(row, note="no items and no standard error: nothing to test the difference by")
    error = math.hypot(base.spread, other.spread)
    reach = _normal(how.level) * error
    p = math.erfc(abs(gap) / error / math.sqrt(2)) if error else float(gap == 0)
    return replace(
        row, interval=(gap - reach, gap + reach), p=p, test="two standard errors, unpaired", units=min(base.n, other.n),
        verdict="no difference shown", note="no items that give the figure, so the test could not be paired",
    )  # fmt: skip


def _judged(row: Compared, alpha: float) -> Compared:
    if row.verdict == "at chance" or row.p_holm is None or row.difference is None or row.p_holm >= alpha:
        return row
    if not row.better:
        return replace(row, verdict="different")
    return replace(row, verdict="better" if (row.difference > 0) == (row.better == "higher") else "worse")


def _bounds(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


def _normal(level: float) -> float:
    return float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))


def _join(*notes: str) -> str:
    return "; ".join(n for n in notes if n)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_finite(v) for v in value] if isinstance(value, tuple | list) else value
