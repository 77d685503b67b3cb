"""Gemma 3 for text: norms before and after each part, normed queries and keys, five of six layers with a window."""

from collections.abc import Mapping
from typing import Any

from penjing.errors import ExportError
from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes, plus_one, rotation
from penjing.exporters.gguf.gemma import NORMED, scale, windows

PERIOD = 6


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds.

    Raises:
        ExportError: windows, scale or positions are others than llama.cpp's own.
    """
    windows(config, PERIOD)
    scale(config)
    local, scaled, _ = rotation(config, "sliding_attention")
    if scaled:
        raise ExportError("positions in layers with a window are scaled, which llama.cpp's 'gemma3' does not do")
    more = {"attention.sliding_window": int(config["sliding_window"]), "rope.freq_base_swa": local}
    if config.get("final_logit_softcapping"):
        more["final_logit_softcapping"] = float(config["final_logit_softcapping"])
    family = decoder.Family(kind="gemma3", activation="gelu_pytorch_tanh", parts=NORMED, more=more, gains=plus_one)
    return decoder.content(config, shapes, family)
