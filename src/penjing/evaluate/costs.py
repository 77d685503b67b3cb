"""What a model costs without running it: parameters, bytes, multiply-adds, cache."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from penjing.core import Checkpoint, Layout, Measurement
from penjing.errors import LayoutError
from penjing.running.children import weight_files

PARAMETERS = Measurement(
    name="parameters", value=None, unit="parameters", label="Parameters", better="lower", group="size"
)
BYTES = Measurement(name="bytes", value=None, unit="bytes", label="Size on disk", better="lower", group="size")
MACS_PER_TOKEN = Measurement(
    name="macs_per_token", value=None, unit="multiply-adds", label="Multiply-adds per token", better="lower",
    group="size",
)  # fmt: skip
MACS_PER_IMAGE = replace(MACS_PER_TOKEN, name="macs_per_image", label="Multiply-adds per image")
CACHE = Measurement(
    name="kv_cache_bytes_per_token", value=None, unit="bytes per token", label="KV cache per token", better="lower",
    group="size",
)  # fmt: skip
"""The figures of this file, without their values."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The figures, and what they were counted from; `layout` is None when it cannot be derived (see the notes)."""

    figures: tuple[Measurement, ...]
    layout: Layout | None
    config: Mapping[str, Any]
    dtypes: Mapping[str, torch.dtype]

    @property
    def cache_bytes(self) -> float:
        """Bytes that one more token of context takes in the cache; 0 when the model keeps none."""
        found = next((f.value for f in self.figures if f.name == CACHE.name), None)
        return found or 0.0


def costs(source: str | Path, *, context: int = 512, layout: Layout | None = None) -> Costs:
    """Parameters, bytes on disk, multiply-adds and cache bytes of the checkpoint in a folder or file.

    Multiply-adds are those of one decoded token after `context` tokens, or of one image. Give a `layout` to save
    deriving it again.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    from penjing.io import open_checkpoint
    from penjing.layouts import costs as counting
    from penjing.layouts import from_config

    with open_checkpoint(source) as checkpoint:
        why = ""
        if layout is None:
            try:
                layout = from_config(checkpoint.config, stored=checkpoint.shapes)
            except LayoutError as error:
                why = f"the layout could not be derived: {error}"
        config, dtypes = dict(checkpoint.config), dict(checkpoint.dtypes)
        shapes = {n: tuple(s) for n, s in checkpoint.shapes.items()}
        size, on_disk = _bytes(Path(source), checkpoint)
    how = "counted from the layout" if layout else f"counted from the files; {why}"
    total = counting.parameters(layout) if layout else sum(prod(s) for s in shapes.values())
    figures = (
        replace(PARAMETERS, value=float(total), n=1, protocol=how),
        replace(BYTES, value=float(size), n=1, protocol=on_disk),
        _work(layout, why, context),
        _cache(config, dtypes),
    )
    return Costs(figures=figures, layout=layout, config=config, dtypes=dtypes)


def _bytes(path: Path, checkpoint: Checkpoint) -> tuple[int, str]:
    files = weight_files(path) if path.is_dir() else [path] if path.is_file() else []
    if files:
        return sum(f.stat().st_size for f in files), f"size of {len(files)} weight file{'s' if len(files) > 1 else ''}"
    total = sum(prod(s) * checkpoint.dtypes[n].itemsize for n, s in checkpoint.shapes.items())
    return total, "bytes of the weights, not on disk"


def _work(layout: Layout | None, why: str, context: int) -> Measurement:
    from penjing.layouts import costs as counting

    if layout is None or not layout.work:
        return replace(MACS_PER_TOKEN, note=why or "the layout lists no products")
    by_token = any(w.tokens for w in layout.work)
    value = counting.macs_per_token(layout, context=context) if by_token else counting.macs(layout)
    return replace(
        MACS_PER_TOKEN if by_token else MACS_PER_IMAGE,
        value=float(value),
        n=1,
        protocol=f"macs/1 products only, context={context}" if by_token else "macs/1 products only",
    )


def _cache(config: Mapping[str, Any], dtypes: Mapping[str, torch.dtype]) -> Measurement:
    from penjing.layouts import costs as counting

    if not generates(config):
        return replace(CACHE, note="the model does not generate text")
    dtype = main_dtype(dtypes)
    try:
        value = counting.kv_cache_bytes_per_token(config, dtype.itemsize)
    except LayoutError as error:
        return replace(CACHE, note=str(error))
    return replace(CACHE, value=float(value), n=1, protocol=f"cache/1 values of {str(dtype).removeprefix('torch.')}")


def generates(config: Mapping[str, Any]) -> bool:
    """Whether the config's class is one that generates text token by token."""
    named = " ".join(config.get("architectures") or [])
    return any(word in named for word in ("CausalLM", "LMHead", "ConditionalGeneration"))


def why_unread(config: Mapping[str, Any]) -> str:
    """Why a model of this config predicts no text by itself, or an empty string."""
    if not generates(config):
        return "the model does not generate text"
    from penjing.layouts.config.stock import class_of, read_config

    kind = class_of(config)
    takes = str(getattr(kind, "main_input_name", "input_ids"))
    if takes != "input_ids":
        return f"the model writes from {takes}, and predicts no text by itself"
    if getattr(read_config(config), "is_encoder_decoder", False):
        return "the model has an encoder and a decoder, and predicts no text by itself"
    return ""


def main_dtype(dtypes: Mapping[str, torch.dtype]) -> torch.dtype:
    """The dtype that most tensors have."""
    floating = [d for d in dtypes.values() if d.is_floating_point]
    return Counter(floating).most_common(1)[0][0] if floating else torch.float32
