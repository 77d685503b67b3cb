"""Small models, plans for their first, middle and last block, and the values of a run that keeps nothing."""

from functools import cache
from typing import Any

import torch
from tests.world import STOCK, subject
from torch import Tensor, nn

from penjing.core import Mask, Plan
from penjing.layouts import from_config
from penjing.layouts.config.stock import build
from penjing.running.live import Running

DEEP = ("llama", "qwen2", "bert", "vit", "dinov2")
"""Those whose layout has one list of blocks; they are made three blocks deep."""


@cache
def model(name: str) -> tuple[nn.Module, Any, list[Any]]:
    """(module, layout, two batches)."""
    given = subject(name)
    if name not in DEEP:
        return given.module, given.layout, given.data
    config = {**STOCK[name], "num_hidden_layers": 3}
    torch.manual_seed(0)
    module = build(config, device="cpu").eval()
    return module, from_config(config), given.data


def masks(name: str) -> list[Plan]:
    """A plan for the first, the middle and the last block, or where there are none for such tensors."""
    module, layout, _ = model(name)
    weights = {n: t for n, t in module.state_dict().items() if t.ndim > 1 and n in layout.patterns}
    if name in DEEP:
        path = layout.blocks[0].path
        chosen = [[n for n in weights if n.startswith(f"{path}.{k}.")][-1] for k in range(3)]
    else:
        names = list(weights)
        chosen = [names[0], names[len(names) // 2], names[-1]]
    g = torch.Generator().manual_seed(3)
    return [Plan((Mask(n, torch.rand(weights[n].shape, generator=g) > 0.5),)) for n in chosen]


def blocks(name: str) -> list[nn.Module]:
    module, layout, _ = model(name)
    return list(module.get_submodule(layout.blocks[0].path).children())


def fresh(name: str, plan: Plan, objective: str = "loss", **more: Any) -> Tensor:
    module, layout, data = model(name)
    return Running(module, data, layout).values(plan, objective=objective, **more)
