"""A quarter of every channel group, by norm, with Torch-Pruning, as its README shows for transformers."""

import time
from typing import Any

import torch_pruning as tp
from figures import main, measured
from modules import case, outcome
from torch import nn


def heads(module: nn.Module) -> dict[nn.Module, int]:
    """Projections of attention -> how many heads they have; empty for a CNN."""
    found = {}
    for name, part in module.named_modules():
        place, _, leaf = name.rpartition(".")
        if leaf in {"q_proj", "k_proj", "v_proj", "query", "key", "value"}:
            parent = module.get_submodule(place)
            grouped = leaf[0] in "kv" and hasattr(module.config, "num_key_value_heads")
            own = getattr(parent, "num_attention_heads", None) or getattr(parent, "num_heads", None)
            found[part] = module.config.num_key_value_heads if grouped else own or module.config.num_attention_heads
    return found


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`case`, `keep` -> seconds for the graph, and for plan and surgery."""
    made = case(told["case"])
    before = sum(p.numel() for p in made.module.parameters())
    # Its language-model example cuts whole heads, since rotary angles are made for one width of a head.
    whole = {"prune_num_heads": True, "prune_head_dims": False, "head_pruning_ratio": 1 - told["keep"]}
    with measured() as out:
        start = time.perf_counter()
        pruner = tp.pruner.BasePruner(
            made.module, made.example, importance=tp.importance.MagnitudeImportance(p=2),
            pruning_ratio=1 - told["keep"], ignored_layers=[made.module.get_submodule(made.last)],
            num_heads=heads(made.module), **(whole if told["case"].startswith("llama") else {}),
        )  # fmt: skip
        out["graph_seconds"] = time.perf_counter() - start
        start = time.perf_counter()
        pruner.step()
        out["cut_seconds"] = time.perf_counter() - start
    return {**out, **outcome(made.module, made.example, before)}


main(job, "torch-pruning")
