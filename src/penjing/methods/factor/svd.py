"""Replace matrices by the product of two thin ones: the largest singular values stay.

Source: Wang et al., "SVD-LLM: Truncation-aware Singular Value Decomposition for Large Language Model Compression",
arXiv:2403.07378, section 3.1 and equation 2 (whitening); without `whiten`, the plain truncation of Eckart and Young.
Deviations: the singular values are shared evenly between both factors; the second moment is damped by a share of its
mean, so that inputs that never move have a factor too; factors are not updated after the truncation (section 3.2), and
each matrix is seen with the inputs of the original model; a matrix whose factors would have no fewer numbers stays.
"""

from dataclasses import asdict, dataclass

from torch import Tensor

from penjing.core import Card, Checkpoint, Layout, Plan, Replace, Spec, View, Wants
from penjing.errors import UnsupportedError
from penjing.maths.low_rank import Factors, factors, root_of
from penjing.select.ranks import module_of, modules, ranks
from penjing.select.weights import Matrix

MOMENT = "input_second_moment"

CARD = Card(
    title="SVD, whitened",
    paper="arXiv:2403.07378",
    removes="singular values of the blocks' matrices, each of which becomes two",
    promise="approximates",
    needs=frozenset({MOMENT}),
    opens="penjing.load",
    inserts=frozenset({"low_rank"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep of each matrix the product of two that is nearest to it, with the same share of the numbers of each.

    `whiten` takes as near what gives nearly the same outputs for the calibration data; without it no data are needed,
    and near is what differs least in its entries. `tensors` and `protect` are globs of tensors; `damping` is added to
    the second moment's diagonal, as a share of its mean.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    whiten: bool = True
    damping: float = 0.001

    def wants(self, layout: Layout) -> Wants:
        """The second moment of what goes into each matrix, if it whitens."""
        if not self.whiten:
            return Wants()
        return Wants({m.tensor: CARD.needs for m in self._chosen(layout)})

    def plan(self, view: View) -> Plan:
        """Two factors for each matrix that they make smaller, and in `made` what was dropped of each."""
        chosen, notes = {m.tensor: m for m in self._chosen(view.layout)}, list[str]()
        rank = ranks(view.layout, list(chosen.values()), view.budget, view.model)
        edits, dropped = list[Replace](), dict[str, dict[str, float]]()
        for m in chosen.values():
            root = self._root(view, m, notes)
            if m.tensor not in rank:
                continue
            found = factors(m.rows(view.model[m.tensor]), rank[m.tensor], root)
            edits.append(_edit(view.model, m, found))
            dropped[m.tensor] = {"rank": rank[m.tensor], "error": found.error, "of": found.whole}
        made = {"method": "svd", "settings": asdict(self), "budget": str(view.budget), "dropped": dropped}
        whole, lost = (sum(d[k] ** 2 for d in dropped.values()) for k in ("of", "error"))
        made["error_share"] = float(f"{(lost / whole) ** 0.5:.4g}") if whole else 0.0
        seen = {"samples": view.stats.samples} if self.whiten else {}
        return Plan(tuple(edits), made={**made, **seen, "notes": notes})

    def _root(self, view: View, m: Matrix, notes: list[str]) -> Tensor | None:
        if not self.whiten:
            return None
        root, used = root_of(view.stats[m.tensor, MOMENT], self.damping)
        if used != self.damping:
            notes.append(f"{m.tensor}: its inputs' second moment was damped by {used:g}, not {self.damping:g}")
        return root

    def _chosen(self, layout: Layout) -> list[Matrix]:
        found = modules(layout, self.tensors, protect=self.protect)
        wrong = next((m for m in found if self.whiten and not m.plain), None)
        if wrong is not None:
            raise UnsupportedError(
                f"{wrong.tensor} is a convolution with a window, and only second moments of single inputs are "
                "collected; protect it, or set whiten to false"
            )
        return found


def _edit(model: Checkpoint, m: Matrix, found: Factors) -> Replace:
    """The matrix's module as two; `down` keeps the window of a convolution, `up` the bias."""
    module, window, rank = module_of(m), [m.shape[d] for d in m.inputs], found.up.shape[1]
    up = found.up.reshape(*found.up.shape, *[1] * (len(window) - 1))
    values = {"down.weight": found.down.reshape(rank, *window), "up.weight": up}
    if f"{module}.bias" in model.shapes:
        values["up.bias"] = model[f"{module}.bias"]
    return Replace(module, Spec("low_rank", {"rank": rank}), values)
