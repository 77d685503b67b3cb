"""The best product of two thin matrices, for all inputs alike or for those that were measured.

Source: Eckart and Young, Psychometrika 1936 (the error is the root of the dropped squared singular values); Wang et
al., "SVD-LLM", arXiv:2403.07378, section 3.1 (whitening by the Cholesky factor of the inputs' second moment).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.errors import DataError
from penjing.maths.optimal_brain import STEPS_OF_DAMPING


@dataclass(frozen=True)
class Factors:
    """`up` [out rank] times `down` [rank in], float32; `error` is the root of the dropped squared singular values."""

    up: Tensor
    down: Tensor
    error: float
    whole: float
    """The root of all squared singular values: what `error` is a share of."""


def factors(weight: Tensor, rank: int, root: Tensor | None = None) -> Factors:
    """The product of this rank nearest to `weight` [out in].

    With the `root` L [in in] of a second moment of inputs (L Lᵀ), nearest in what it gives for such inputs: |(W - W')L|
    is least, and `error` is that. Singular values are shared evenly between both factors.
    """
    exact = weight.double()
    matrix = exact if root is None else exact @ root.double()
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    even = values[:rank].sqrt()
    down = even[:, None] * right[:rank]
    if root is not None:
        down = torch.linalg.solve_triangular(root.double(), down, upper=False, left=False)
    dropped, whole = float(values[rank:].square().sum().sqrt()), float(values.square().sum().sqrt())
    return Factors((left[:, :rank] * even).float(), down.float(), dropped, whole)


def root_of(moment: Tensor, damping: float) -> tuple[Tensor, float]:
    """(lower Cholesky factor [in in] of a damped second moment, the damping that was used), float64.

    `damping` is a share of the diagonal's mean; it is raised tenfold until there is a factor.

    Raises:
        DataError: the moment is not finite, or no damping helps.
    """
    if not bool(moment.isfinite().all()):
        raise DataError("a second moment of inputs is not finite; check the weights and the data")
    matrix = (moment.double() + moment.double().T) / 2
    mean = matrix.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
    used = damping
    for _ in range(STEPS_OF_DAMPING):
        lower, failed = torch.linalg.cholesky_ex(matrix + used * mean * torch.eye(len(matrix), dtype=torch.float64))
        if not failed and bool(lower.isfinite().all()) and bool((lower.diagonal() > 0).all()):
            return lower, used
        used = max(used, 1e-6) * 10
    raise DataError(f"a second moment of {len(matrix)} inputs has no root even when damped by {used:g}")


def rank_for(share: float, out: int, into: int) -> int:
    """The rank whose two factors have at most this share of the numbers of a matrix [out in], 1 at least."""
    return max(1, int(share * out * into / (out + into) + 1e-9))
