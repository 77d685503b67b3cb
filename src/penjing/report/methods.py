"""What `penjing methods` prints."""

import inspect
from dataclasses import MISSING, fields
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from penjing.methods import METHODS


def methods_json() -> list[dict[str, Any]]:
    """The card of every method."""
    return [method_json(name) for name in METHODS.names()]


def method_json(name: str) -> dict[str, Any]:
    """One method's card and settings.

    Raises:
        PenjingError: there is no such method.
    """
    found = METHODS.load(name)
    card = found.CARD
    settings = {f.name: {"type": str(f.type), "default": _default(f)} for f in fields(METHODS.type_of(name))}
    return {
        "name": name,
        "title": card.title,
        "paper": card.paper,
        "removes": card.removes,
        "promise": card.promise,
        "needs": sorted(card.needs),
        "opens": card.opens,
        "settings": settings,
        "about": inspect.getdoc(found) or "",
    }


def _default(field: Any) -> Any:
    return None if field.default is MISSING else field.default


def methods_page() -> Table:
    """One line per method."""
    table = Table(box=None, pad_edge=False)
    for name in ("method", "removes", "needs data", "promise", "source"):
        table.add_column(name)
    for row in methods_json():
        table.add_row(
            row["name"], row["removes"], "yes" if row["needs"] else "no", row["promise"], escape(row["paper"])
        )
    return table


def method_page(name: str) -> Group:
    """One method: what it does, its card, its settings.

    Raises:
        PenjingError: there is no such method.
    """
    row = method_json(name)
    card = Table(show_header=False, box=None, pad_edge=False)
    for key in ("title", "paper", "removes", "promise", "opens"):
        card.add_row(f"[bold]{key}[/bold]", escape(str(row[key])))
    card.add_row("[bold]needs[/bold]", ", ".join(row["needs"]) or "none: no data needed")
    settings = Table(title="settings (--set NAME=VALUE)", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "type", "default"):
        settings.add_column(column)
    for key, value in row["settings"].items():
        settings.add_row(key, escape(value["type"]), escape(str(value["default"])))
    return Group(escape(row["about"]), "", card, "", settings)
