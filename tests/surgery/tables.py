"""Tiny models in folders, and their derived layouts."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.core import Keep, Layout, Plan
from penjing.io import open_checkpoint
from penjing.layouts import from_config

LLAMA: dict[str, Any] = {
    "vocab_size": 61, "hidden_size": 24, "intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 3, "head_dim": 4, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


_KNOWN: dict[str, Layout] = {}
"""Layouts already derived in this run, by config and shapes."""


def make(
    name: str, folder: Path, *, dtype: torch.dtype = torch.float32, shard: str = "5GB", **settings: Any
) -> nn.Module:
    """A random stock model of the class `name`, saved to `folder`; sizes odd, all values nonzero."""
    import transformers

    kind: Any = getattr(transformers, name)
    torch.manual_seed(0)
    module = kind._from_config(kind.config_class(**settings), dtype=dtype).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2 + 0.05)
    module.save_pretrained(folder, max_shard_size=shard)
    return module


def llama(folder: Path, **settings: Any) -> nn.Module:
    options = {k: settings.pop(k) for k in ("dtype", "shard") if k in settings}
    return make("LlamaForCausalLM", folder, **options, **{**LLAMA, **settings})


def opened(folder: Path) -> tuple[Any, Layout]:
    checkpoint = open_checkpoint(folder)
    key = repr((sorted(checkpoint.config.items(), key=str), checkpoint.shapes))
    if key not in _KNOWN:
        _KNOWN[key] = from_config(checkpoint.config, stored=checkpoint.shapes, cache=False)
    return checkpoint, _KNOWN[key]


def every(layout: Layout, kind: str, units: list[int]) -> Plan:
    """Keep these units of each axis of a kind."""
    found = [a.name for a in layout.axes.values() if a.kind == kind]
    assert found, f"no axis of kind {kind}: {layout.kinds()}"
    return Plan(tuple(Keep(a, tuple(units)) for a in found), {"method": "by hand"})


def tokens(vocabulary: int = 61) -> torch.Tensor:
    return torch.randint(vocabulary, (2, 9), generator=torch.Generator().manual_seed(1))
