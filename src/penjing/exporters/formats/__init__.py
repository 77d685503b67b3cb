"""One file for each format. Nothing here imports one: the folder is the registry, and each file defines `EXPORTER`."""

from types import ModuleType
from typing import Any

from penjing.core.registry import Registry
from penjing.errors import ExportError, nearest


def _wrong(module: ModuleType) -> str:
    from penjing.exporters.exporter import Format

    if not isinstance(getattr(module, "EXPORTER", None), Format):
        return "has no EXPORTER; its file must define EXPORTER = Exporter(...), or another Format"
    return ""


FORMATS: Registry[Any] = Registry("penjing.exporters.formats", kind="format", check=_wrong)
"""Every format, by its file's name; others add theirs by the entry-point group of this folder's name."""


def parted(asked: str) -> tuple[str, str]:
    """(name of a format, its variant or "") of what is typed: `gguf:q8_0`."""
    name, _, variant = asked.partition(":")
    return name, variant


def ending(exporter: Any, name: str, variant: str) -> str:
    """What stands behind the name of a result in that of its file: `-q8_0.gguf`; of a folder `-int4-g64`."""
    told = (name, variant) if not exporter.suffix else (variant,)
    return "".join(f"-{part}" for part in told if part) + exporter.suffix


def variant_of(exporter: Any, asked: str, variant: str) -> str:
    """The variant that is meant: the one that is named, or else the format's first; "" for a format without any.

    Raises:
        ExportError: the format has none of this name.
    """
    known = list(exporter.variants)
    if variant and variant not in known:
        have = f"it is one of {', '.join(known)}" if known else "this format has none"
        raise ExportError(f"'{asked}' names the type '{variant}'{nearest(variant, known)}; {have}")
    return variant or (known[0] if known else "")
