"""What both sides of the contest on CNNs use: the networks, the count of multiply-adds, and a cut network's shapes."""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[3]


def network(name: str) -> nn.Module:
    """EfficientNet-lite0 ("lite0") or the small network for digits ("digits"), as the fetchers give them."""
    # a rival's environment has neither the fetchers nor penjing, which keeps what they fetch
    sys.path += [p for p in (str(ROOT), str(ROOT / "src")) if p not in sys.path]
    if name == "lite0":
        from papers.assets.vision import efficientnet_lite0

        return efficientnet_lite0()
    from papers.assets.digits_cnn import digits_cnn

    return digits_cnn()


def last(module: nn.Module) -> nn.Linear:
    """The layer that gives the classes."""
    return [m for m in module.modules() if isinstance(m, nn.Linear)][-1]


def inner(name: str) -> bool:
    """Whether a convolution of this name widens a block of EfficientNet-lite0: its outputs are the block's own."""
    return name.endswith("_expand_conv") or name.endswith("_depthwise_conv")


def macs(module: nn.Module, example: Tensor) -> float:
    """Multiply-adds of one forward pass, as torch counts them: convolutions and matrix products."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        module(example)
    return counted.get_total_flops() / 2


def resized(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The module with weights of other sizes than it was made for; layers are told their new widths."""
    for name, layer in module.named_modules():
        own = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.rpartition(".")[0] == name}
        for key, value in own.items():
            if key in layer._parameters:
                layer._parameters[key] = nn.Parameter(value.clone(), requires_grad=False)
            else:
                layer._buffers[key] = value.clone()
        if isinstance(layer, nn.Conv2d):
            depthwise = layer.groups > 1
            layer.out_channels = len(layer.weight)
            layer.groups = len(layer.weight) if depthwise else 1
            layer.in_channels = layer.weight.shape[1] * layer.groups
        elif isinstance(layer, nn.BatchNorm2d):
            layer.num_features = len(layer.weight)
        elif isinstance(layer, nn.Linear):
            layer.out_features, layer.in_features = layer.weight.shape
    return module.eval()
