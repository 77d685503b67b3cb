"""One file for each edit: how it is carried out. What it says stands in `core/edits/`, in a file of the same name.

A file defines `check(edit, draft)`, which raises `PlanError` if the edit does not fit at its point of the plan, and
`apply(edit, draft)`, which changes the draft as the edit says. A draft is shapes and recipes: from it follow the
streamed result, the one in memory, the mask that a running model acts by, and the costs.
"""

from types import ModuleType
from typing import Protocol, cast

from penjing.core import Edit
from penjing.core.registry import Registry
from penjing.errors import PenjingError, PlanError
from penjing.surgery.draft import Draft


class Carrier(Protocol):
    """What a file here defines."""

    def check(self, edit: Edit, draft: Draft) -> None:
        """See that the edit fits at this point of the plan; nothing is changed.

        Raises:
            PlanError: it does not.
        """
        ...

    def apply(self, edit: Edit, draft: Draft) -> None:
        """Change the draft as the edit says."""
        ...


def _check(module: ModuleType) -> str:
    lacking = [name for name in ("check", "apply") if not callable(getattr(module, name, None))]
    return f"has no {lacking[0]}(edit, draft); define it" if lacking else ""


CARRIERS = Registry("penjing.surgery.edits", kind="carrier of edits", check=_check)


def carrier(edit: Edit) -> Carrier:
    """What carries an edit out.

    Raises:
        PlanError: nothing here does.
    """
    try:
        return cast(Carrier, CARRIERS.load(edit.kind))
    except PenjingError as error:
        raise PlanError(f"the plan has an edit of kind '{edit.kind}', which nothing carries out: {error}") from error
