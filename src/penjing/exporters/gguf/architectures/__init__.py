"""One file for each model type of transformers that llama.cpp runs; the folder is the registry.

A file defines `content(config, shapes)`: what a GGUF file of the model says and holds, from the whole config and the
shapes of the stored tensors. It raises an `ExportError` where llama.cpp would not open it, or would compute something
else.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from penjing.core.registry import Registry
from penjing.errors import ExportError
from penjing.exporters.gguf.content import Content, Shapes


def _wrong(module: ModuleType) -> str:
    return "" if callable(getattr(module, "content", None)) else "has no content(config, shapes); define it"


ARCHITECTURES: Registry[Any] = Registry(
    "penjing.exporters.gguf.architectures", kind="architecture for GGUF", check=_wrong
)


def content_of(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of this model says and holds.

    Raises:
        ExportError: llama.cpp has no such architecture, or not with these sizes, or a tensor has no place there.
    """
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES.names():
        raise ExportError(f"a GGUF file of '{kind}' is not known; known are {', '.join(ARCHITECTURES.names())}")
    found: Content = ARCHITECTURES.load(kind).content(config, shapes)
    read = [s for p in found.pieces for s in (p.source, *p.below)]
    missing = [s for s in read if s and s not in shapes]
    if missing:
        raise ExportError(f"the model has no tensor '{missing[0]}', which llama.cpp's '{found.architecture}' needs")
    extra = sorted(shapes.keys() - set(read) - found.unused)
    if extra:
        raise ExportError(
            f"'{extra[0]}' has no place in llama.cpp's '{found.architecture}'"
            + (f", nor have {len(extra) - 1} others" if len(extra) > 1 else "")
        )
    return found
