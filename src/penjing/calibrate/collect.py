"""One pass over the data, for any number of statistics."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Self

import torch
from torch import nn

from penjing.calibrate.batches import Batch, examples, run
from penjing.calibrate.finite import NotFiniteError, refusal
from penjing.calibrate.gradients import Derivatives, ObjectiveOf
from penjing.calibrate.means import Key, Means
from penjing.calibrate.statistics import find
from penjing.calibrate.watching import Watch, jobs, unknown_windows
from penjing.core import Stats
from penjing.errors import DataError
from penjing.nn.attention import freed


def collect(
    module: nn.Module,
    batches: Iterable[Batch],
    wanted: Mapping[str, frozenset[str]],
    *,
    progress: Callable[[int], None] | None = None,
    names: Mapping[str, str] | None = None,
    objective_of: ObjectiveOf | None = None,
) -> Stats:
    """The wanted statistics of parameters (or blocks), from one pass over `batches`.

    `wanted` maps parameters to statistics (see `calibrate/statistics`). A batch is one tensor (tokens [batch length],
    images, ...), a sequence of positional arguments, a mapping of keyword arguments, or a pair of one of these and
    labels [batch]. A sample is one position of one example. `progress` is called with the number of batches done;
    `names` maps a parameter's name in `wanted` to its name in `module` where the two differ. `objective_of` replaces
    the objectives: (output, batch) -> the mean over examples [] or each example's [batch]; or a mapping by name.

    Inputs can be measured of linear layers, transformers' Conv1D, convolutions and recurrent layers; of
    convolutions with groups, a statistic has all input channels of the layer, and there is no second moment.
    Derivatives need a backward for each objective and batch, and for `fisher` one for each example. The module ends
    with the modes and gradients' flags that it had.

    Raises:
        DataError: there is no data, a layer cannot be measured, a parameter or statistic is unknown, labels are
            missing, or something is not finite.
    """
    with Pass(module, wanted, names=names, objective_of=objective_of) as one_pass:
        for done, batch in enumerate(batches, start=1):
            one_pass.take(batch)
            if progress is not None:
                progress(done)
        return as_stats(one_pass.result(), wanted)


class Pass:
    """A pass that is fed batch by batch; what it has found in `done` batches, `means`, can be put away and set again.

    Raises:
        DataError: as `collect`.
    """

    def __init__(
        self,
        module: nn.Module,
        wanted: Mapping[str, frozenset[str]],
        *,
        names: Mapping[str, str] | None = None,
        objective_of: ObjectiveOf | None = None,
    ) -> None:
        check_known(wanted)
        self.means, self.done = Means(), 0
        self._module, self._wanted = module, wanted
        with freed(module):
            looked_at = jobs(module, wanted, names or {})
        self._unknown = unknown_windows(wanted, looked_at)
        self._forward = bool(looked_at)
        self._watch = Watch(looked_at)
        self._derivatives = Derivatives(module, wanted, names or {}, objective_of)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        modes = [(m, m.training) for m in self._module.modules()]
        self._stack.callback(_restore, modes)
        self._stack.enter_context(freed(self._module))
        self._stack.enter_context(self._derivatives.requiring())
        self._module.eval()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, batch: Batch) -> None:
        """Run one batch.

        Raises:
            DataError: the module refuses it, or something is not finite.
        """
        count = examples(batch)
        try:
            if self._forward or self._derivatives.whole or not self._wanted:
                with (
                    torch.set_grad_enabled(self._derivatives.whole),
                    self._watch.hooks(self.means, count),
                    self._derivatives.taps(count),
                ):
                    output = run(self._module, batch)
                self._derivatives.backward(output, batch, self.means)
            self._derivatives.each(batch, self.means)
            self.done += 1
        except NotFiniteError as found:
            raise refusal(self._module, batch, found) from found

    def result(self) -> Means:
        """What was found, every statistic in its final form.

        Raises:
            DataError: there was no batch, or a layer was never reached.
        """
        if not self.done:
            raise DataError("found no calibration data, needed at least one batch; give a text or other examples")
        for key in self._unknown:
            self.means.values[key], self.means.counts[key] = torch.zeros(0, 0), 0
        return finished(self.means, self._wanted)


def finished(means: Means, wanted: Mapping[str, frozenset[str]]) -> Means:
    """The statistics in their final form, such as the root of a mean of squares.

    Raises:
        DataError: a layer was never reached.
    """
    keys: list[Key] = [(tensor, statistic) for tensor, statistics in wanted.items() for statistic in statistics]
    missing = next((tensor for tensor, statistic in keys if (tensor, statistic) not in means.values), None)
    if missing is not None:
        raise DataError(f"the data never reached {missing}; give data that uses this layer, or protect its axes")
    values = {k: find(k[1]).finish(means.values[k]) for k in keys}
    return Means(values, {k: means.counts[k] for k in keys})


def as_stats(found: Means, wanted: Mapping[str, frozenset[str]]) -> Stats:
    """The part of what was found that is wanted; its samples are the fewest that any input was seen in.

    Without statistics over samples, the number of examples is told.
    """
    keys = [(tensor, statistic) for tensor, statistics in wanted.items() for statistic in statistics]
    sampled = [found.counts[k] for k in keys if find(k[1]).reads == "inputs"]
    forward = [found.counts[k] for k in keys if find(k[1]).cost == "forward"]
    counts = sampled or forward or [found.counts[k] for k in keys]
    values, each = {k: found.values[k] for k in keys}, {k: found.counts[k] for k in keys}
    return Stats(values, samples=min(counts, default=0), counts=each)


def check_known(wanted: Mapping[str, frozenset[str]]) -> None:
    """Make sure that all statistics are known, and that a pass over the data gives them.

    Raises:
        DataError: one is not.
    """
    for tensor, statistics in wanted.items():
        for name in sorted(statistics):
            if find(name).reads == "targets":
                raise DataError(f"{name} of {tensor} is had block by block only; give the method block_by_block=True")


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training
