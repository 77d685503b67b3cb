"""The layout of a module in memory: of a stock one with the config entries that hold its axes."""

from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.core.pattern import shape
from penjing.errors import CheckpointError, LayoutError
from penjing.layouts import from_config, from_module


def layout_of(module: nn.Module, example: Any, *, graph: bool = False) -> Layout:
    """The axes of a module, from an example of its inputs, or for a module of transformers from its config.

    Where the example leads to other axes than the config (it runs other parts), those of the example count, without
    entries. With `graph` the axes are those of the recorded graph, whatever the module's code holds.

    Raises:
        LayoutError: the module cannot be traced, or is not of transformers and there is no example.
    """
    if graph:
        return from_module(module, example, graph=True)
    own = _by_config(module)
    if own is None or example is None:
        return from_module(module, example) if own is None else own
    found = from_module(module, example)
    return own if found.patterns == own.patterns and found.sizes.items() <= own.sizes.items() else found


def _by_config(module: nn.Module) -> Layout | None:
    """The layout that its config gives, if the module still is what its config says."""
    from penjing.surgery.memory import stock_config

    config = stock_config(module)
    if not config:
        return None
    try:
        own = from_config(config)
    except (CheckpointError, LayoutError):
        return None
    shapes = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    same = all(shapes.get(name) == shape(pattern, {}) for name, pattern in own.patterns.items())
    return own if same and shapes.keys() <= {*own.patterns, *own.aliases} else None
