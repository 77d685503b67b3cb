"""A CNN cut to a share of its multiply-adds with Torch-Pruning, by magnitude or Taylor, one state dict a case."""

import copy
from typing import Any

import torch
import torch_pruning as tp
from cnns import inner, last, macs, network
from figures import main, measured
from torch import Tensor, nn
from torch.nn import functional as F

STEPS, MOST = 12, 0.95
IMPORTANCE = {"magnitude": tp.importance.GroupMagnitudeImportance, "taylor": tp.importance.GroupTaylorImportance}


def derivatives(module: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Parameter -> the derivative of the mean cross-entropy over all pictures."""
    count = sum(len(labels) for _, labels in batches)
    for pictures, labels in batches:
        (F.cross_entropy(module(pictures), labels, reduction="sum") / count).backward()
    return {n: p.grad for n, p in module.named_parameters()}


def cut(
    module: nn.Module, example: Tensor, gradients: dict[str, Tensor], case: dict[str, Any], ratio: float
) -> nn.Module:
    """A copy with this share of channels taken out, as the README shows, the classes left alone."""
    out = copy.deepcopy(module)
    for name, parameter in out.named_parameters():
        parameter.requires_grad_(True)
        parameter.grad = gradients[name].clone() if gradients else None
    kept: list[nn.Module] = [last(out)]
    if case["scope"] == "inner":
        kept += [m for n, m in out.named_modules() if isinstance(m, nn.Conv2d) and not inner(n)]
        kept += [m for n, m in out.named_modules() if n.startswith("_blocks.0.") and isinstance(m, nn.Conv2d)]
    pruner = tp.pruner.BasePruner(
        out, example, importance=IMPORTANCE[case["importance"]](), pruning_ratio=ratio, ignored_layers=kept,
        global_pruning=case["ranking"] == "global",
    )  # fmt: skip
    pruner.step()
    return out.eval()


def fitted(module: nn.Module, example: Tensor, gradients: dict[str, Tensor], told: dict[str, Any]) -> nn.Module:
    """The copy with the most multiply-adds that does not exceed `told["macs"]`, by bisection of the ratio."""
    low, high, best = 0.0, MOST, None
    for _ in range(STEPS):
        middle = (low + high) / 2
        tried = cut(module, example, gradients, told, middle)
        if macs(tried, example) > told["macs"]:
            low = middle
        else:
            high, best = middle, tried
    if best is None:
        raise ValueError(f"no ratio up to {MOST} reaches {told['macs']:,.0f} multiply-adds")
    return best


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`net`, `data` (pictures with labels), `macs`, `cases` -> each case's multiply-adds; states go to `out`."""
    with measured() as out:
        module = network(told["net"])
        held = torch.load(told["data"], weights_only=True)
        example, states, found = held["example"], {}, {}
        for name, case in told["cases"].items():
            gradients = {}
            if case["importance"] == "taylor":
                gradients = derivatives(copy.deepcopy(module), held["seeds"][case["seed"]])
            made = fitted(module, example, gradients, {**case, "macs": told["macs"]})
            states[name] = made.state_dict()
            with torch.no_grad():
                found[name] = {"macs": macs(made, example), "check": float(made(example).double().abs().sum())}
        torch.save(states, told["out"])
    return {**out, "cases": found}


main(job, "torch-pruning")
