"""A paper, its claims, our figures and the verdicts: the one schema of `expected.json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Verdict = Literal["reproduced", "partly", "not", "not decidable here", "not yet"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""`not decidable here` was tried, or would need another scale; `not yet` was not tried."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number: of what, over how many, and how far it may be off."""

    what: str
    value: float
    n: int
    of: str
    unit: str = ""
    interval: tuple[float, float] | None = None
    spread: float | None = None
    kind: str = ""

    def text(self) -> str:
        """`7.233 times (5.944 to 8.513), n 16 windows`: without what it is of."""
        out = f"{self.value:.4g}" + (f" {self.unit}" if self.unit else "")
        if self.interval is not None:
            out += " ({:.4g} to {:.4g})".format(*self.interval)
        if self.spread is not None:
            out += f" ± {self.spread:.2g}"
        return f"{out}, n {self.n} {self.of}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One thing that a paper says in our words, where it says it, and what came of it here."""

    claim: str
    verdict: Verdict
    where: str | None = None
    figure: Figure | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A command that measures figures anew in a clone; minutes and seeds are null where nobody counted."""

    command: str
    minutes: float | None = None
    seeds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A paper and its reproduction; the first claim is the one that lists show. A study of our own has no number."""

    number: int | None
    name: str
    title: str
    paper: str | None
    room: str
    claims: tuple[Claim, ...]
    runs: tuple[Run, ...] = ()

    @property
    def folder(self) -> str:
        """`04-maw`: what its folder in `papers/` and its row are called."""
        return folder_of(self.number, self.name)

    @property
    def verdict(self) -> Verdict:
        """The verdict over all claims."""
        return overall([c.verdict for c in self.claims])

    @property
    def tally(self) -> str:
        """`2 of 6`: how many of the claims are reproduced whole."""
        return f"{sum(c.verdict == 'reproduced' for c in self.claims)} of {len(self.claims)}"


def folder_of(number: int | None, name: str) -> str:
    """`04-maw`, or for a study the bare name."""
    return name if number is None else f"{number:02d}-{name}"


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several claims: theirs if they agree, partly if anything of them was reproduced.

    >>> overall(["reproduced", "not yet"])
    'partly'
    >>> overall(["not", "not yet"])
    'not'
    """
    found = set(verdicts)
    if len(found) == 1:
        return verdicts[0]
    if found & {"reproduced", "partly"}:
        return "partly"
    return "not" if "not" in found else "not decidable here"


def to_json(paper: Paper) -> dict[str, Any]:
    """The paper as a row holds it: every key of the schema, numbers in place, without the detailed results."""
    order = ("number", "name", "title", "paper", "room", "runs", "claims")
    row = asdict(paper)
    return {key: row[key] for key in order}
