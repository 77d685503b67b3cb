"""The graph proof: the recorded graph with cut parameters computes what the module computes with masked ones.

This tests what the inference claims, on any module and without a config. Random weights, float64 wherever the module
runs in it: float32 would hide errors in deep random networks, whose signals fade. A cut that changes nothing proves
nothing, and is reported so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.fx.node import map_arg

from penjing.core.copies import copy_of
from penjing.errors import LayoutError
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.infer import Inference, infer_traced
from penjing.layouts.graph.trace import trace
from penjing.layouts.graph.walk import is_assertion, op_name
from penjing.layouts.prove.calls import call_of
from penjing.layouts.prove.masked import Cut, Kept, mask, outputs_of, reference, stored_values

TOGETHER = "all together"
SUMS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "dot", "convolution", "sum", "mean", "_softmax", "var_mean"})
TOLERANCE = 1e-7
"""Of the largest output: float64 agrees to 1e-15, or 1e-9 where the module's own code computes in float32."""

NOISE = 1e-5
"""Where the module computes nearly all in float32, as recurrences of states do, the whole graph differs by this too."""

ROUNDING = torch.finfo(torch.float32).eps
"""What a sum of float32 differs by when a cut changes its order, though the whole graph agrees to the last bit."""

SINGLE = 1e-4
"""The most that a cut may then differ by, a hundred times what the whole graph does: a wrong one differs far more."""


@dataclass(frozen=True)
class ProofResult:
    """What was seen for one axis: the largest difference relative to the largest output, over all seeds.

    `changed` tells that masking changed the output at all; without it the proof proves nothing. `ok` is both.
    """

    axis: str
    error: float
    changed: bool
    ok: bool


def prove(
    module: nn.Module,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    axes: Iterable[str] | None = None,
    seeds: Sequence[int] = (0, 1),
) -> dict[str, ProofResult]:
    """Cut axes at random, each alone and then all together, and compare with masking.

    `module` is a small build on the CPU; it is copied, given random weights and float64, or float32 where its code
    cannot run in float64. Without `axes`, all that are free.

    Raises:
        LayoutError: it cannot be recorded, or the recorded graph does not compute what the module does.
    """
    inference, full, rounding = _recorded(module, args, dict(kwargs or {}), seeds[0])
    noise = error_of(run_cut(inference, {}), full)
    if noise > NOISE:
        raise LayoutError("the recorded graph computes something else than the module; take out what is random in it")
    noise = max(noise, rounding, ROUNDING if _in_single(inference) else 0.0)
    by_name = {name: leaf for leaf, name in inference.names.items()}
    least = {a.name: a.least for a in inference.layout().axes.values()}
    wanted = [n for n, leaf in by_name.items() if inference.state(leaf)[0] == "free"] if axes is None else list(axes)
    out: dict[str, ProofResult] = {}
    for name, group in [*((n, [n]) for n in wanted), (TOGETHER, wanted)]:
        if group:
            most = max(TOLERANCE, min(100 * noise, SINGLE))
            out[name] = _one(inference, name, {by_name[n]: least[n] for n in group}, seeds, full, most)
    return out


def _recorded(
    module: nn.Module, args: Any, kwargs: Any, seed: int
) -> tuple[Inference, tuple[Tensor, ...], float]:
    """(what was recorded, what the whole module gives, what its type rounds by), in float64 where its code can.

    Some code only runs in the type that it was written for: it multiplies a float32 by the least number of float64.
    """
    try:
        inference = _inference(module, args, kwargs, seed, torch.float64)
        full = reference(inference, {})
        if not any(bool(t.isnan().any()) for t in full):
            return inference, full, 0.0
    except LayoutError:
        pass
    inference = _inference(module, args, kwargs, seed, torch.float32)
    return inference, reference(inference, {}), 8 * ROUNDING


def _inference(module: nn.Module, args: Any, kwargs: Any, seed: int, dtype: torch.dtype) -> Inference:
    randomly = randomised(copy_of(module).eval(), seed, dtype)
    return infer_traced(trace(randomly, _as(args, dtype), _as(kwargs, dtype)))


