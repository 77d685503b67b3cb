"""How method `auto` chose: every candidate's loss beside the unpruned model's and random choice's, ties called ties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.report.plot import Scale, scale
from penjing.report.views.differences import p_value
from penjing.report.views.lines import finite, tick

WHAT = {"loss": "nats per token or example", "divergence": "nats of divergence from the original"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate, with places in per cent of the drawing; `tone` is that of its verdict."""

    name: str
    increase: str
    interval: str
    behind: str
    behind_p: str
    over: str
    over_p: str
    verdict: str
    against: str
    tone: str
    seconds: str
    left: float
    middle: float
    right: float


@dataclass(frozen=True, kw_only=True)
class Tournament:
    """The candidates, best first; `zero` is the place of the unpruned model, `random` those of each random seed."""

    rows: tuple[Row, ...]
    zero: float
    random: tuple[float, ...]
    random_told: str
    ends: tuple[str, str]
    unit: str
    said: str
    held_out: str
    left_out: tuple[tuple[str, str], ...]


def tournament(made: Mapping[str, Any]) -> Tournament | None:
    """What a plan's `made` (or a report's provenance) tells of a tournament, or None."""
    found = made.get("tournament")
    if not isinstance(found, Mapping) or not found.get("standings"):
        return None
    ranked: Sequence[Mapping[str, Any]] = found["standings"]
    dense = finite(found.get("unpruned")) or 0.0
    random = [v - dense for r in found.get("random", ()) if (v := finite(r)) is not None]
    values = [v for s in ranked for v in s["increase"]] + random + [0.0]
    across = scale(values, log=False)
    return Tournament(
        rows=tuple(_row(s, across) for s in ranked),
        zero=across.place(0.0),
        random=tuple(across.place(r) for r in random),
        random_told=", ".join(_signed(r) for r in random),
        ends=(_signed(across.low), _signed(across.high)),
        unit=WHAT.get(str(found.get("objective")), "the objective"),
        said=summary(found),
        held_out=_held_out(found.get("held out", {})),
        left_out=tuple((str(n), str(why)) for n, why in found.get("left out", {}).items()),
    )


def summary(found: Mapping[str, Any]) -> str:
    """One sentence: who won, who ties with it, and whether it beats random choice."""
    ranked = found["standings"]
    ties = [str(s["name"]) for s in ranked[1:] if s["verdict"] == "tie"]
    first = f"{ranked[0]['name']} has the lowest loss of {len(ranked)}"
    if len(ranked) == 1:
        first = f"{ranked[0]['name']} alone was tried"
    elif ties:
        first += f", and ties with {', '.join(ties)}: between these the data do not decide"
    else:
        first += ", clearly"
    against = {
        "better than random": "it is better than random choice",
        "worse than random": "it is worse than random choice",
        "tie with random": "it is not clearly better than random choice",
    }
    beside = against.get(str(ranked[0].get("against")))
    return f"{first}; {beside}" if beside else first


def _row(standing: Mapping[str, Any], across: Scale) -> Row:
    value, low, high = standing["increase"]
    verdict = {"best": "lowest loss", "tie": "tie with the best", "worse": "worse than the best"}
    return Row(
        name=str(standing["name"]),
        increase=_signed(value),
        interval=_range(standing["increase"]),
        behind=_range(standing.get("behind")),
        behind_p=p_value(standing.get("behind_p")),
        over=_range(standing.get("over")),
        over_p=p_value(standing.get("over_p")),
        verdict=verdict.get(str(standing["verdict"]), str(standing["verdict"])),
        against=str(standing.get("against") or ""),
        tone={"best": "better", "worse": "worse"}.get(str(standing["verdict"]), "even"),
        seconds=f"{float(standing.get('seconds', 0)):.3g} s",
        left=across.place(low),
        middle=across.place(value),
        right=across.place(high),
    )


def _range(ends: Sequence[float] | None) -> str:
    return "" if not ends else f"{_signed(ends[1])} to {_signed(ends[2])}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + tick(float(f"{value:.3g}"), False)


def _held_out(found: Mapping[str, Any]) -> str:
    if "rows" in found:
        return f"{found['rows']} rows of {found['length']} tokens of the calibration text that no plan was made from"
    if "examples" in found:
        return f"{found['examples']} examples, every {found['every']}th of the data, that no plan was made from"
    return "examples that no plan was made from"
