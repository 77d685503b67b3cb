"""One file for each algorithm. Nothing here imports one: the folder is the registry."""

from typing import Any

from penjing.core.registry import Registry

ALGORITHMS: Registry[Any] = Registry(
    "penjing.search.algorithms", kind="search algorithm", attribute="Algorithm", calls=("ask", "best")
)
"""Every search algorithm, by its file's name; others add theirs by the entry-point group of this folder's name."""
