"""What a method is: settings, a card, and a plan."""

from dataclasses import dataclass
from typing import Literal, Protocol

from penjing.core.budget import Budget
from penjing.core.checkpoint import Checkpoint
from penjing.core.layout import Layout
from penjing.core.plan import Plan
from penjing.core.stats import Stats

Promise = Literal["equals its mask", "keeps the function", "approximates"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What people and the conformance suite need to know of a method.

    `needs` are the statistics it reads, collected before it is asked; `walk` says whether it sees the whole model
    at once or goes block by block; `opens` says where the result opens; `runs` whether it tries things on the model
    itself (`Stats.live`).
    """

    title: str
    paper: str
    removes: str
    promise: Promise
    needs: frozenset[str] = frozenset()
    walk: Literal["at once", "block by block"] = "at once"
    opens: str = "transformers"
    runs: bool = False


class Method(Protocol):
    """A frozen dataclass whose fields are the paper's settings. The file that defines it also defines `CARD`."""

    def plan(self, model: Checkpoint, layout: Layout, stats: Stats, budget: Budget) -> Plan:
        """Decide what goes. Nothing is changed."""
        ...
