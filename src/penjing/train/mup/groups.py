"""Parameter groups of an optimiser, each with the learning rate and the weight decay that its growth asks for.

Source: as `scales`: with Adam a hidden matrix's rate falls with what goes in; with SGD that of vectors, embeddings and
readouts rises with the width, and a matrix's goes by out over in. Decay times rate is the same at all widths.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from penjing.train.mup.scales import Scale, width_of

Optimiser = Literal["adamw", "sgd"]


def groups(
    module: nn.Module, known: Mapping[str, Scale], *, learning_rate: float, optimiser: Optimiser = "adamw",
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:  # fmt: skip
    """For `torch.optim.AdamW` or `SGD`: the parameters that share a rate, from the smallest rate to the largest.

    A schedule must multiply the rates of the groups, not set them.
    """
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            found.setdefault(factor(name, known, optimiser), []).append(parameter)
    return [
        {"params": members, "lr": learning_rate * by, "weight_decay": weight_decay / by}
        for by, members in sorted(found.items())
    ]


def factor(name: str, known: Mapping[str, Scale], optimiser: Optimiser) -> float:
    """What the learning rate of a parameter is multiplied by."""
    scale = known[name]
    if scale.kind == "scalar":
        return 1.0
    if optimiser == "sgd":
        return scale.out / scale.into if scale.kind == "hidden" else width_of(known, name)
    return 1 / scale.into if scale.kind == "hidden" else 1.0
