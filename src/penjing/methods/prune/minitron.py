"""Keep what is most active: neurons, heads, hidden channels, and the blocks that change their input most.

One forward pass, no derivatives. With A(x) the root of the mean, over examples, of the squared mean of |x| over an
example's positions (the paper's best rule: mean over the sequence, L2 over the batch):

- neurons and other units that a matrix product sums over: A of what the layer that reads them takes in, which for a
  gated MLP is the gated product;
- heads and key-value groups: the L2 norm, over all channels of a unit, of A of what the output projection takes in;
- hidden channels (`axes="residual*"`, `allow=("sensitive",)`): A of what every norm gives that feeds attention or an
  MLP, added up over the norms, so that the whole network has one ranking;
- blocks (`axes="blocks"`): block importance, 1 - the mean cosine between a block's input and its output.

Source: Muralidharan et al., NeurIPS 2024, arXiv:2407.14679, sections 2.2 and 2.3; the rules for neurons, heads and
channels as NVIDIA's Model-Optimizer has them (the paper's text takes neurons before the activation). Uncertain: the
block importance is that of ShortGPT, arXiv:2403.03853, as the paper cites it; the paper also drops blocks by the
perplexity without each, which costs a pass per block and is not here. Deviations: the mean over examples stands where
the paper sums, which ranks alike; a layout's `heads` are key-value groups and go whole, where the paper keeps all
key-value heads and ranks query heads inside each group (`axes="queries"` cuts the same query heads in every group);
no merging of the heads that go; sizes by one fraction for all chosen axes under a budget, unless a `shape` says them
(`penjing search shapes` looks for one, as the paper does); a norm without a gain has no name to be measured by and is
left out (the plan's `made["notes"]` names it). The iterative variant, for which the paper found no benefit, is not
here: plan, carry out and plan again for the same.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from penjing.core import Axis, Blocks, Card, Keep, Layout, Norm, Plan, Stats, View, Wants
from penjing.core.layout import matches
from penjing.errors import BudgetError, UnsupportedError
from penjing.maths.topk import best
from penjing.select import blocks as block
from penjing.select.axes import choose
from penjing.select.saliency import taken_in
from penjing.select.shape import check_shape, globs_of, read_shape
from penjing.select.uniform import sizes
from penjing.select.units import places

TAKEN, GIVEN, ALIKE = "input_magnitude", "output_magnitude", "block_cosine"

CARD = Card(
    title="Minitron activations",
    paper="arXiv:2407.14679",
    removes="neurons, heads, hidden channels or blocks, by default the neurons of every MLP",
    promise="equals its mask",
    needs=frozenset({TAKEN}),
)


def score(taken: Iterable[Tensor]) -> Tensor:
    """[units]: the L2 norm of the activity of all channels of a unit, [units channels] per reader. Higher is kept."""
    return sum((x.double().square().sum(1) for x in taken), start=torch.zeros(1).double()).sqrt()


def channel_score(given: Iterable[Tensor]) -> Tensor:
    """[units]: the activity of each channel added up over the norms, [units channels] each. Higher is kept."""
    return sum((x.double().square().sum(1).sqrt() for x in given), start=torch.zeros(1).double())


def block_score(cosines: Iterable[Tensor]) -> Tensor:
    """[blocks]: 1 - the mean cosine between what goes into a block and what comes out, 0 to 2. Higher is kept."""
    return 1 - torch.stack([c.double() for c in cosines])


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the most active units, and the blocks that change their input most; the same share of every axis.

    `axes` and `protect` are globs of axis names; several kinds may be named ("neurons.*,heads.*"), "blocks" among
    them. `multiple` is the rounding of sizes (None: one that hardware likes), `allow` further states of axes that may
    be cut ("sensitive", which hidden channels are). `shape` says how many units stay of each axis of a kind, and how
    many blocks, as "neurons:1024,blocks:24": then neither `axes` nor the budget is heeded.
    """

    axes: str | None = None
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    allow: tuple[str, ...] = ()
    shape: str = ""

    def __post_init__(self) -> None:
        read_shape(self.shape)

    def wants(self, layout: Layout) -> Wants:
        """Parameter or block -> the statistics needed of it.

        Raises:
            PlanError: the model cannot get the shape.
        """
        check_shape(layout, read_shape(self.shape))
        axes, lists = self._chosen(layout)
        wanted: dict[str, frozenset[str]] = {path: frozenset({ALIKE}) for b in lists for path in block.paths(b)}
        for axis in axes:
            norms = feeding(layout, axis)
            names = [n.weight for n in norms if n.weight] if norms else [t for t, _ in layout.readers(axis.name)]
            for name in names:
                wanted[name] = wanted.get(name, frozenset()) | {GIVEN if norms else TAKEN}
        return Wants(wanted)

    def plan(self, view: View) -> Plan:
        """Which units stay in each axis, and which blocks.

        Raises:
            BudgetError: blocks and widths were named together under a limit.
        """
        layout, stats, budget = view.layout, view.stats, view.budget
        axes, lists = self._chosen(layout)
        if self.shape:
            return self._shaped(view, axes, lists)
        if axes and lists and budget.keep is None:
            raise BudgetError(
                f"blocks and widths together were given a limit in {budget.unit}, which can be met in many ways; "
                "give keep, or plan the blocks and the widths one after the other"
            )
        counts = sizes(layout, axes, budget, model=view.model, multiple=self.multiple) if axes else {}
        keeps = [Keep(a.name, best(_activity(layout, stats, a), counts[a.name])) for a in axes]
        for b in lists:
            scores = block_score(stats[path, ALIKE] for path in block.paths(b))
            keeps.append(Keep(b.axis, block.best_blocks(layout, b, scores, budget, model=view.model)))
        made = {"method": "minitron", "settings": asdict(self), "budget": str(budget), "samples": stats.samples}
        return Plan(tuple(keeps), made={**made, "notes": _unmeasured(layout, axes)})

    def _shaped(self, view: View, axes: list[Axis], lists: list[Blocks]) -> Plan:
        layout, stats, counts = view.layout, view.stats, read_shape(self.shape)
        keeps = [Keep(a.name, best(_activity(layout, stats, a), counts[a.kind])) for a in axes]
        for b in lists:
            scores = block_score(stats[path, ALIKE] for path in block.paths(b))
            keeps.append(Keep(b.axis, best(scores, counts["blocks"])))
        kept = {k.axis: len(k.units) for k in keeps}
        keeps = [k for k in keeps if kept[k.axis] < layout.axes[k.axis].size]
        made = {"method": "minitron", "settings": asdict(self), "budget": f"shape {self.shape}"}
        return Plan(tuple(keeps), made={**made, "samples": stats.samples, "notes": _unmeasured(layout, axes)})

    def _chosen(self, layout: Layout) -> tuple[list[Axis], list[Blocks]]:
        """The axes of units, and the lists of blocks."""
        asked = globs_of(layout, list(read_shape(self.shape))) if self.shape else self.axes
        lists = block.named(layout, asked, protect=self.protect)
        named = None if asked is None else asked.split(",")
        rest = None if named is None else ",".join(g for g in named if not _only_blocks(layout, g.strip()))
        found = choose(layout, rest, protect=self.protect, allow=self.allow) if rest or not lists else []
        of_blocks = {b.axis for b in layout.blocks}
        return [a for a in found if a.name not in of_blocks], lists


