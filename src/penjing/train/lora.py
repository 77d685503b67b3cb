"""Low-rank additions to the linear layers of a model, which alone are trained, and are added to the weights at the end.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685; by the package peft.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import MissingExtraError, UnsupportedError

NAME = "penjing"
MaskOf = Callable[[str], Tensor | None]
"""From the path of a parameter to its mask, [same shape], False for what is to stay zero; None where there is none."""


def insert(module: nn.Module, rank: int, *, scale: int = 2) -> list[str]:
    """Put additions of this rank beside every linear layer but the head; the layers that got one, by their paths.

    `scale` is what the addition is multiplied by. All other weights stop wanting gradients. The module's own names
    change until `merge`.

    Raises:
        MissingExtraError: peft is not installed.
        UnsupportedError: there is no linear layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("peft", "lora", "training low-rank additions") from error
    found = getattr(module, "get_output_embeddings", lambda: None)()
    layers = [n for n, part in module.named_modules() if type(part) is nn.Linear and part is not found]
    if not layers:
        raise UnsupportedError(f"{type(module).__name__} has no linear layer to add to; heal it without lora")
    module.requires_grad_(requires_grad=False)
    config = LoraConfig(r=rank, lora_alpha=rank * scale, lora_dropout=0.0, target_modules=layers, bias="none")
    inject_adapter_in_model(config, module, adapter_name=NAME)
    return layers


def hold(module: nn.Module, mask_of: MaskOf) -> None:
    """Let no addition count where the mask of its weight is False, so that training sees what `merge` will make.

    The masks are asked for at each pass: those that are put in force later count too.
    """
    for name, layer in _layers(module):
        layer.forward = partial(_held, layer, f"{name}.weight", mask_of)


def merge(module: nn.Module, mask_of: MaskOf = lambda _: None) -> None:
    """Add to each weight what was learned beside it, where its mask lets it, and leave the rest as before `insert`."""
    for name, layer in list(_layers(module)):
        layer.merge()
        base = layer.get_base_layer()
        kept = mask_of(f"{name}.weight")
        if kept is not None:
            with torch.no_grad():
                base.weight.mul_(kept)
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, base)
    vars(module).pop("peft_config", None)


def _layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return ((name, part) for name, part in module.named_modules() if isinstance(part, BaseTunerLayer))


def _held(layer: Any, name: str, mask_of: MaskOf, x: Tensor) -> Tensor:
    kept = mask_of(name)
    if kept is None:
        return type(layer).forward(layer, x)
    base = layer.get_base_layer()
    return nn.functional.linear(x, base.weight + layer.get_delta_weight(NAME) * kept, base.bias)
