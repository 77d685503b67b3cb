"""Zeroing weights of a tensor in a draft."""

import torch

from penjing.core import Mask
from penjing.errors import PlanError
from penjing.surgery.draft import Draft


def check(edit: Mask, draft: Draft) -> None:
    """See that the mask is one, of the tensor's shape by now.

    Raises:
        PlanError: it is not.
    """
    draft.require_shape(edit.tensor, edit.kept, "mask")
    if edit.kept.dtype != torch.bool:
        raise PlanError(f"the mask of {edit.tensor} is {edit.kept.dtype}; it must be bool, False for zeros")


def apply(edit: Mask, draft: Draft) -> None:
    """Set to zero what the mask does not keep."""
    name = draft.stored(edit.tensor)
    draft.recipes[name] = draft.recipes[name].masked(edit.kept)
