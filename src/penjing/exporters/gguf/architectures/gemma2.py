"""Gemma 2: norms before and after each part, capped scores, every second layer with a window."""

from collections.abc import Mapping
from typing import Any

from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes, plus_one
from penjing.exporters.gguf.gemma import NORMED, scale, windows


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds.

    Raises:
        ExportError: windows or scale are others than llama.cpp's own.
    """
    windows(config, 2)
    scale(config)
    more = {
        "attn_logit_softcapping": float(config["attn_logit_softcapping"] or 0.0),
        "final_logit_softcapping": float(config["final_logit_softcapping"] or 0.0),
        "attention.sliding_window": int(config["sliding_window"]),
    }
    family = decoder.Family(kind="gemma2", activation="gelu_pytorch_tanh", parts=NORMED, more=more, gains=plus_one)
    return decoder.content(config, shapes, family)
