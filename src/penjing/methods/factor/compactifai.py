"""Write matrices as chains of small cores (matrix product operators) by successive truncated singular values.

Source: Tomut et al., "CompactifAI", arXiv:2401.14109: rows and columns are split into `sites` digits each, those of one
site side by side, and all but the largest singular values of each split are dropped (the paper has three sites, so two
truncations, and one bond of about 100). Which matrices bear it is measured, as in the paper, by thinning each group
alone (`ranks`). Deviations: bonds follow a budget; the paper's profile is of scores, this one of the loss or of the
divergence from the original; matrices whose cores would have no fewer numbers stay; the cores are of equal norm, so
that one rate of learning suits all. There is no variant that weighs inputs: a second moment mixes all digits. Healing
and quantisation are those of penjing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from penjing.core import Budget, Card, Checkpoint, Layout, Plan, Replace, Spec, View, Wants
from penjing.errors import PlanError, UnsupportedError
from penjing.maths.tensor_train import bond_for, decompose, digits, fewest, multiply_adds, numbers
from penjing.select.measured_shares import FRACTIONS, MeasuredShares, grouped
from penjing.select.ranks import cost_with, largest_share, module_of, modules
from penjing.select.ways import fastest
from penjing.select.weights import Matrix

CARD = Card(
    title="CompactifAI, chains of cores",
    paper="arXiv:2401.14109",
    removes="singular values between groups of digits of the blocks' matrices, each of which becomes a chain of cores",
    promise="approximates",
    opens="penjing.load",
    inserts=frozenset({"mpo"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep of each matrix a chain of cores with the same share of its numbers, or shares by measured sensitivity.

    `tensors` and `protect` are globs of tensors; `bond` is the widest bond (0: what the budget gives). `ranks` is
    "uniform", or "measured": each group (`by` matrix, block or kind) is thinned alone to each of `fractions` on the
    running model, and the least summed increase of `objective` (over all `examples` if None) decides. `way` is how the
    result multiplies: "counted" takes the fewest multiply-adds for `tokens` inputs at once, "measured" what is fastest
    here, and "left", "right" or "matrix" is that.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    sites: int = 3
    bond: int = 0
    ranks: Literal["uniform", "measured"] = "uniform"
    by: Literal["matrix", "block", "kind"] = "block"
    fractions: tuple[float, ...] = FRACTIONS
    objective: Literal["loss", "divergence"] = "loss"
    examples: int | None = None
    way: Literal["counted", "measured", "left", "right", "matrix"] = "counted"
    tokens: int = 64

    def __post_init__(self) -> None:
        if self.sites < 2 or self.bond < 0 or self.tokens < 1:
            found = f"sites {self.sites}, bond {self.bond} and tokens {self.tokens}"
            raise PlanError(f"found {found}; needed 2 sites or more, a bond of 0 or more and 1 token or more")
        if not self.fractions or not all(0 < f < 1 for f in self.fractions):
            raise PlanError(f"fractions are {list(self.fractions)}; needed one or more, each above 0 and below 1")

    def wants(self, layout: Layout) -> Wants:
        """The running model, if shares are measured; else nothing."""
        self._chosen(layout)
        return Wants(live=self.ranks == "measured")

    def plan(self, view: View) -> Plan:
        """A chain for each matrix that it makes smaller, and in `made` what each misses, costs and how it multiplies.

        Raises:
            BudgetError: the budget cannot be met.
            PlanError: no matrix becomes smaller by the bond asked for.
        """
        chosen = {m.tensor: _Chain(m, self) for m in self._chosen(view.layout)}
        counting = view.budget.unit == "macs"
        made: dict[str, Any] = {"method": "compactifai", "settings": asdict(self), "budget": str(view.budget)}
        if self.ranks == "measured":
            measured = self._measure(view, chosen)
            made["measured"] = measured.told()

            def takes(tensor: str, share: float) -> float:
                return chosen[tensor].takes(share, counting=counting)

            shares = measured.shares(view.layout, self._chosen(view.layout), takes, view.budget, view.model)
        else:
            share = _uniform(view.layout, list(chosen.values()), view.budget, view.model)
            shares = dict.fromkeys(chosen, share)
        wide = {t: b for t, chain in chosen.items() if (b := chain.bond(shares[t]))}
        above = [chain.above() for t, chain in chosen.items() if t not in wide]
        notes = [note for note in above if note]
        if self.bond and not wide and notes:
            raise PlanError(f"no matrix becomes smaller: {notes[0]}; ask for a smaller bond")
        edits, dropped = list[Replace](), dict[str, dict[str, Any]]()
        for tensor, bond in wide.items():
            edit, dropped[tensor] = chosen[tensor].edit(view.model, bond, counting=counting)
            edits.append(edit)
        whole, lost = (sum(d[k] ** 2 for d in dropped.values()) for k in ("of", "error"))
        share_lost = float(f"{(lost / whole) ** 0.5:.4g}") if whole else 0.0
        return Plan(tuple(edits), made={**made, "dropped": dropped, "error_share": share_lost, "notes": notes})

    def _measure(self, view: View, chosen: "dict[str, _Chain]") -> MeasuredShares:
        live = view.running()

        def edits(tensors: Sequence[str], share: float) -> list[Replace]:
            wide = {t: chosen[t].bond(share) for t in tensors}
            return [chosen[t].edit(view.model, b, counting=True)[0] for t, b in wide.items() if b]

        groups = grouped(view.layout, [c.of for c in chosen.values()], self.by)
        examples = None if self.examples is None else range(min(self.examples, live.examples))
        return MeasuredShares.of(live, groups, edits, self.fractions, objective=self.objective, examples=examples)

    def _chosen(self, layout: Layout) -> list[Matrix]:
        found = [m for m in modules(layout, self.tensors, protect=self.protect) if len(m.shape) == 2]
        if not found:
            raise UnsupportedError(
                f"of what '{self.tensors}' names, nothing is the matrix of a linear layer, so there are no digits of "
                "rows and columns; for convolutions there is the method tucker"
            )
        return found


@dataclass(frozen=True)
class _Chain:
    """One matrix and the chains that it may become."""

    of: Matrix
    asked: Method

    @cached_property
    def legs(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The digits of outputs and of inputs."""
        into = self.of.columns
        return digits(self.whole // into, self.asked.sites), digits(into, self.asked.sites)

    @property
    def whole(self) -> int:
        """How many numbers the matrix has."""
        return self.of.shape[0] * self.of.shape[1]

    def bond(self, share: float) -> int:
        """The bond for a share of the numbers; 0 for the matrix as it is."""
        if share >= 1 and not self.asked.bond:
            return 0
        found = bond_for(share, *self.legs, self.whole)
        found = self.asked.bond if share >= 1 else min(found, self.asked.bond or found)
        return found if numbers(*self.legs, found) < self.whole else 0

    def above(self) -> str:
        """Why the bond that was asked for leaves the matrix as it is."""
        if not self.asked.bond:
            return ""
        needed = numbers(*self.legs, self.asked.bond)
        best = bond_for(1 - 1 / self.whole, *self.legs, self.whole)
        if needed < self.whole:
            return ""
        return (
            f"{self.of.tensor} stays whole: a bond of {self.asked.bond} takes {needed:,} numbers and the matrix has "
            f"{self.whole:,}; up to {best} it becomes smaller"
        )

    def takes(self, share: float, *, counting: bool) -> float:
        """The share of its numbers, or of its multiply-adds, that is left of the matrix."""
        bond = self.bond(share)
        if not bond:
            return 1.0
        taken = self.multiply_adds(bond, counting=True) if counting else numbers(*self.legs, bond)
        return taken / self.whole

    def multiply_adds(self, bond: int, *, counting: bool) -> int:
        """For one input."""
        return sum(multiply_adds(*self.legs, bond, self.way(bond, counting=counting))[0])

    def way(self, bond: int, *, counting: bool) -> str:
        """How it multiplies; where multiply-adds are what counts, through the cores."""
        asked = self.asked.way
        if asked in ("left", "right", "matrix"):
            return asked
        if counting:
            return min(("left", "right"), key=lambda way: sum(multiply_adds(*self.legs, bond, way)[0]))
        if asked == "measured":
            return fastest(*self.legs, bond, self.asked.tokens)
        return fewest(*self.legs, bond, self.asked.tokens)

    def edit(self, model: Checkpoint, bond: int, *, counting: bool) -> tuple[Replace, dict[str, Any]]:
        """The matrix's module as a chain, and what is told of it."""
        module, (outs, ins) = module_of(self.of), self.legs
        found = decompose(self.of.rows(model[self.of.tensor]), outs, ins, bond)
        way = self.way(bond, counting=counting)
        settings = {"outs": "x".join(map(str, outs)), "ins": "x".join(map(str, ins)), "bond": bond, "way": way}
        values = {f"core{j}": core for j, core in enumerate(found.cores)}
        if f"{module}.bias" in model.shapes:
            values["bias"] = model[f"{module}.bias"]
        each, once = multiply_adds(outs, ins, bond, way)
        told = {
            "bond": bond, "way": way, "error": found.error, "of": found.whole, "numbers": numbers(outs, ins, bond),
            "numbers_before": self.whole, "multiply_adds": sum(each), "multiply_adds_once": once,
        }  # fmt: skip
        return Replace(module, Spec("mpo", settings), values), told


def _uniform(layout: Layout, chains: list[_Chain], budget: Budget, model: Checkpoint) -> float:
    """The one share of all: what `keep` says, or the largest within another limit."""
    if budget.keep is not None:
        return budget.keep
    chosen, counting = [c.of for c in chains], budget.unit == "macs"

    def takes(share: float) -> float:
        left = {c.of.tensor: c.takes(share, counting=counting) for c in chains}
        return cost_with(layout, chosen, left, budget, model)

    return largest_share(takes, budget, f"each of the {len(chains)} chosen matrices at bond 1")
