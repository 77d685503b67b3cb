"""Constants of the computation that a config entry changes along with the sizes."""

import re
from collections.abc import Mapping

import torch
from torch import nn
from torch.fx import Graph

_OTHER = re.compile(r"^_|(^|_)(idx|index|id|number)$")
"""Numbers that tell which module it is, not how large."""


def attributes(module: nn.Module) -> dict[str, float]:
    """The float settings and one-number buffers of every submodule: `model.layers.0.self_attn.scaling` -> 0.125."""
    out: dict[str, float] = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if (
                isinstance(value, float)
                and not name.startswith("_")
                and "drop" not in f"{type(part).__name__}{name}".lower()
            ):
                out[f"{path}.{name}".lstrip(".")] = value
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.numel() == 1 and buffer.is_floating_point() and buffer.device.type != "meta":
                out[f"{path}.{name}".lstrip(".")] = float(buffer)
    return out


def integers(module: nn.Module) -> dict[str, dict[str, int]]:
    """The whole-number settings of every submodule, by its path."""
    return {
        path: {k: v for k, v in vars(part).items() if type(v) is int and not _OTHER.search(k)}
        for path, part in module.named_modules()
    }


def arguments(graph: Graph) -> list[tuple[str, str, float]]:
    """(operator, module, value) of each float that an operator of the graph is given, in order."""
    out: list[tuple[str, str, float]] = []
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        values = [*node.args, *node.kwargs.values()]
        out += [(str(node.target), str(node.meta.get("module", "")), v) for v in values if isinstance(v, float)]
    return out


def moved(before: nn.Module, after: nn.Module, factors: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """The float settings that differ between two builds, each once with its numbers starred.

    Those in `factors`, by their starred names, are compared with that many times their old value.
    """
    one, two = attributes(before), attributes(after)
    wanted = {k: v * (factors or {}).get(_starred(k), 1.0) for k, v in one.items()}
    return tuple(dict.fromkeys(_starred(k) for k, v in wanted.items() if k in two and not _close(v, two[k])))


def moved_arguments(before: Graph, after: Graph) -> tuple[str, ...]:
    """The float arguments that differ between two graphs of the same operators; nothing when the operators differ."""
    one, two = arguments(before), arguments(after)
    if [x[0] for x in one] != [x[0] for x in two]:
        return ()
    pairs = zip(one, two, strict=True)
    return tuple(dict.fromkeys(_starred(f"{a[0].split('.')[1]} in {a[1]}") for a, b in pairs if not _close(a[2], b[2])))


def _starred(name: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _close(a: float, b: float) -> bool:
    return a == b or bool(torch.isclose(torch.tensor(a), torch.tensor(b), rtol=1e-6, atol=0.0, equal_nan=True))
