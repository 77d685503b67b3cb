"""What makes a rotation of an axis leave the function alone: checks that every edit which rotates goes through."""

import torch
from torch import Tensor

from penjing.core import Norm
from penjing.errors import PlanError, nearest
from penjing.surgery.draft import Draft

NEAR = 1e-4
"""How far a basis may be from orthonormal: that of one kept in half precision."""


def check_axis(name: str, draft: Draft) -> None:
    """See that there is such an axis, and that it may be rotated.

    Raises:
        PlanError: it is not so.
    """
    axis = draft.layout.axes.get(name)
    if axis is None:
        found = f"no axis is named '{name}'{nearest(name, draft.layout.axes)}"
        raise PlanError(f"{found}; this model has {draft.layout.kinds()}")
    if not axis.rotates:
        why = f"it meets {axis.rigid}" if axis.rigid else "nothing shows that the function stays what it is"
        raise PlanError(f"{axis.name} cannot be rotated: {why}; leave it as it is")


def check_cut(name: str, basis: Tensor, draft: Draft) -> None:
    """See that the axis may be cut, if the basis has fewer columns than units.

    Raises:
        PlanError: it may not.
    """
    axis = draft.layout.axes[name]
    if basis.shape[1] < basis.shape[0] and axis.state not in draft.may_cut and not steady(norms_of(draft, name)):
        raise PlanError(
            f"a basis of fewer columns cuts {axis.name}, which does not equal masking it: {axis.reason}; allow "
            "sensitive axes, or use as many columns as units"
        )


def norms_of(draft: Draft, axis: str) -> list[Norm]:
    """The norms over an axis."""
    return [n for n in draft.layout.norms if n.axis == axis]


def steady(norms: list[Norm] | tuple[Norm, ...]) -> bool:
    """Whether norms go on dividing by the width of old, however their axis is cut."""
    return bool(norms) and all(n.kind == "rms" for n in norms)


def check_basis(axis: str, basis: Tensor, draft: Draft) -> None:
    """See that a basis is one of the axis.

    Raises:
        PlanError: it is not.
    """
    size, shape = draft.sizes[axis], list(basis.shape)
    if basis.ndim != 2 or basis.shape[0] != size or not 1 <= basis.shape[1] <= size or not basis.is_floating_point():
        raise PlanError(
            f"the basis of {axis} is {basis.dtype} {shape}; floating point [{size}, at most {size}] was needed at "
            "this point of the plan"
        )
    exact = basis.double()
    error = float((exact.T @ exact - torch.eye(shape[1], dtype=torch.float64)).abs().max())
    if not error <= NEAR:
        raise PlanError(
            f"the columns of the basis of {axis} are {error:.2g} from orthonormal, at most {NEAR:g} was needed; "
            "orthonormalise them in float64"
        )


def check_mean(axis: str, basis: Tensor, norm: Norm) -> None:
    """See that a basis keeps the direction that a layer norm takes off.

    Raises:
        PlanError: it does not.
    """
    if norm.kind == "layer" and not keeps_mean(basis):
        raise PlanError(
            f"{norm.module} takes the mean off, and the basis of {axis} turns the direction of the mean; make it "
            "with penjing.maths.pca.mean_keeping"
        )


def check_norm(axis: str, draft: Draft, norm: Norm) -> None:
    """See that the gain of a norm can be folded into those who read it.

    Raises:
        PlanError: it cannot.
    """
    if norm.kind not in {"layer", "rms"}:
        raise PlanError(f"{axis} cannot be rotated: {norm.module} is a norm over parts of it; leave it as it is")
    if not norm.alone:
        raise PlanError(
            f"{axis} cannot be rotated: more than products with weights use what {norm.module} gives, as where a "
            "norm follows the sum, so its gain cannot be folded; leave it as it is"
        )
    for reader, own in norm.shared.items():
        if not own or len(tied(draft, reader)) < 2:
            raise PlanError(
                f"{reader} reads {norm.module} and is used elsewhere too, and has no second name to be stored apart "
                f"under; {axis} cannot be rotated"
            )


def check_readers(norms: list[Norm]) -> None:
    """See that no weight reads two norms whose gains differ.

    Raises:
        PlanError: one does.
    """
    seen: dict[str, Norm] = {}
    for norm in norms:
        for reader in norm.readers:
            other = seen.setdefault(reader, norm)
            if other.weight != norm.weight:
                raise PlanError(
                    f"{reader} reads both {other.module} and {norm.module}, whose gains differ; their axis cannot be "
                    "rotated"
                )


def tied(draft: Draft, name: str) -> set[str]:
    """All names of a tensor."""
    aliases = draft.layout.aliases
    kept = aliases.get(name, name)
    return {kept, *(a for a, k in aliases.items() if k == kept)}


def keeps_mean(basis: Tensor) -> bool:
    """Whether a basis [n m] maps the direction of all ones of n to that of all ones of m."""
    exact = basis.double()
    n, m = exact.shape
    return bool(((exact.sum(1) / m**0.5) - 1 / n**0.5).abs().max() <= NEAR)
