"""Figures with what makes them believable: unit, count, spread, protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penjing.core.printing import bars, short, table

Better = Literal["higher", "lower", ""]
Group = Literal["size", "quality", "time", "other"]



@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure. `value` is None when it could not be measured or was withheld; `note` then says why.

    `spread` is the standard error, or the inter-quartile range for times, as `spread_kind` says. `protocol` names
    exactly how it was measured. `label` is what people call it (empty: its name, as words), `better` which way is
    better (empty: neither), `group` what it tells of: who measures says so, and nobody guesses. `items` holds one
    column of records per name, one entry per item of `n` (such as `{"id": [...], "correct": [...]}`), for paired tests;
    a page does not show them.
    """

    name: str
    value: float | None
    unit: str
    n: int = 0
    spread: float | None = None
    spread_kind: str = ""
    chance: float | None = None
    protocol: str = ""
    note: str = ""
    label: str = ""
    better: Better = ""
    group: Group = "other"
    details: Mapping[str, Any] = field(default_factory=dict)
    items: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One model of a report: its name, where it lies, its shape and its figures.

    `widths` maps each axis to its size, for the picture of the network.
    """

    name: str
    source: str
    figures: tuple[Measurement, ...]
    widths: Mapping[str, int] = field(default_factory=dict)

    def figure(self, name: str) -> Measurement | None:
        """The figure of this name, or None."""
        return next((f for f in self.figures if f.name == name), None)


@dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """Before and after. The first subject is the original. `provenance` says how everything was made."""

    title: str
    subjects: tuple[Subject, ...]
    ratios: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def result(self) -> Subject:
        """The model that the report is about: the last, or the second, if one was healed.

        Raises:
            IndexError: there are no models.
        """
        return self.subjects[1 if "healing" in self.provenance and len(self.subjects) > 1 else -1]

    def __repr__(self) -> str:
        """The title, the models and how many figures there are."""
        names = ", ".join(s.name for s in self.subjects)
        return short(f"Report({self.title!r}: {names}; {sum(len(s.figures) for s in self.subjects)} figures)")

    def _repr_html_(self) -> str:
        """For notebooks: the figures, a column for each model; the page has more."""
        names = list(dict.fromkeys(f.name for s in self.subjects for f in s.figures))
        heads = ["figure", "unit", *(s.name for s in self.subjects)]
        return table(heads, (self._row(name) for name in names[:60]), caption=self.title) + self._picture(names)

    def _picture(self, names: Sequence[str]) -> str:
        """Bars: what the result has of the first one's figures."""
        if len(self.subjects) < 2:
            return ""
        pairs = [(self.subjects[0].figure(n), self.result.figure(n)) for n in names[:60]]
        shares = [b.value / a.value for a, b in pairs if a and b and a.value and b.value is not None and a.value > 0]
        title = f"each figure of {self.result.name} over that of {self.subjects[0].name}, at most 1"
        return bars([max(0.0, share) for share in shares], title=title)

    def _row(self, name: str) -> list[str]:
        found = [s.figure(name) for s in self.subjects]
        unit = next((f.unit for f in found if f is not None), "")
        return [name, unit, *("" if f is None or f.value is None else f"{f.value:.5g}" for f in found)]
