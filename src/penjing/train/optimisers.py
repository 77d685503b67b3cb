"""The optimiser that a run's settings name, over groups of parameters that share a rate and a decay."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from penjing.train.lion import BETAS, Lion
from penjing.train.settings import Settings


def optimiser(
    named: Iterable[tuple[str, nn.Parameter]], how: Settings, learning_rate: float, factors: Mapping[str, float]
) -> Optimizer:
    """Over these parameters; `factors` is what the rate of each is multiplied by, 1 where it does not tell.

    Decay times rate is the same for all. AdamW and Lion do not decay what has fewer than two dimensions: gains and
    biases, whose size says nothing of how simple the function is. Each group has its `factor`.
    """
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named:
        bare = how.optimiser != "sgd" and parameter.ndim < 2
        found.setdefault((factors.get(name, 1.0), bare), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": members, "lr": learning_rate * factor, "factor": factor,
            "weight_decay": 0.0 if bare else how.weight_decay / factor,
        }
        for (factor, bare), members in sorted(found.items(), key=lambda item: item[0])
    ]  # fmt: skip
    if how.optimiser == "sgd":
        return SGD(groups, lr=learning_rate, momentum=how.momentum)
    if how.optimiser == "lion":
        return Lion(groups, lr=learning_rate, betas=BETAS if how.betas == Settings.betas else how.betas)
    return AdamW(groups, lr=learning_rate, betas=how.betas)
