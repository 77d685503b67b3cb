"""Make a mask better at the same density: decide again and again on a small block of doubtful weights.

A block holds the pruned weights most likely pruned wrongly and the kept ones most likely kept wrongly. Which of them go
is a binary quadratic problem from the loss's gradient and empirical Fisher matrix at the masked weights, with the
number of zeros fixed. Weights that stay keep their values.

Source: Rosenberg et al., "Scalable iterative pruning of large language and vision models using block coordinate
descent", arXiv:2411.17796. Deviations: steps, block and restarts are sized for a CPU (the paper: blocks of 1024 to
4096, 10 to 20 restarts, 10 epochs of 300 steps); tiny entries of Q are cut off by absolute value, where the published
code also drops every negative one; the last temperature is followed by a descent; an example of a language model is one
row of tokens. Uncertain: how ties in scores fall.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Generator, Tensor

from penjing.core import Card, Layout, Live, Mask, Plan, Stats, View, Wants
from penjing.errors import PlanError, nearest
from penjing.maths.annealing import anneal, clipped
from penjing.maths.optimal_brain import binary_problem
from penjing.select.weights import Matrix, by_rows, density, group_of, matrices, zero_counts

ENERGY = "input_energy"
STARTS = ("wanda", "magnitude")
SMALLEST_ENTRY = 1e-12
HELD_BYTES = 2**28
"""Per-example gradients of up to so many bytes are held; larger ones are computed twice."""

CARD = Card(
    title="iCBS",
    paper="arXiv:2411.17796",
    removes="single weights of the blocks' matrices, chosen together for the loss",
    promise="equals its mask",
    needs=frozenset({ENERGY, "live"}),
)


def block_of(scores: Tensor, kept: Tensor, free: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """(places of the highest-scoring pruned weights, places of the lowest-scoring kept ones), `size` together.

    All are [weights]; `free` says which may be chosen.
    """
    pruned, staying = (free & ~kept).nonzero().flatten(), (free & kept).nonzero().flatten()
    back = pruned[torch.sort(scores[pruned], descending=True, stable=True).indices[: size // 2]]
    out = staying[torch.sort(scores[staying], stable=True).indices[: size - size // 2]]
    return back, out


def steps_for(sizes: Sequence[int], steps: int, generator: Generator) -> list[int]:
    """[steps]: which tensor each step works on, shuffled, shared out by the logarithms of the tensors' sizes."""
    shares = torch.tensor(sizes, dtype=torch.float64).clamp_min(2).log10()
    ends = (shares.cumsum(0) / shares.sum() * steps).round().long()
    order = torch.searchsorted(ends, torch.arange(steps), right=True).clamp_max(len(sizes) - 1)
    order = order if steps >= len(sizes) else torch.randperm(len(sizes), generator=generator)[:steps]
    return order[torch.randperm(steps, generator=generator)].tolist()


@dataclass
class _State:
    """One tensor's weights [n], which are kept, which may still change, and which just were in a block."""

    matrix: Matrix
    weights: Tensor
    kept: Tensor
    free: Tensor
    tabu: deque[Tensor] = field(default_factory=deque)

    def mask(self) -> Mask:
        return Mask(self.matrix.tensor, self.kept.view(self.matrix.shape).clone())

    def candidates(self, share: float, size: int) -> Tensor:
        """[n] bool: the free weights that are not resting; all free ones where fewer than `size` are left."""
        total = int(self.free.sum())
        while self.tabu and sum(len(t) for t in self.tabu) > share * total:
            self.tabu.popleft()
        left = self.free.clone()
        for places in self.tabu:
            left[places] = False
        return left if int(left.sum()) >= size else self.free


