"""What a method is: settings, a card, and a plan, made at once or by training."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from penjing.core.layout import Layout
from penjing.core.plan import Plan
from penjing.core.training import Masks, Training
from penjing.core.view import View, Wants

Promise = Literal["equals its mask", "keeps the function", "approximates"]
Reads = Literal["", "writing rows", "all rows", "weights", "nothing"]
"""What the score of a file that is only a card and a score is given; see `select/criterion.py`."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What people and the conformance suite need to know of a method.

    `needs` says what it wants where no setting is changed (the names of statistics, "live", "blocks", "data"), for
    whoever has no model at hand; `wants` decides. `reads` says what the `score` of a file without a class `Method` is
    given. `opens` says what loads the result, and `inserts` which kinds of modules it puts in for others, from which it
    follows what else opens it.
    """

    title: str
    paper: str
    removes: str
    promise: Promise
    needs: frozenset[str] = frozenset()
    reads: Reads = ""
    opens: str = "transformers"
    inserts: frozenset[str] = frozenset()


@runtime_checkable
class Plans(Protocol):
    """A method that looks and decides: a frozen dataclass whose fields are the paper's settings.

    The file that defines it as `Method` also defines `CARD`.
    """

    def wants(self, layout: Layout) -> Wants:
        """What it must be given of a model with this layout."""
        ...

    def plan(self, view: View) -> Plan:
        """Decide what goes. Nothing is changed."""
        ...


@runtime_checkable
class Trains(Protocol):
    """A method that acts while a copy of the model is trained; what it knows from one step to the next lies in the run.

    It may be `Plans` as well, and is asked for its plan then. `steps` and `learning_rate` are those of a run for which
    nobody says others.
    """

    def wants(self, layout: Layout) -> Wants:
        """What it must be given of a model with this layout: the data at least."""
        ...

    @property
    def steps(self) -> int:
        """How many steps of the optimiser."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of the optimiser, at its highest."""
        ...

    def prepare(self, run: Training) -> None:
        """Before the first step, and before there is an optimiser: insert modules, choose what is trained."""
        ...

    def loss(self, run: Training, batch: Any, output: Any) -> Tensor:
        """[]: what is made small; the data's own loss is `run.objective(batch, output)`."""
        ...

    def step(self, run: Training) -> Masks | None:
        """New masks for some tensors, or None; called before the first step and after each."""
        ...

    def finish(self, run: Training) -> Plan:
        """What becomes permanent."""
        ...


Method: TypeAlias = Plans | Trains