def feeding(layout: Layout, axis: Axis) -> list[Norm]:
    """The norms over a residual axis that feed attention or an MLP: those with a reader inside a block."""
    if axis.kind != "residual":
        return []
    inside = {t for b in layout.blocks for t in block.members(layout, b)}
    over = [n for n in layout.norms if n.axis == axis.name and n.kind in ("layer", "rms") and n.readers]
    return [n for n in over if inside.intersection(n.readers)] if inside else over


def _only_blocks(layout: Layout, glob: str) -> bool:
    hit = [a for a in layout.axes if matches(a, glob)]
    return bool(hit) and set(hit) <= {b.axis for b in layout.blocks}


def _activity(layout: Layout, stats: Stats, axis: Axis) -> Tensor:
    norms = feeding(layout, axis)
    if not norms:
        return score(taken_in(layout, stats, axis.name, TAKEN))
    given = []
    for name in (n.weight for n in norms if n.weight):
        given += [stats[name, GIVEN][spots] for spots in places(layout.patterns[name][0], axis.name)]
    if not given:
        raise UnsupportedError(
            f"no norm over axis '{axis.name}' has a gain to measure it by; protect it or use magnitude"
        )
    return channel_score(given)


def _unmeasured(layout: Layout, axes: Iterable[Axis]) -> list[str]:
    return [f"{n.module} has no gain and has no say" for a in axes for n in feeding(layout, a) if not n.weight]
