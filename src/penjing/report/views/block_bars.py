"""What each block's cut adds to the loss alone, as bars from the first block to the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core import Measurement, Report
from penjing.report.views.lines import Mark, finite, marks
from penjing.report.views.sensitivity import signed, span

FIGURE = "block_loss"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One block: its number, how high its bar is in per cent of the highest of all, and what is said of it."""

    block: str
    height: float
    text: str
    dropped: bool


@dataclass(frozen=True, kw_only=True)
class Bars:
    """One model's blocks."""

    mark: Mark
    bars: tuple[Bar, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class BlockBars:
    """All models on one scale; `top` is what the highest bar stands for, `tokens` on how many it was measured."""

    models: tuple[Bars, ...]
    top: str
    tokens: int


def block_bars(report: Report) -> BlockBars | None:
    """The bars of all models whose blocks were tried one by one, or None."""
    found = [
        (m, f) for m, s in zip(marks(report), report.subjects, strict=True)
        if (f := s.figure(FIGURE)) is not None and _increases(f)
    ]  # fmt: skip
    if not found:
        return None
    top = max(0.0, *(v for _, f in found for v in _increases(f)))
    return BlockBars(
        models=tuple(Bars(mark=m, bars=_bars(f, top), text=_said(f)) for m, f in found),
        top=signed(top),
        tokens=max(f.n or 0 for _, f in found),
    )


def _increases(figure: Measurement) -> list[float]:
    return [v for x in figure.details.get("increase") or () if (v := finite(x)) is not None]


def _bars(figure: Measurement, top: float) -> tuple[Bar, ...]:
    told = figure.details
    gone: Sequence[Any] = told.get("dropped") or [False] * len(told["increase"])
    out = []
    for place, (value, low, high, dropped) in enumerate(
        zip(told["increase"], told["low"], told["high"], gone, strict=True)
    ):
        text = f"{signed(value)} ({span({'low': low, 'high': high})})" + (", dropped" if dropped else "")
        height = round(100 * max(0.0, value) / top, 2) if top > 0 else 0.0
        out.append(Bar(block=str(place), height=height, text=text, dropped=bool(dropped)))
    return tuple(out)


def _said(figure: Measurement) -> str:
    """One sentence: which block costs most alone, and how many show no clear loss."""
    told = figure.details
    ranked = sorted(range(len(told["increase"])), key=lambda i: -told["increase"][i])
    unclear = sum(low <= 0 for low in told["low"])
    out = f"block {ranked[0]} costs most: {signed(told['increase'][ranked[0]])} nats per token"
    return out + (f"; {unclear} of {len(ranked)} show no clear loss" if unclear else "")
