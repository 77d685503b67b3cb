"""A model in memory that plans are tried on: edited in place as their masks, run, and put back bit for bit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.calibrate.batches import Batch, examples, one, run, some
from penjing.calibrate.objectives import per_example
from penjing.calibrate.outputs import scores
from penjing.core import Layout, Plan
from penjing.errors import DataError
from penjing.running.acting import acting
from penjing.running.cached_prefix import Prefix
from penjing.surgery import work_out

KEPT = 1 << 30
"""Bytes that are kept: the original's predictions, so that a divergence costs one forward and not two, and what its
first blocks give, so that a plan for later blocks does not run them again."""

_Key = tuple[int, tuple[int, ...] | None]
"""A batch by its number, and the places in it of the examples that were asked for, None for all."""


@dataclass(eq=False)
class Running:
    """`core.Live` of a module and batches that lie in memory.

    `names` maps stored names to those of the module where they differ.
    The module is put into evaluation mode while it runs, and is afterwards as it was, weights and all. Blocks before
    the first that a plan changes do not run again where it is known what they give; the values are the same bits.
    """

    module: nn.Module
    batches: Sequence[Batch]
    layout: Layout
    names: Mapping[str, str] | None = None
    _original: dict[_Key, Tensor] = field(default_factory=dict, init=False, repr=False)
    _prefix: Prefix = field(init=False, repr=False)
    _open: int = field(default=0, init=False, repr=False)
    """How many edits the module is under."""

    def __post_init__(self) -> None:
        if not self.batches:
            raise DataError("found no data to run the model on, needed at least one batch; give a text or examples")
        self._prefix = Prefix(self.module, self.layout.blocks, room=self._room)

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return sum(examples(b) for b in self.batches)

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        """The mean of an objective under a plan, over all examples or those named; see `values`."""
        return float(self.values(plan, objective=objective, examples=examples).double().mean())

    def values(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> Tensor:
        """[examples] float32: an objective under a plan: loss, output, entropy or divergence (KL from the original).

        The entropy compares the examples of a batch with each other: named examples are taken by batch.

        Raises:
            PlanError: the plan does not fit.
            DataError: the data do not serve the objective, or an example is not there.
        """
        chosen = list(self._chosen(examples))
        if not self._open:
            self._prefix.check()
        if objective == "divergence":
            return self._divergence(plan, chosen)
        each = per_example(objective)
        with self._under(plan) as first, torch.no_grad():
            return torch.cat([each(self._prefix.run(key, b, first), b).float().cpu() for key, b in chosen])

    def gradients(
        self, tensors: Sequence[str], plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None
    ) -> Iterator[Mapping[str, Tensor]]:
        """Each example's derivatives by the named parameters, float32, as the weights are under the plan.

        The model stays edited until the last one was taken or the iteration is given up.

        Raises:
            PlanError: the plan does not fit.
            DataError: a tensor or an example is not there.
        """
        parameters = [self._tensor(t) for t in tensors]
        each = per_example(objective)
        with self.edited(plan), _requiring(self.module, parameters):
            for _, batch in self._chosen(examples):
                for place in range(_count(batch)):
                    single = one(batch, place)
                    with torch.enable_grad():
                        value = each(run(self.module, single), single).sum()
                        found = torch.autograd.grad(value, parameters, allow_unused=True)
                    yield {
                        t: (torch.zeros_like(p) if g is None else g).float()
                        for t, p, g in zip(tensors, parameters, found, strict=True)
                    }

    @contextmanager
    def edited(self, plan: Plan) -> Iterator[nn.Module]:
        """The module as the plan leaves it, in its old shapes; afterwards it is again what it was, bit for bit.

        Raises:
            PlanError: the plan does not fit.
        """
        with self._under(plan):
            yield self.module

    @contextmanager
    def _under(self, plan: Plan) -> Iterator[int]:
        """`edited`; gives the first block that may give something else than before, 0 if nobody knows."""
        outcome = work_out(self.layout, self._shapes(), plan)
        training = self.module.training
        self.module.eval()
        self._open += 1
        try:
            with acting(self.module, self.layout, outcome, self.names or {}) as changed:
                known = self._open == 1 and not outcome.blocks and not outcome.modules
                yield self._prefix.first(changed) if known else 0
        finally:
            self._open -= 1
            self.module.train(training)

    def _divergence(self, plan: Plan, chosen: list[tuple[_Key, Batch]]) -> Tensor:
        out = []
        for key, batch in chosen:
            first = self._predictions(key, batch)
            with self._under(plan) as block, torch.no_grad():
                second = F.log_softmax(scores(self._prefix.run(key, batch, block)).float(), dim=-1)
            each = (first.exp() * (first - second)).sum(-1)
            out.append(each.flatten(1).mean(1).cpu() if each.ndim > 1 else each.cpu())
        return torch.cat(out)

    def _predictions(self, key: _Key, batch: Batch) -> Tensor:
        if key in self._original:
            return self._original[key]
        with self._under(Plan()) as block, torch.no_grad():
            found = F.log_softmax(scores(self._prefix.run(key, batch, block)).float(), dim=-1)
        if key[1] is None and found.nbytes <= self._room():
            self._original[key] = found
        return found

    def _room(self) -> int:
        """How many bytes more may be kept."""
        return KEPT - sum(t.nbytes for t in self._original.values()) - self._prefix.nbytes

    def _chosen(self, wanted: Sequence[int] | None) -> Iterator[tuple[_Key, Batch]]:
        if wanted is None:
            yield from (((number, None), batch) for number, batch in enumerate(self.batches))
            return
        last = self.examples
        if not wanted or not all(0 <= i < last for i in wanted):
            raise DataError(f"examples {list(wanted)[:5]} were asked for, and they go from 0 to {last - 1}")
        start = 0
        for number, batch in enumerate(self.batches):
            count = _count(batch)
            inside = [i - start for i in wanted if start <= i < start + count]
            if inside:
                yield (number, tuple(inside)), some(batch, inside)
            start += count

    def _tensor(self, name: str) -> Tensor:
        own = (self.names or {}).get(name, name)
        found = self.module.state_dict(keep_vars=True).get(own)
        if found is None:
            raise DataError(f"the running model has no tensor '{own}'; make the layout from this model")
        return found

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        state = self.module.state_dict()
        back = {own: stored for stored, own in (self.names or {}).items()}
        return {back.get(n, n): tuple(t.shape) for n, t in state.items()}


def _count(batch: Batch) -> int:
    return examples(batch)


@contextmanager
def _requiring(module: nn.Module, parameters: Sequence[Tensor]) -> Iterator[None]:
    before = [(p, p.requires_grad) for p in module.parameters()]
    try:
        for p, _ in before:
            p.requires_grad_(any(p is own for own in parameters))
        yield
    finally:
        for p, needed in before:
            p.requires_grad_(needed)

