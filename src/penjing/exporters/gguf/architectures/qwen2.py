"""Qwen2, with biases of queries, keys and values; layers may differ in width."""

from collections.abc import Mapping
from typing import Any

from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds."""
    return decoder.content(config, shapes, decoder.Family(kind="qwen2", free=decoder.FREE))