@dataclass(frozen=True, kw_only=True)
class Method:
    """Start from another method's mask and spend time on it; `made["curve"]` tells what each step brought.

    `tensors` and `protect` are globs of tensors; `start` is "wanda" or "magnitude", both with
    the same share of each row;
    `epochs` x `steps` blocks of `block` weights are decided, on `batch` examples each; `gradient` multiplies the
    gradient's part, `ridge` holds weights where they are, `tabu` is the share of free weights that rest after their
    turn, `fix_pruned` and `fix_kept` the shares never asked about again, `restarts` runs of annealing, `seed` starts
    every draw.
    """

    tensors: str = "*"
    protect: tuple[str, ...] = ()
    start: str = "wanda"
    epochs: int = 1
    steps: int = 30
    block: int = 128
    batch: int = 32
    gradient: float = 0.75
    ridge: float = 0.001
    tabu: float = 0.4
    fix_pruned: float = 0.42
    fix_kept: float = 0.35
    restarts: int = 1
    seed: int = 0

    def wants(self, layout: Layout) -> Wants:
        """Tensor -> the statistics needed of it: those of the start."""
        if self.start != "wanda":
            return Wants(live=True)
        chosen = matrices(layout, self.tensors, protect=self.protect)
        return Wants({m.tensor: frozenset({ENERGY}) for m in chosen}, live=True)

    def plan(self, view: View) -> Plan:
        """Which weights stay in each tensor, after the last step.

        Raises:
            PlanError: there is no such start.
        """
        if self.start not in STARTS:
            raise PlanError(f"no start is named '{self.start}'{nearest(self.start, STARTS)}; there are {STARTS}")
        chosen, keep = matrices(view.layout, self.tensors, protect=self.protect), density(view.budget)
        states = [self._begin(m, view.model[m.tensor], view.stats, keep) for m in chosen]
        curve = self._improve(states, view.running()) if any(not s.kept.all() for s in states) else []
        edits = tuple(s.mask() for s in states)
        made = {"method": "icbs", "settings": asdict(self), "budget": str(view.budget), "samples": view.stats.samples}
        return Plan(edits, made={**made, **zero_counts([e.kept for e in edits]), "curve": curve})

    def _begin(self, matrix: Matrix, weight: Tensor, stats: Stats, keep: float) -> _State:
        rows = matrix.rows(weight).float()
        scores = rows.abs()
        if self.start == "wanda":
            scores = scores * matrix.spread(stats[matrix.tensor, ENERGY]).sqrt()
        kept = matrix.back(by_rows(scores, keep, group_of("", keep, [matrix]))).flatten()
        ranks = matrix.back(scores).flatten()
        order = torch.sort(ranks, stable=True).indices
        pruned, staying = order[~kept[order]], order[kept[order]]
        free = torch.ones_like(kept)
        free[pruned[: int(self.fix_pruned * len(pruned))]] = False
        free[staying[len(staying) - int(self.fix_kept * len(staying)) :]] = False
        return _State(matrix, weight.float().flatten(), kept, free)

    def _improve(self, states: list[_State], live: Live) -> list[dict[str, Any]]:
        generator, began = Generator().manual_seed(self.seed), perf_counter()
        curve: list[dict[str, Any]] = []
        for _ in range(self.epochs):
            for which in steps_for([len(s.weights) for s in states], self.steps, generator):
                examples = torch.randperm(live.examples, generator=generator)[: self.batch].tolist()
                plan = Plan(tuple(s.mask() for s in states))
                done = self._step(states[which], live, plan, examples)
                if done is None:
                    continue
                after = live.value(Plan(tuple(s.mask() for s in states)), examples=examples)
                curve.append({"step": len(curve) + 1, **done, "loss_after": after, "seconds": perf_counter() - began})
        return curve

    def _step(self, state: _State, live: Live, plan: Plan, examples: list[int]) -> dict[str, Any] | None:
        """Decide one block again; None when nothing in the tensor may change."""
        tensor = state.matrix.tensor
        mean, held = _gradients(live, tensor, plan, examples)
        candidates = state.candidates(self.tabu, self.block)
        back, out = block_of((state.weights * mean).abs(), state.kept, candidates, self.block)
        if not len(back) or not len(out):
            return None
        before = live.value(plan, examples=examples)
        places = torch.cat([back, out])
        if held is None:
            each = torch.stack([_flat(g, tensor)[places] for g in live.gradients([tensor], plan, examples=examples)])
        else:
            each = held[:, places]
        predicted, ones = self._decide(state.weights[places], ~state.kept[places], each)
        swapped = int((ones & state.kept[places]).sum())
        state.kept[places] = ~ones
        state.tabu.append(places)
        return {"tensor": tensor, "predicted": predicted, "swapped": swapped, "loss_before": before}

    def _decide(self, original: Tensor, pruned: Tensor, each: Tensor) -> tuple[float, Tensor]:
        """(the change of the loss that the model predicts, ridge apart; [n] bool: which weights go)."""
        original, each = original.double(), each.double()
        current = original.masked_fill(pruned, 0.0)
        gradient, hessian = each.mean(0), each.T @ each / len(each)
        q, _ = binary_problem(original, current, gradient, hessian, multiplier=self.gradient, ridge=self.ridge)
        seeds = range(self.seed, self.seed + self.restarts)
        ones = anneal(clipped(q, SMALLEST_ENTRY), pruned, seeds=seeds)
        change = original.masked_fill(ones, 0.0) - current
        return float(0.5 * change @ hessian @ change + self.gradient * gradient @ change), ones


def _gradients(live: Live, tensor: str, plan: Plan, examples: list[int]) -> tuple[Tensor, Tensor | None]:
    """(the mean gradient [n], each example's [examples n], or None where that would be too much to hold)."""
    found: list[Tensor] = []
    total, count = torch.zeros(()), 0
    for given in live.gradients([tensor], plan, examples=examples):
        gradient = _flat(given, tensor)
        total, count = total + gradient, count + 1
        if 4 * gradient.numel() * len(examples) <= HELD_BYTES:
            found.append(gradient.clone())
    if not count:
        raise PlanError(f"no example gave a gradient of {tensor}; give the running model at least one example")
    return total / count, torch.stack(found) if found else None


def _flat(given: Mapping[str, Tensor], tensor: str) -> Tensor:
    return given[tensor].detach().float().flatten()
