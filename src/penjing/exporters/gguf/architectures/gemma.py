"""Gemma, whose gains are stored as their distance from one."""

from collections.abc import Mapping
from typing import Any

from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Shapes, plus_one


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds."""
    return decoder.content(config, shapes, decoder.Family(kind="gemma", activation="gelu_pytorch_tanh", gains=plus_one))
