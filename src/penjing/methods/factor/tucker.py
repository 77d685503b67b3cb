"""Write convolutions as a smaller one between two projections of the channels; matrices as products of two.

Source: Kim et al., arXiv:1511.06530, section 3 (Tucker-2 of kernels). Deviations: ranks follow a budget, the same share
of outputs and of inputs in each kernel, where the paper estimates them by variational Bayes; nothing is trained
afterwards. A matrix, or a kernel of one by one, has no window between its projections, so they are one product: the
largest singular values stay. A convolution in groups stays as it is.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from penjing.core import Budget, Card, Checkpoint, Layout, Plan, Replace, Spec, View, Wants
from penjing.errors import PlanError
from penjing.maths.low_rank import factors, rank_for
from penjing.maths.tucker import numbers, ranks_for, tucker
from penjing.select.ranks import cost_with, largest_share, module_of, modules
from penjing.select.weights import Matrix

CARD = Card(
    title="Tucker",
    paper="arXiv:1511.06530",
    removes="directions of the channels of convolutions, each of which becomes three, and of matrices",
    promise="approximates",
    opens="penjing.load",
    inserts=frozenset({"low_rank", "tucker_conv"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep of each kernel, and of each matrix, factors with the same share of its numbers.

    `tensors` and `protect` are globs of tensors; `sweeps` improve the two projections of a kernel in turn.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    sweeps: int = 5

    def __post_init__(self) -> None:
        if self.sweeps < 0:
            raise PlanError(f"found {self.sweeps} sweeps; needed 0 or more")

    def wants(self, layout: Layout) -> Wants:
        """Nothing but the weights."""
        modules(layout, self.tensors, protect=self.protect)
        return Wants()

    def plan(self, view: View) -> Plan:
        """Factors for each kernel that they make smaller, and in `made` what each misses."""
        chosen = modules(view.layout, self.tensors, protect=self.protect)
        share = _share(view.layout, chosen, view.budget, view.model)
        edits, dropped = list[Replace](), dict[str, dict[str, Any]]()
        for m in chosen:
            if share < 1 and _numbers(m, share) < math.prod(m.shape):
                edit, dropped[m.tensor] = self._edit(view.model, m, share)
                edits.append(edit)
        whole, lost = (sum(d[k] ** 2 for d in dropped.values()) for k in ("of", "error"))
        missed = float(f"{(lost / whole) ** 0.5:.4g}") if whole else 0.0
        windows = any(e.spec.kind == "tucker_conv" for e in edits)
        notes = ["where a convolution has a stride, its first projection is counted at the places of its output; the "
                 "layout of the result counts it at those of its input"] if windows else []  # fmt: skip
        made = {"method": "tucker", "settings": asdict(self), "budget": str(view.budget), "dropped": dropped}
        return Plan(tuple(edits), made={**made, "error_share": missed, "notes": notes})

    def _edit(self, model: Checkpoint, m: Matrix, share: float) -> tuple[Replace, dict[str, Any]]:
        module, out = module_of(m), math.prod(m.shape) // m.columns
        if m.plain:
            found = factors(m.rows(model[m.tensor]), rank := rank_for(share, out, m.columns))
            ones = [1] * (len(m.shape) - 2)
            values = {
                "down.weight": found.down.reshape(rank, -1, *ones), "up.weight": found.up.reshape(out, rank, *ones)
            }  # fmt: skip
            spec, told, bias = Spec("low_rank", {"rank": rank}), {"rank": rank}, "up.bias"
        else:
            ranks = ranks_for(share, out, m.shape[1], m.columns // m.shape[1])
            found = tucker(model[m.tensor].flatten(2), *ranks, self.sweeps)
            window, ones = m.shape[2:], [1] * (len(m.shape) - 2)
            values = {
                "first.weight": found.first.reshape(*found.first.shape, *ones),
                "core.weight": found.core.reshape(*ranks, *window),
                "last.weight": found.last.reshape(*found.last.shape, *ones),
            }
            told, bias = {"out": ranks[0], "into": ranks[1]}, "last.bias"
            spec = Spec("tucker_conv", told)
        if f"{module}.bias" in model.shapes:
            values[bias] = model[f"{module}.bias"]
        return Replace(module, spec, values), {**told, "error": found.error, "of": found.whole}


def _numbers(m: Matrix, share: float) -> int:
    """How many numbers the factors have for a share."""
    out = math.prod(m.shape) // m.columns
    if m.plain:
        return rank_for(share, out, m.columns) * (out + m.columns)
    window = m.columns // m.shape[1]
    return numbers(out, m.shape[1], window, ranks_for(share, out, m.shape[1], window))


def _share(layout: Layout, chosen: list[Matrix], budget: Budget, model: Checkpoint) -> float:
    """What `keep` says, or the largest share of each within another limit."""
    if budget.keep is not None:
        return budget.keep

    def takes(share: float) -> float:
        left = {m.tensor: min(1.0, _numbers(m, share) / math.prod(m.shape)) if share < 1 else 1.0 for m in chosen}
        return cost_with(layout, chosen, left, budget, model)

    return largest_share(takes, budget, f"each of the {len(chosen)} chosen kernels at rank 1")