def _in_single(inference: Inference) -> bool:
    """Whether something is summed in float32 or less that was made of float64."""
    return any(
        isinstance(value := node.meta.get("val"), Tensor)
        and value.dtype in (torch.float32, torch.bfloat16, torch.float16)
        for node in inference.nodes
        if node in inference.walk.uses and op_name(node) in SUMS
    )


def _one(
    inference: Inference, name: str, group: Mapping[Atom, int], seeds: Sequence[int], full: Sequence[Tensor],
    most: float,
) -> ProofResult:  # fmt: skip
    worst, changed = 0.0, False
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        kept = {leaf: _random_units(leaf.size, least, generator) for leaf, least in group.items()}
        masked = reference(inference, kept)
        worst = max(worst, error_of(run_cut(inference, kept), masked))
        changed = changed or error_of(masked, full) > 1e-12
    return ProofResult(name, worst, changed, changed and worst <= most)


def _random_units(size: int, least: int, generator: torch.Generator) -> Tensor:
    least = min(max(least, 1), size - 1)
    count = int(torch.randint(least, size, (1,), generator=generator))
    kept = torch.zeros(size, dtype=torch.bool)
    kept[torch.randperm(size, generator=generator)[:count]] = True
    return kept


def randomised(module: nn.Module, seed: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The module itself, in float64 (or another type), every floating parameter and stored buffer drawn anew."""
    module.to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan = parameter.shape[1:].numel() if parameter.dim() > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(noise / max(fan, 1) ** 0.5 if parameter.dim() > 1 else 0.3 * noise + 0.5)
        for name in module.state_dict():
            buffer = dict(module.named_buffers()).get(name)
            if buffer is not None and buffer.is_floating_point():
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64))
    return module


def _as(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: _as(v, dtype) for k, v in value.items()}
    return type(value)(_as(v, dtype) for v in value) if isinstance(value, list | tuple) else value


def error_of(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference, relative to the largest finite expected value; infinite if shapes differ."""
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if bool(a.isnan().any() or b.isnan().any()):
            return float("inf")
        a, b = torch.nan_to_num(a.detach().double()), torch.nan_to_num(b.detach().double())
        scale = max(float(b.abs().max()) if b.numel() else 0.0, 1e-300)
        worst = max(worst, float((a - b).abs().max()) / scale if b.numel() else 0.0)
    return worst


def run_cut(inference: Inference, kept: Kept) -> tuple[Tensor, ...]:
    """What the recorded graph computes from cut tensors, every size in it derived anew."""
    kept = Cut(kept)
    env = _start(inference, kept)
    with torch.no_grad():
        for node in inference.nodes:
            if node.op == "call_function" and not is_assertion(node):
                env[node] = _call(inference, node, env, kept)
            elif node.op == "output":
                return tuple(env[n] for n in outputs_of(node))
    return ()


def _start(inference: Inference, kept: Kept) -> dict[Node, Any]:
    env = stored_values(inference)
    for node, name in inference.placeholders.items():
        for i, dim in enumerate(inference.tensors[name]):
            env[node] = env[node].detach().index_select(i, mask(dim, kept).nonzero().flatten())
    return env


def _call(inference: Inference, node: Node, env: Mapping[Node, Any], kept: Cut) -> Any:
    walk = inference.walk
    seen = walk.uses.get(node, {})

    def value(source: Node) -> Any:
        return _narrowed(env[source], walk.dims[source], seen[source], kept) if source in seen else env[source]

    if isinstance(node.target, torch._ops.OpOverload):
        target, given = call_of(inference, node, kept)
        return target(**{k: map_arg(v, value) for k, v in given.items()})
    return node.target(*map_arg(node.args, value))  # type: ignore[operator]


def _narrowed(tensor: Any, stored: Any, used: Sequence[Dim], kept: Cut) -> Any:
    """What is the same all along a generic dimension may be shortened to what this use needs."""
    for i, (have, want) in enumerate(zip(stored, used, strict=True)):
        if not kept.touches(have) and not kept.touches(want):
            continue
        here, there = mask(have, kept), mask(want, kept)
        if not torch.equal(here, there):
            place = torch.searchsorted(here.nonzero().flatten(), there.nonzero().flatten())
            tensor = tensor.index_select(i, place)
    return tensor
