"""One file for each format. Nothing here imports one: the folder is the registry, and each file defines `EXPORTER`."""

from types import ModuleType
from typing import Any

from penjing.core.registry import Registry


def _wrong(module: ModuleType) -> str:
    from penjing.exporters.exporter import Exporter

    if not isinstance(getattr(module, "EXPORTER", None), Exporter):
        return "has no EXPORTER; its file must define EXPORTER = Exporter(...)"
    return ""


FORMATS: Registry[Any] = Registry("penjing.exporters.formats", kind="format", check=_wrong)
"""Every format, by its file's name; others add theirs by the entry-point group of this folder's name."""
