"""Weights and their derivatives, and what layers take in, gathered by the units of an axis."""

from collections.abc import Iterator, Sequence
from math import prod

from torch import Tensor

from penjing.core import Checkpoint, Layout, Stats
from penjing.core.pattern import shape, size
from penjing.errors import DataError, UnsupportedError
from penjing.layouts.costs import is_buffer
from penjing.select.units import places, rows


def sources(layout: Layout, axis: str) -> list[str]:
    """The parameters in which an axis occurs and which have a derivative; of tied ones, the one that is kept.

    Buffers (such as the running means of a batch norm) and tensors that the forward pass never uses have none.
    """
    tied = {t for t, kept in layout.aliases.items() if kept != t and kept in layout.patterns}
    left_out = tied | set(layout.unreached)
    return [t for t in layout.tensors(axis) if t not in left_out and not is_buffer(t)]


def pairs(
    model: Checkpoint, layout: Layout, stats: Stats, axis: str, statistic: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """(weights, statistic), each [units fan], for every occurrence of an axis in a parameter; float32.

    The statistic has the shape of the parameter. One parameter is in memory at a time. A parameter that holds the
    axis in two dimensions gives two pairs.

    Raises:
        DataError: the statistic of a parameter was not collected.
        UnsupportedError: the axis occurs in no parameter.
    """
    names = sources(layout, axis)
    if not names:
        raise UnsupportedError(f"axis '{axis}' occurs in no parameter, so its units have no derivatives; protect it")
    for name in names:
        weight, values = _stored(model, layout, name).float(), stats[name, statistic]
        for dim, part in enumerate(layout.patterns[name]):
            for spots in places(part, axis):
                yield rows(weight, dim, spots), rows(values, dim, spots)


def taken_in(layout: Layout, stats: Stats, axis: str, statistic: str) -> Iterator[Tensor]:
    """[units channels] for each parameter that reads an axis: a statistic of its inputs, [in], by unit.

    Raises:
        DataError: the statistic of a reader was not collected, or is of another number of inputs.
        UnsupportedError: nothing reads the axis.
    """
    readers = layout.readers(axis)
    if not readers:
        raise UnsupportedError(f"no weight reads axis '{axis}', so its inputs are unknown; protect it or use magnitude")
    for name, dim in readers:
        width = size(layout.patterns[name][dim], {})
        values = by_group(stats[name, statistic], width, name)
        for spots in places(layout.patterns[name][dim], axis):
            yield values[spots].flatten(1)


def by_group(values: Tensor, width: int, name: str) -> Tensor:
    """[width groups]: a statistic of a layer's inputs, [in]; a convolution with groups takes `width` inputs in each.

    Raises:
        DataError: the inputs are no multiple of the width.
    """
    if len(values) % width:
        raise DataError(f"{name} reads {width} inputs and its statistic has {len(values)}; collect it again")
    return values.view(-1, width).T


def weights_of(layout: Layout, axes: Sequence[str]) -> int:
    """How many parameters belong to the units of these axes, each counted once."""
    names = dict.fromkeys(t for a in axes for t in sources(layout, a))
    return sum(prod(shape(layout.patterns[name], {})) for name in names)


def _stored(model: Checkpoint, layout: Layout, name: str) -> Tensor:
    """A parameter under whichever of its tied names the checkpoint holds."""
    tied = [layout.aliases.get(name, name), *(t for t, kept in layout.aliases.items() if kept == name)]
    return model[next((n for n in (name, *tied) if n in model.shapes), name)]
