"""Which weights of a model are packed: those of its linear layers but the head, as the code of its class has them.

Embeddings, norms and biases are no linear layers, and stay as they are. The head is the layer that the class gives as
its output embedding, tied or not: it bears few bits worst, and loaders expect it whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from penjing.core.spec import layers_of, specs_of, with_specs
from penjing.errors import CheckpointError, ExportError
from penjing.io.quantised import ENTRIES
from penjing.layouts.config.stock import build
from penjing.nn import kind_of

STACKED = 3
"""Dimensions of a parameter that holds the matrices of several experts."""


@dataclass(frozen=True, kw_only=True)
class Matrices:
    """Names of the weights that are packed, and of the linear layers that are not."""

    packed: tuple[str, ...]
    kept: tuple[str, ...]


def matrices(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Matrices:
    """What is packed of a model.

    Raises:
        ExportError: loaders of such folders could not open it, and why.
    """
    _refuse_others(config, shapes)
    try:
        module = build(config)
    except CheckpointError as error:
        raise ExportError(str(error)) from error
    _refuse_module(module)
    head = module.get_output_embeddings()  # type: ignore[operator]
    linear = {name: part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    names = tuple(f"{name}.weight" for name, part in linear.items() if part is not head)
    if lost := [n for n in names if n not in shapes]:
        raise ExportError(
            f"{lost[0]} is in no file under this name, which loaders of packed folders need; open the model with "
            f"transformers, save it again, and export that"
        )
    return Matrices(packed=names, kept=tuple(name for name, part in linear.items() if part is head))


def _refuse_others(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse what no stock class opens, or is packed already."""
    if any(config.get(entry) for entry in ENTRIES):
        raise ExportError("it is quantised already; export the checkpoint that it was made of")
    if inserted := specs_of(config):
        path, spec = next(iter(inserted.items()))
        raise ExportError(
            f"{path} is a module of kind '{spec.kind}', and packed folders are opened by stock classes; "
            f"{_instead(config, shapes)}"
        )
    if layers := layers_of(config):
        raise ExportError(
            f"layer {next(iter(layers))} has sizes of its own, and transformers builds layers alike; cut with select "
            f"'per_axis', or export as gguf"
        )


def _instead(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What to do with inserted modules, and what that costs."""
    if not all(hasattr(kind_of(spec), "dense") for spec in specs_of(config).values()):
        return "export as pt2"
    plain = sum(p.numel() for p in build(with_specs(config, {})).parameters())
    now = sum(map(prod, shapes.values()))
    return (
        f"'penjing dense' first makes stock layers of products and chains: {plain:,} numbers of {now:,}, so that "
        "nothing of what factors save is left (packing the model before it was factored is as small, and loses "
        "less); or export as pt2"
    )


def _refuse_module(module: nn.Module) -> None:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING
    from transformers.pytorch_utils import Conv1D

    name = type(module).__name__
    found = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(module.config), None)  # type: ignore[arg-type]
    if type(module) not in (found if isinstance(found, tuple) else (found,)):
        raise ExportError(f"it is a {name}, and packed folders are for what AutoModelForCausalLM opens; export as onnx")
    if turned := next((n for n, part in module.named_modules() if isinstance(part, Conv1D)), ""):
        raise ExportError(
            f"{turned} of {name} is a Conv1D, with its matrix turned, and compressed-tensors opens linear layers "
            f"only; export as gguf:q8_0 or gguf:q4_0"
        )
    if stacked := next((n for n, p in module.named_parameters() if p.dim() >= STACKED), ""):
        raise ExportError(
            f"{stacked} of {name} holds several experts in one tensor, and compressed-tensors opens linear layers "
            f"only; most of the weights would stay as they are"
        )
