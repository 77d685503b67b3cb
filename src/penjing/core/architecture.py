"""What people and tests need to know of a network's architecture."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The card of an architecture.

    `sizes` (name -> entries of the config) has the paper's sizes by the paper's names, and a `tiny` one for tests.
    `parameters` (name of a size -> count) are those that the paper prints or that follow from its formula, and `macs`
    the multiply-adds of one image, or of one token; tests hold the modules to both. `auto` are the Auto classes of
    transformers that open it. `weights` says where released weights are, or that there are none, and `licence` that of
    the original code.
    """

    title: str
    paper: str
    sizes: Mapping[str, Mapping[str, Any]]
    auto: tuple[str, ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    macs: Mapping[str, int] = field(default_factory=dict)
    weights: str = "none released"
    licence: str = "none stated"
