"""Qwen3, whose queries and keys are normed."""

from collections.abc import Mapping
from typing import Any

from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds."""
    return decoder.content(config, shapes, decoder.Family(kind="qwen3"))
