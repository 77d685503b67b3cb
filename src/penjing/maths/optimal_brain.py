"""Optimal brain surgery: zero weights of a layer so that its other weights take over what they did.

Source: Frantar and Alistarh, "SparseGPT", arXiv:2301.00774, section 3 and algorithm 1 (the column sweep); Yu et al.,
"The Combinatorial Brain Surgeon", ICML 2022, and Rosenberg et al., arXiv:2411.17796, for the binary problem.
"""

import torch
from torch import Tensor

from penjing.errors import DataError
from penjing.maths.sparse_masks import best_of_all, best_of_groups, zeros_of

STEPS_OF_DAMPING = 8
"""How often the damping is raised tenfold before a second moment is refused."""


def factor(moment: Tensor, damping: float) -> tuple[Tensor, float]:
    """(the upper Cholesky factor [in in] of the inverse of the damped moment, the damping that was used).

    `damping` is a share of the diagonal's mean; it is raised tenfold until both factorisations work. Inputs that never
    were anything but zero count as if of energy 1.

    Raises:
        DataError: the moment is not finite, or no damping helps.
    """
    if not bool(moment.isfinite().all()):
        raise DataError("a second moment of inputs is not finite; check the weights and the data")
    matrix = (moment.float() + moment.float().T) / 2
    dead = matrix.diagonal() <= 0
    matrix = matrix.clone()
    matrix.diagonal()[dead] = 1.0
    mean = matrix.diagonal().mean()
    used = damping
    for _ in range(STEPS_OF_DAMPING):
        damped = matrix + used * mean * torch.eye(len(matrix))
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not failed and bool(upper.isfinite().all()):
                return upper, used
        used = max(used, 1e-4) * 10
    raise DataError(f"a second moment of {len(matrix)} inputs cannot be inverted even when damped by {used:g}")


def sweep(
    weight: Tensor, upper: Tensor, keep: float, *, group: tuple[int, int] | None = None, block: int = 128
) -> tuple[Tensor, Tensor]:
    """(new weights, bool mask), [out in] each: zeros from left to right, each made up for by the columns after it.

    `upper` is what `factor` gives. The mask is chosen block by block of columns, by w² / upper_jj², over all rows
    together, or among every `group[1]` neighbours of a row, of which `group[0]` stay. Zeros are shared out so that the
    whole matrix has exactly those it should have.
    """
    left = weight.float().clone()
    rows, columns = left.shape
    kept = torch.ones(left.shape, dtype=torch.bool)
    if group is not None:
        block = max(block // group[1], 1) * group[1]
    for start in range(0, columns, block):
        end = min(start + block, columns)
        inside, part = upper[start:end, start:end], left[:, start:end]
        if group is None:
            zeros = zeros_of(rows * end, keep) - zeros_of(rows * start, keep)
            kept[:, start:end] = best_of_all((part / inside.diagonal()).square(), zeros)
        errors = torch.zeros_like(part)
        for j in range(end - start):
            if group is not None and j % group[1] == 0:
                near = slice(j, j + group[1])
                scores = (part[:, near] / inside.diagonal()[near]).square()
                kept[:, start + j : start + j + group[1]] = best_of_groups(scores, *group)
            errors[:, j] = torch.where(kept[:, start + j], 0.0, part[:, j]) / inside[j, j]
            part[:, j:] -= errors[:, j, None] * inside[j, j:]
        left[:, end:] -= errors @ upper[start:end, end:]
    return left.masked_fill(~kept, 0.0), kept


def binary_problem(
    original: Tensor, current: Tensor, gradient: Tensor, hessian: Tensor, *, multiplier: float, ridge: float
) -> tuple[Tensor, float]:
    """(Q [n n], constant): xᵀQx + constant is the modelled change of the loss when x_i = 1 zeroes weight i.

    The weights become (1 - x) * `original`, so they change by d = (1 - x) * original - current, and the model is
    d·H·d / 2 + multiplier * gradient·d + ridge * |d|².
    """
    gone = current - original
    linear = original * (hessian @ gone) - multiplier * original * gradient + ridge * original * (2 * gone + original)
    q = 0.5 * torch.outer(original, original) * hessian + torch.diag(linear)
    constant = 0.5 * gone @ hessian @ gone - multiplier * gradient @ gone + ridge * gone @ gone
    return q, float(constant)
