"""One file per kind of task. Nothing here imports one: the folder is the registry, and each file defines `KIND`."""

from types import ModuleType
from typing import Any

from penjing.core.registry import Registry


def _wrong(module: ModuleType) -> str:
    from penjing.tasks.kind import Kind

    if not isinstance(getattr(module, "KIND", None), Kind):
        return "has no KIND; its file must define KIND = Kind(...)"
    return ""


TASKS: Registry[Any] = Registry("penjing.tasks.kinds", kind="task", check=_wrong)
"""Every kind of task, by its file's name; others add theirs by the entry-point group of this folder's name."""


def typed(name: str) -> str:
    """How a kind is named on the command line."""
    return name.replace("_", "-")


def wishes() -> dict[str, str]:
    """Kind, as it is typed -> how it is asked for (`name:FILE.jsonl`), of the folder's own; nothing is imported."""
    return {typed(name): said.split("`")[1] for name, said in TASKS.summaries().items() if said.startswith("`")}
