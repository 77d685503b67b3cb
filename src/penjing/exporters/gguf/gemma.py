"""What the later Gemmas have in common: norms before and after each part, windows, the scale of scores."""

from collections.abc import Mapping
from typing import Any

from penjing.errors import ExportError
from penjing.io.gguf_models import PARTS

NORMED = {
    **{k: v for k, v in PARTS.items() if k != "ffn_norm"},
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
"""Names of the tensors in a layer."""


def windows(config: Mapping[str, Any], period: int) -> None:
    """See that every `period`-th layer looks at all, as llama.cpp takes for granted.

    Raises:
        ExportError: another does, as after blocks were dropped.
    """
    found = config.get("layer_types") or []
    for k, kind in enumerate(found):
        needed = "sliding_attention" if (k + 1) % period else "full_attention"
        if kind != needed:
            raise ExportError(
                f"layer {k} has {kind}, and llama.cpp's '{config['model_type']}' has {needed} there (of {period} "
                f"layers the last looks at all); drop blocks in groups of {period}"
            )


def scale(config: Mapping[str, Any]) -> None:
    """See that scores are divided by the root of the head's width.

    Raises:
        ExportError: they are divided by another number.
    """
    asked, head = float(config.get("query_pre_attn_scalar") or config["head_dim"]), int(config["head_dim"])
    if asked != head:
        raise ExportError(f"scores are scaled for {asked:g} values, heads have {head}, as llama.cpp takes for granted")
