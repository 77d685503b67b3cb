"""What `penjing methods` prints."""

import inspect
import re
from dataclasses import MISSING, fields
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from penjing.core import Card
from penjing.exporters.formats import FORMATS
from penjing.methods import METHODS


def methods_json() -> list[dict[str, Any]]:
    """The card of every method that can be loaded."""
    return [method_json(name) for name in METHODS.load_all().modules]


def methods_failed() -> list[str]:
    """A line for each method of another package that cannot be loaded: its name and why."""
    return [f"'{name}' is left out: {error}" for name, error in METHODS.load_all().failed.items()]


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
        "opens_in": opens_in(card),
        "settings": settings,
        "about": inspect.getdoc(found) or "",
    }


def opens_in(card: Card) -> list[str]:
    """Where the result of a method opens: its loader, and each runtime with the format that it is exported to.

    A format's own limits on architectures and widths hold beside this.
    """
    found: dict[str, list[str]] = {}
    for name, module in FORMATS.load_all().modules.items():
        exporter = module.EXPORTER
        if exporter.modules is None or card.inserts <= exporter.modules:
            found.setdefault(exporter.runtime, []).append(name)
    return [card.opens, *(f"{runtime} (--export {' or '.join(names)})" for runtime, names in found.items())]


def _default(field: Any) -> Any:
    return None if field.default is MISSING else field.default


def type_in_words(kind: str) -> str:
    """A type as people read it: `one of 'uniform', 'global'`, `several, with commas`."""
    kind = re.sub(r"<class '(\w+)'>", r"\1", kind)
    found = re.sub(r"(?:typing\.)?Literal\[([^\]]*)\]", r"one of \1", kind)
    found = re.sub(r"tuple\[(\w+), \.\.\.\]", r"\1, several with commas", found)
    plain = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "None": "none"}
    return re.sub(r"\b(str|int|float|bool|None)\b", lambda m: plain[m.group()], found).replace(" | ", " or ")


def methods_page() -> Table:
    """One line per method."""
    table = Table(box=None, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for name in ("removes", "needs data", "promise"):
        table.add_column(name)
    table.add_column("source", overflow="fold")
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
    for key in ("title", "paper", "removes", "promise"):
        card.add_row(f"[bold]{key}[/bold]", escape(str(row[key])))
    card.add_row("[bold]opens in[/bold]", escape(", ".join(row["opens_in"])))
    card.add_row("[bold]needs[/bold]", ", ".join(row["needs"]) or "none: no data needed")
    settings = Table(title="settings (--set NAME=VALUE)", title_justify="left", box=None, pad_edge=False)
    for column in ("name", "type", "default"):
        settings.add_column(column)
    for key, value in row["settings"].items():
        settings.add_row(key, escape(type_in_words(value["type"])), escape(str(value["default"])))
    return Group(escape(row["about"]), "", card, "", settings)
