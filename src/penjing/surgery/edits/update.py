"""Giving a tensor new values in a draft."""

from penjing.core import Update
from penjing.surgery.draft import Draft


def check(edit: Update, draft: Draft) -> None:
    """See that the values are of the tensor's shape by now.

    Raises:
        PlanError: they are not.
    """
    draft.require_shape(edit.tensor, edit.values, "update")


def apply(edit: Update, draft: Draft) -> None:
    """Set the values; zeros of earlier masks go with the old ones."""
    name = draft.stored(edit.tensor)
    draft.recipes[name] = draft.recipes[name].updated(edit.values)
