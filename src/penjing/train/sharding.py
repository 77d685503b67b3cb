"""A model whose tensors lie in parts on several processes, and a step whose rows do.

Source: the parts are those of `fully_shard` of torch (FSDP2): each tensor is cut along its first dimension, put
together before its block runs, and its gradient is the mean over the processes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import examples, some
from penjing.errors import DataError, UnsupportedError
from penjing.train.ranks import Ranks, parts_of


def cut(batches: Sequence[Any], parts: int) -> Sequence[Any]:
    """Each batch in so many parts, one behind the other; as even as its rows let it.

    Raises:
        DataError: a batch has fewer rows than parts.
    """
    if parts == 1:
        return batches
    out = []
    for batch in batches:
        rows = examples(batch)
        if rows < parts:
            raise DataError(
                f"a batch has {rows} rows, and the processes share it in {parts} parts; make batches larger, or give "
                "accumulate=N with a multiple of the processes"
            )
        out += [some(batch, places.tolist()) for places in torch.arange(rows).tensor_split(parts)]
    return out


def mine(places: Sequence[int], pieces: Sequence[Any], ranks: Ranks, accumulate: int) -> Iterator[tuple[int, float]]:
    """(place, weight) of this process's pieces in a step that takes the batches at `places`.

    `weight` is what makes the mean over all processes and their pieces that over the batches: 1 where a batch is cut
    evenly, or not at all.
    """
    parts = parts_of(ranks.count, accumulate)
    every = [place * parts + part for place in places for part in range(parts)]
    for place in every[ranks.number :: ranks.count]:
        if parts == 1:
            yield place, 1.0
            continue
        first = place - place % parts
        whole = sum(examples(pieces[first + part]) for part in range(parts))
        yield place, parts * examples(pieces[place]) / whole


def shard(module: nn.Module, blocks: Sequence[str], ranks: Ranks) -> None:
    """Part the tensors of a module among the processes, in place; each of its `blocks` is put together by itself.

    Raises:
        UnsupportedError: the module counts what it sees, which each process would count by itself.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats:
            raise UnsupportedError(
                f"{name} is a batch norm, whose means are those of one process's rows; train this model in one process"
            )
    mesh = init_device_mesh(next(module.parameters()).device.type, (ranks.count,))
    for path in blocks:
        fully_shard(module.get_submodule(path), mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=True)


def shard_beside(beside: nn.ModuleDict, ranks: Ranks) -> None:
    """Part the tensors of modules that are trained along."""
    for part in beside.values():
        if any(True for _ in part.parameters()):
            shard(part, (), ranks)


def whole(tensor: Tensor) -> Tensor:
    """The tensor, put together if it lies in parts; all processes must ask."""
    full = getattr(tensor, "full_tensor", None)
    return tensor if full is None else full()


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor on the device of another one, in parts if that one is; all processes hold all of it."""
    if not hasattr(other, "full_tensor") or hasattr(tensor, "full_tensor"):
        return tensor.to(other.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements, src_data_rank=None)  # type: ignore[attr-defined]


def put_together(module: nn.Module, *, keep: bool) -> None:
    """Give a module its whole tensors again, on the CPU, or, without `keep`, empty ones."""
    known: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if id(parameter) not in known:
                full = whole(parameter.detach()).cpu()
                held = full if keep else full.new_empty(0)
                known[id(parameter)] = nn.Parameter(held, requires_grad=parameter.requires_grad)
            part.register_parameter(name, known[id(parameter)])
    for part in module.modules():
        _plain(part)


def _plain(part: nn.Module) -> None:
    """Make a module what it was before it was parted: its own class, and no hook that waits for other processes."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(part, FSDPModule):
        part.__class__ = next(c for c in type(part).__bases__ if c is not FSDPModule)
    for hooks in (part._forward_pre_hooks, part._forward_hooks):
        for key, hook in list(hooks.items()):
            if type(getattr(hook, "__self__", None)).__module__.startswith("torch.distributed."):
                del hooks[key]
