"""A recorded operator with every size that it is given derived anew from what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.fx import Node

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.infer import Inference
from penjing.layouts.graph.walk import arguments, op_name
from penjing.layouts.prove.masked import Cut, Kept, mask
from penjing.layouts.rules.shape import COPIES, SPLITS

VIEWS = frozenset({"view", "reshape", "_unsafe_view", "as_strided", "_reshape_copy", "view_copy"})


def call_of(inference: Inference, node: Node, kept: Kept) -> tuple[Any, dict[str, Any]]:
    """(operator, arguments by name) that stand for a recorded operator; tensors are nodes still."""
    walk, arg, name = inference.walk, arguments(node), op_name(node)
    if name in VIEWS and not _overlaps(name, arg["self"], node):
        return torch.ops.aten.reshape.default, {"self": arg["self"], "shape": sizes_of(walk.dims[node], kept)}
    if name in SPLITS:
        place = arg["dim"] % len(walk.uses[node][arg["self"]])
        lengths = [sizes_of(part, kept)[place] for part in walk.dims[node] or ()]
        return torch.ops.aten.split_with_sizes.default, {"self": arg["self"], "split_sizes": lengths, "dim": place}
    return node.target, {**arg, **_new_sizes(inference, node, kept)}


def _overlaps(name: str, source: Any, node: Node) -> bool:
    """Whether strides make a value of overlapping windows, which is no view of other sizes; its dims are all frozen."""
    return name == "as_strided" and source.meta["val"].numel() != node.meta["val"].numel()


def sizes_of(dims: Any, kept: Kept) -> list[int]:
    """How long dimensions are once cut."""
    return [_length(d, kept) for d in dims]


def _length(dim: Sequence[Atom], kept: Kept) -> int:
    whole = isinstance(kept, Cut) and not kept.touches(dim)
    return atoms.length(dim) if whole else int(mask(dim, kept).sum())


def narrowed(inference: Inference, node: Node, source: Node, kept: Kept) -> Mapping[int, int]:
    """Dimension -> length, where what is the same all along may be shortened to what this use needs."""
    walk, out = inference.walk, {}
    seen = walk.uses.get(node, {})
    if source in seen:
        for place, (have, want) in enumerate(zip(walk.all_dims(source), seen[source], strict=True)):
            length = int(mask(want, kept).sum())
            if int(mask(have, kept).sum()) != length:
                out[place] = length
    return out


def _new_sizes(inference: Inference, node: Node, kept: Kept) -> dict[str, Any]:
    """The arguments that are sizes, derived from what is kept."""
    name, arg, walk = op_name(node), arguments(node), inference.walk
    used = walk.uses.get(node, {})
    first = used.get(node.args[0]) if node.args and isinstance(node.args[0], Node) else None
    if name == "expand":
        return {"size": sizes_of(walk.dims[node], kept)}
    if first is None or name in COPIES:
        return {}
    if name == "repeat":
        new, old = sizes_of(walk.dims[node], kept), sizes_of(first, kept)
        return {"repeats": [n // o for n, o in zip(new, [1] * (len(new) - len(old)) + old, strict=True)]}
    if name in {"slice", "slice_scatter"} and arg["step"] == 1:
        if isinstance(kept, Cut) and not kept.touches(first[arg["dim"] % len(first)]):
            return {}
        whole = mask(first[arg["dim"] % len(first)], kept)
        start, end, _ = slice(arg["start"], arg["end"], 1).indices(len(whole))
        return {"start": int(whole[:start].sum()), "end": int(whole[: max(start, end)].sum())}
    if "normalized_shape" in arg:
        return {"normalized_shape": sizes_of(first[-len(arg["normalized_shape"]) :], kept)}
    if name == "native_group_norm":
        sizes = sizes_of(first, kept)
        rest = int(torch.tensor(sizes[2:]).prod())
        return {"N": sizes[0], "C": sizes[1], "HxW": rest, "group": int(mask(walk.groups[node], kept).sum())}
    if name == "convolution" and arg["groups"] > 1:
        return {"groups": int(mask(walk.groups[node], kept).sum())}
    return {}
