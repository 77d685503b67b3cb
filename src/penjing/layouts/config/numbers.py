"""Numbers that a forward pass makes of an attention's sizes, as 1/sqrt(width), which no module holds."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.fx import Graph

from penjing.core import Layout
from penjing.errors import PlanError
from penjing.layouts.config import scales
from penjing.layouts.config.stock import build
from penjing.layouts.graph.inputs import example
from penjing.layouts.graph.thin import thinned
from penjing.layouts.graph.trace import trace

ATTENTION = frozenset({"heads", "queries", "head_dims", "value_dims"})


def compare_numbers(
    layout: Layout, full: Mapping[str, Any], module: nn.Module, moved: Mapping[str, int], *, said: str
) -> None:
    """See that they stay as they were in a build of other sizes; `said` are its entries that changed.

    Raises:
        PlanError: one does not.
    """
    if not any(layout.axes[a].kind in ATTENTION for a in moved):
        return
    found = scales.moved_arguments(_recorded(build(full)), _recorded(module))
    if found:
        few = ", ".join(f"'{a}'" for a in list(moved)[:3])
        raise PlanError(
            f"with {said} the stock code computes with another number ({found[0]}), so that the weights that stay "
            f"would compute something else; keep {few} whole, and cut others, such as heads or neurons"
        )


def _recorded(module: nn.Module) -> Graph:
    """The graph of few blocks of each kind."""
    with thinned(module):
        return trace(module, (), example(module)).recording.graph
