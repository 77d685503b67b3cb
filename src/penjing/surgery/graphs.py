"""A plan carried out on the recorded graph of a module: sizes that its code holds as numbers are rewritten in it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from penjing.core import Layout, Plan
from penjing.core.copies import copy_of
from penjing.errors import PlanError
from penjing.surgery.memory import cut_of, masked, own_recipes, stock_config
from penjing.surgery.outputs import agree, run
from penjing.surgery.verify import Verified


def as_graph(module: nn.Module, layout: Layout, plan: Plan, verified: Verified, *, example: Any) -> GraphModule:
    """The smaller model as a graph that computes what masking computes, whatever numbers the module's code holds.

    Its tensors have the module's names. It is made for evaluation, for inputs of the example's sizes; another number of
    examples serves where the module makes no tensor of its own for each.

    Raises:
        PlanError: the plan does more than cut and change tensors, or the graph computes something else than the mask.
        LayoutError: the module cannot be recorded, or its example is nested.
    """
    from penjing.layouts.derive import split_example
    from penjing.layouts.graph.infer import infer_traced
    from penjing.layouts.graph.trace import trace
    from penjing.layouts.prove.emitted import emitted

    if verified.blocks or verified.modules or verified.renamed or verified.untied:
        raise PlanError("a graph takes plans that cut and change tensors; drop blocks from the module itself")
    args, kwargs = split_example(example)
    whole = copy_of(module).eval()
    inference = infer_traced(trace(whole, args, kwargs))
    leaves = {name: leaf for leaf, name in inference.names.items()}
    kept = {}
    for axis, units in plan.keeps().items():
        if axis not in leaves:
            raise PlanError(f"the graph has no axis '{axis}'; derive the layout from this module and example")
        kept[leaves[axis]] = torch.zeros(leaves[axis].size, dtype=torch.bool).index_fill_(0, torch.tensor(units), True)
    state = module.state_dict()
    recipes = own_recipes(module, layout, plan, verified.recipes, stock_config(module))
    single = isinstance(_output(whole, args, kwargs), Tensor)
    graph = emitted(inference, kept, {n: cut_of(r, state) for n, r in recipes.items()}, single=single)
    strict = all(layout.axes[a].state == "free" for a in plan.keeps())
    if strict and not agree(run(graph, example), run(masked(module, layout, plan), example)):
        raise PlanError("the cut graph does not equal its mask; this is a fault in penjing: report the module")
    return graph


def _output(module: nn.Module, args: Any, kwargs: Any) -> Any:
    with torch.no_grad():
        return module(*args, **kwargs)
