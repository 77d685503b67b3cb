"""A Llama of five blocks in a folder, data for it, and the stream of its blocks as a loop reads it."""

from pathlib import Path
from typing import Any

import torch
from tests.surgery import tables
from torch import Tensor, nn

import penjing
from penjing.core import Plan
from penjing.pipeline.request import Data

BLOCKS = 5
IDS = torch.randint(61, (3, 2, 9), generator=torch.Generator().manual_seed(3))
ROWS = [{"input_ids": ids, "labels": ids} for ids in IDS]


def make(folder: Path) -> nn.Module:
    return tables.llama(folder, num_hidden_layers=BLOCKS)


def plan(folder: Path, method: str, keep: float, **settings: Any) -> Plan:
    return penjing.plan(folder, method=method, settings=settings, keep=keep, data=Data(batches=ROWS))


@torch.no_grad()
def streams(module: nn.Module, ids: Tensor) -> list[Tensor]:
    """[examples positions channels] before each block, and after the last: as the blocks are called, one by one."""
    seen: list[Tensor] = []
    hooks = [b.register_forward_pre_hook(lambda m, args: seen.append(args[0])) for b in module.model.layers]
    hooks.append(module.model.layers[-1].register_forward_hook(lambda m, args, out: seen.append(out)))
    module(ids)
    for hook in hooks:
        hook.remove()
    return seen
