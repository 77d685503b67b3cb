"""What `penjing models` prints."""

import inspect
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from penjing.models import MODELS


def models_json() -> list[dict[str, Any]]:
    """The card of every architecture."""
    return [model_json(name) for name in MODELS.names()]


def model_json(name: str) -> dict[str, Any]:
    """One architecture's card.

    Raises:
        PenjingError: there is no such architecture.
    """
    file = MODELS.load(name)
    card = file.CARD
    sizes = {
        size: {"parameters": card.parameters.get(size), "macs": card.macs.get(size), "config": dict(entries)}
        for size, entries in card.sizes.items()
    }
    return {
        "name": name, "title": card.title, "paper": card.paper, "sizes": sizes, "auto": list(card.auto),
        "weights": card.weights, "licence": card.licence, "about": inspect.getdoc(file) or "",
    }  # fmt: skip


def models_page() -> Table:
    """One line per architecture."""
    table = Table(box=None, pad_edge=False)
    for name in ("model", "sizes", "source"):
        table.add_column(name)
    for row in models_json():
        table.add_row(row["name"], ", ".join(row["sizes"]), escape(row["paper"]))
    return table


def model_page(name: str) -> Group:
    """One architecture: what it is, its card, its sizes.

    Raises:
        PenjingError: there is no such architecture.
    """
    row = model_json(name)
    card = Table(show_header=False, box=None, pad_edge=False)
    for key in ("title", "paper", "weights", "licence"):
        card.add_row(f"[bold]{key}[/bold]", escape(str(row[key])))
    sizes = Table(title="sizes", title_justify="left", box=None, pad_edge=False)
    for column in ("size", "parameters", "multiply-adds"):
        sizes.add_column(column, justify="left" if column == "size" else "right")
    for size, told in row["sizes"].items():
        sizes.add_row(size, _counted(told["parameters"]), _counted(told["macs"]))
    return Group(escape(row["about"]), "", card, "", sizes, "", f"penjing create {name} --size SIZE -o PATH")


def _counted(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
