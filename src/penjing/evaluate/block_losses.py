"""What each block of a smaller model costs alone: it stands in for the original's, all others being the original's.

Where a block of the smaller model is missing, the original runs without its own. Blocks before the one that is tried
give again what they gave in the original, if that is found to change nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.evaluate.perplexity import Protocol, Text, cut
from penjing.evaluate.scoring import Progress, batches, check_fits, evaluating, logits, nll
from penjing.evaluate.similarity import blocks
from penjing.evaluate.windows import Window
from penjing.maths.student import mean_of

VERSION = 1
BLOCK_LOSS = Measurement(
    name="block_loss", value=None, unit="nats per token", label="Largest loss that one block's cut adds",
    better="lower", group="quality",
)  # fmt: skip
"""The figure, without its value."""


def block_losses(
    original: nn.Module, smaller: nn.Module, text: Text, *, protocol: Protocol, kept: Sequence[int] | None = None,
    batch: int | None = None, progress: Progress | None = None,
) -> Measurement:  # fmt: skip
    """The largest increase of the mean loss, in nats per token, that one block of the smaller model causes alone.

    `kept` are the places in the original of the smaller one's blocks, where blocks were dropped. `progress` gets (done,
    all) blocks. `details`: "blocks" (the original's names), and for each "increase" (mean of the windows' paired
    differences), "low" and "high" (their 95 % interval by Student's t), "dropped" (whether it is gone).

    Raises:
        DataError: the text is shorter than a window, or does not fit the vocabulary.
        MeasureError: no blocks are found, or their numbers do not fit, or a block does not fit the original.
    """
    windows, label = cut(original, text, protocol)
    check_fits(original, windows)
    names, stands = _stands(original, smaller, kept)
    groups = list(batches(original, windows, batch))
    trial = _Trial(original, names, windows, groups)
    whole = trial.whole()
    found = []
    for place, stand in enumerate(stands):
        found.append(mean_of(trial.losses(place, stand) - whole))
        if progress:
            progress(place + 1, len(stands))
    worst = max(range(len(found)), key=lambda i: found[i].value)
    return replace(
        BLOCK_LOSS,
        value=found[worst].value,
        n=sum(len(w.targets) for w in windows),
        spread=found[worst].error,
        spread_kind="standard error of the paired windows",
        protocol=f"block_loss/{VERSION} over {label}",
        note=f"by {names[worst]} alone",
        details={
            "blocks": names,
            "increase": [f.value for f in found],
            "low": [f.low for f in found],
            "high": [f.high for f in found],
            "dropped": [s is None for s in stands],
        },
    )


def _stands(
    original: nn.Module, smaller: nn.Module, kept: Sequence[int] | None
) -> tuple[list[str], list[nn.Module | None]]:
    """The names of the original's blocks, and what stands in for each; None for those that are gone."""
    names, others = blocks(original), blocks(smaller)
    places = list(range(len(others))) if kept is None else list(kept)
    if len(places) != len(others) or (kept is None and len(others) != len(names)) or max(places) >= len(names):
        raise MeasureError(
            f"the original has {len(names)} blocks and the other {len(others)}; needed to know which of them are left"
        )
    stands: list[nn.Module | None] = [None] * len(names)
    for place, name in zip(places, others, strict=True):
        stands[place] = smaller.get_submodule(name)
    return names, stands


class _Trial:
    """The original with one block changed, run on the same windows again and again."""

    def __init__(
        self, module: nn.Module, names: Sequence[str], windows: Sequence[Window], groups: Sequence[Sequence[int]]
    ) -> None:
        self._module, self._windows, self._groups = module, windows, groups
        self._blocks = [module.get_submodule(n) for n in names]
        self._given: list[list[Any]] = []
        """[groups][blocks]: what the blocks gave; empty where it may not be given again."""

    def whole(self) -> Tensor:
        """[windows] float64: the mean loss of each window under the original."""
        kept: list[list[Any]] = []

        def keeping(forward: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                kept[-1].append(forward(*args, **kwargs))
                return kept[-1][-1]

            return run

        with _running(self._blocks, [keeping(b.forward) for b in self._blocks]):
            found = self._run(lambda _group: kept.append([]))
        if all(len(k) == len(self._blocks) for k in kept):
            self._given = kept
            half = len(self._blocks) // 2
            if not torch.equal(self.losses(half, self._blocks[half]), found):
                self._given = []
        return found

    def losses(self, place: int, stand: nn.Module | None) -> Tensor:
        """[windows] float64: the same with the block at a place replaced, or left out (None).

        Raises:
            MeasureError: what stands in for it gives states of another size.
        """
        group = [0]
        forwards = [b.forward for b in self._blocks]
        for at in range(place if self._given else 0):
            forwards[at] = lambda *_args, at=at, **_kwargs: _copied(self._given[group[0]][at])
        forwards[place] = _left_out(forwards[place]) if stand is None else stand.forward
        try:
            with _running(self._blocks, forwards):
                return self._run(lambda g: group.__setitem__(0, g))
        except MeasureError as error:
            why = str(error.__cause__ or error).splitlines()[0][:120]
            raise MeasureError(
                f"block {place} of the smaller model cannot stand in the original ({why}); this is measured where the "
                "blocks' inputs and outputs keep their size"
            ) from error

    def _run(self, begun: Callable[[int], None]) -> Tensor:
        out = torch.zeros(len(self._windows), dtype=torch.float64)
        with evaluating(self._module):
            for number, places in enumerate(self._groups):
                begun(number)
                found = logits(self._module, torch.stack([self._windows[i].inputs for i in places]))
                for row, i in enumerate(places):
                    out[i] = nll(found[row], self._windows[i].targets) / len(self._windows[i].targets)
        return out


def _copied(given: Any) -> Any:
    """The same in tensors of its own, for the next block may write into what it is given."""
    if isinstance(given, tuple | list):
        return type(given)(_copied(g) for g in given)
    return given.clone() if isinstance(given, Tensor) else given


def _left_out(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A block that gives what it is given, in the form in which its own forward gives."""

    def run(*args: Any, **kwargs: Any) -> Any:
        states = args[0] if args else kwargs["hidden_states"]
        given = forward(*args, **kwargs)
        return (states, *given[1:]) if isinstance(given, tuple) else states

    return run


@contextmanager
def _running(modules: Sequence[nn.Module], forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """While the block runs, modules have these forwards."""
    try:
        for module, forward in zip(modules, forwards, strict=True):
            module.forward = forward
        yield
    finally:
        for module in modules:
            vars(module).pop("forward", None)
