"""Hooks that read what goes into and comes out of layers and blocks during a forward."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from penjing.calibrate import layers
from penjing.calibrate.finite import require_finite
from penjing.calibrate.layers import Place
from penjing.calibrate.means import Means
from penjing.calibrate.naming import own_names
from penjing.calibrate.statistic import INPUTS
from penjing.calibrate.statistics import find
from penjing.calibrate.streams import spans, sublayers, through
from penjing.errors import DataError, nearest

Side = Literal["input", "state", "output", "block", "span", "sublayer"]


@dataclass(frozen=True, eq=False)
class Job:
    """One layer to look at, under the names by which it was asked for; `side` says what of it."""

    place: Place
    side: Side
    statistics: Mapping[str, frozenset[str]]

    @property
    def union(self) -> frozenset[str]:
        """All statistics asked for, under any name."""
        return frozenset().union(*self.statistics.values())


def jobs(module: nn.Module, wanted: Mapping[str, frozenset[str]], names: Mapping[str, str]) -> tuple[Job, ...]:
    """What has to be looked at for the statistics that a forward gives.

    Raises:
        DataError: a parameter or block is unknown, or its layer cannot be measured.
        UnsupportedError: the module computes with a tensor of the files as a part of a larger one.
    """
    names = own_names(module, wanted, names)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    holding = layers.places(module)
    blocks = dict(module.named_modules())
    found: dict[tuple[int, str, Side], tuple[Place, dict[str, frozenset[str]]]] = {}
    for tensor, statistics in wanted.items():
        forward = frozenset(s for s in statistics if find(s).cost == "forward")
        for side, place, part in _sides(module, tensor, names, forward, parameters, holding, blocks):
            held = found.setdefault((id(place.layer), place.local, side), (place, {}))[1]
            held[tensor] = held.get(tensor, frozenset()) | part
    return tuple(Job(place, key[2], asked) for key, (place, asked) in found.items())


def _sides(
    module: nn.Module,
    tensor: str,
    names: Mapping[str, str],
    statistics: frozenset[str],
    parameters: Mapping[str, nn.Parameter],
    holding: Mapping[int, Sequence[Place]],
    blocks: Mapping[str, nn.Module],
) -> Iterator[tuple[Side, Place, frozenset[str]]]:
    name = names.get(tensor, tensor)
    if part := _of(statistics, "block"):
        if name not in blocks:
            raise DataError(f"the module has no block '{name}'{nearest(name, blocks)}; it cannot be measured")
        yield "block", Place(name, blocks[name], ""), part
    if more := _of(statistics, "span", "sublayer"):
        yield from _along(name, more, blocks)
    if not statistics - part - more:
        return
    own = holding.get(id(layers.parameter(module, name, parameters)), [])
    for statistic in sorted(_of(statistics, *INPUTS)):
        kind = find(statistic)
        if kind.reads == "windows" and not layers.has_windows(own):
            continue
        place = layers.reader(tensor, own, what=statistic, reads=kind.reads, grouped=kind.grouped)
        side: Side = "state" if layers.inside(place) else "input"
        yield side, place, frozenset({statistic})
    if part := _of(statistics, "outputs of examples"):
        yield "output", layers.writer(tensor, own), part


def _along(
    name: str, statistics: frozenset[str], blocks: Mapping[str, nn.Module]
) -> Iterator[tuple[Side, Place, frozenset[str]]]:
    """What is read of the stream along several blocks, or inside one; a part of a block has its place there."""
    if name not in blocks:
        raise DataError(f"the module has no block '{name}'{nearest(name, blocks)}; it cannot be measured")
    if part := _of(statistics, "span"):
        yield "span", Place(name, blocks[name], ""), part
    if part := _of(statistics, "sublayer"):
        block, _, local = name.rpartition(".")
        yield "sublayer", Place(block, blocks[block], local), part


def _of(statistics: Iterable[str], *reads: str) -> frozenset[str]:
    return frozenset(s for s in statistics if find(s).reads in reads)


def unknown_windows(wanted: Mapping[str, frozenset[str]], looked_at: Iterable[Job]) -> list[tuple[str, str]]:
    """The statistics of windows that nothing gives: of convolutions in groups, and of other classes than torch's."""
    given = {(t, s) for job in looked_at for t, statistics in job.statistics.items() for s in statistics}
    return [(t, s) for t, asked in wanted.items() for s in sorted(_of(asked, "windows")) if (t, s) not in given]


