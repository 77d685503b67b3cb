"""One file for each edit: what it says. How it is carried out stands in `surgery/edits/`, in a file of the same name.

A file defines a frozen dataclass that is a `core.Edit`, and names it `EDIT`.
"""

from types import ModuleType

from penjing.core.edit import Edit
from penjing.core.registry import Registry


def _check(module: ModuleType) -> str:
    edit = getattr(module, "EDIT", None)
    name = module.__name__.rpartition(".")[2]
    return "" if getattr(edit, "kind", None) == name else f"names no edit of kind '{name}'; define EDIT = its class"


EDITS = Registry("penjing.core.edits", kind="edit", check=_check)


def edit_class(kind: str) -> type[Edit]:
    """The class of the edits of a kind.

    Raises:
        PenjingError: there is no such kind.
    """
    return EDITS.load(kind).EDIT
