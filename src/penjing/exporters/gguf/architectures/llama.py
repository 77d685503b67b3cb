"""Llama and what is made as it; layers may differ in width."""

from collections.abc import Mapping
from typing import Any

from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds."""
    return decoder.content(config, shapes, decoder.Family(kind="llama", free=decoder.FREE, pairs=True))