class Watch:
    """What is looked at, and one batch's way through it."""

    def __init__(self, looked_at: Sequence[Job]) -> None:
        self._jobs = tuple(looked_at)
        self._last: tuple[Tensor, int, dict[str, Tensor]] | None = None

    @contextmanager
    def hooks(self, means: Means, count: int) -> Iterator[None]:
        """While the block runs, forwards of `count` examples move the means."""
        with ExitStack() as stack:
            stack.enter_context(spans(self._jobs, means))
            stack.enter_context(sublayers(self._jobs, means))
            for job in self._jobs:
                layer = job.place.layer
                if job.side in ("span", "sublayer"):
                    continue
                if job.side == "input":
                    hook = layer.register_forward_pre_hook(self._before(job, means, count), with_kwargs=True)
                else:
                    hook = layer.register_forward_hook(self._after(job, means, count), with_kwargs=True)
                stack.callback(hook.remove)
            stack.callback(self._forget)
            yield

    def _forget(self) -> None:
        self._last = None

    def _before(self, job: Job, means: Means, count: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, args: Any, kwargs: Any) -> None:
            given = layers.first_of(args, kwargs)
            self._inputs(job, given, layers.inputs_last(job.place, given), means, count)

        return hook

    def _after(self, job: Job, means: Means, count: int) -> Callable[[nn.Module, Any, Any, Any], None]:
        def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if job.side == "state":
                given = [*args, *kwargs.values()]
                self._inputs(job, None, layers.states_before(job.place, given, output), means, count)
                return
            name = next(iter(job.statistics))
            if job.side == "block":
                seen, samples = through(name, layer, layers.first_of(args, kwargs), output)
            else:
                y = layers.outputs_last(job.place, output).detach()
                require_finite(y, f"the outputs of {name}")
                seen, samples = (layers.by_example(y.float(), count, name),), count
            values = {s: find(s).measure(*seen) for s in job.union}
            for tensor, asked in job.statistics.items():
                for statistic in asked:
                    means.move((tensor, statistic), values[statistic], samples, find(statistic).merge)

        return hook

    def _inputs(self, job: Job, given: Tensor | None, x: Tensor, means: Means, count: int) -> None:
        name = next(iter(job.statistics))
        x = x.detach()
        flat = x.reshape(-1, x.shape[-1])
        if not flat.shape[0]:
            return
        known = self._known(given)
        if not known:
            require_finite(flat, f"the inputs of {name}")
        sampled = _of(job.union, "inputs")
        for statistic in _of(job.union, "inputs", "inputs of examples").difference(known):
            single = flat.float() if statistic in sampled else layers.by_example(x.float(), count, name)
            known[statistic] = find(statistic).measure(single)
        for tensor, asked in job.statistics.items():
            for statistic in asked & known.keys():
                samples = flat.shape[0] if statistic in sampled else count
                means.move((tensor, statistic), known[statistic], samples, find(statistic).merge)
        self._windows(job, given, means)

    def _windows(self, job: Job, given: Tensor | None, means: Means) -> None:
        """Windows are a layer's own: another layer's that reads the same tensor may be of another size."""
        names = _of(job.union, "windows")
        if not names or given is None:
            return
        for rows in layers.windows(job.place, given.detach().float()):
            values = {s: find(s).measure(rows) for s in names}
            for tensor, asked in job.statistics.items():
                for statistic in asked & names:
                    means.move((tensor, statistic), values[statistic], len(rows), find(statistic).merge)

    def _known(self, given: Tensor | None) -> dict[str, Tensor]:
        """What has been found of this very tensor already: queries, keys and values read the same one."""
        if given is None:
            return {}
        if self._last is None or self._last[0] is not given or self._last[1] != given._version:
            self._last = (given, given._version, {})
        return self._last[2]
