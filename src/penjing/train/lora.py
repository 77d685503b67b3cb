"""Low-rank additions to the linear layers of a model, which alone are trained, and are added to the weights at the end.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685; by the package peft.
"""

from typing import Any

from torch import nn

from penjing.errors import MissingExtraError, UnsupportedError

NAME = "penjing"


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


def merge(module: nn.Module) -> None:
    """Add to each weight what was learned beside it, and leave the module as it was before `insert`."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, part in list(module.named_modules()):
        if not isinstance(part, BaseTunerLayer):
            continue
        layer: Any = part
        layer.merge()
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, layer.get_base_layer())
    vars(module).pop("peft_config", None)
