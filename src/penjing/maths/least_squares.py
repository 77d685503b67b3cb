"""Weights that make up for inputs that are gone."""

import torch
from torch import Tensor

from penjing.errors import DataError


def repair(weight: Tensor, moment: Tensor, kept: Tensor, *, ridge: float) -> Tensor:
    """[out kept], float64: weights over the kept inputs that come nearest to `weight` [out in] over all of them.

    `moment` [in in] is the mean of x xᵀ, `kept` the places [kept] of the inputs that stay. It minimises
    `E|W x - W' x_K|² + λ |W' - W_K|²`, with `λ = ridge × mean(diag(moment))`: the ridge pulls towards the old
    weights, not towards zero, so with few data the result tends to the plain cut. With all inputs kept it gives
    `weight` back.

    Raises:
        DataError: `moment` does not fit the weight, or is not finite.
    """
    inputs = weight.shape[1]
    if moment.shape != (inputs, inputs):
        raise DataError(
            f"the second moment is {tuple(moment.shape)}, but the weight has {inputs} inputs; collect it again"
        )
    if not moment.isfinite().all():
        raise DataError("the second moment holds values that are not finite; check the weights and the data for NaN")
    old, moments = weight.double(), moment.double()
    damping = ridge * moments.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    inner = moments[kept][:, kept]
    inner.diagonal().add_(damping)
    gone = torch.ones(inputs, dtype=torch.bool, device=kept.device)
    gone[kept] = False
    missing = old[:, gone] @ moments[gone][:, kept]  # what the kept inputs have to take over; few columns, so fast
    factor, failed = torch.linalg.cholesky_ex(inner)
    if int(failed):
        return old[:, kept] + torch.linalg.lstsq(inner, missing.T, driver="gelsd").solution.T
    return old[:, kept] + torch.cholesky_solve(missing.T, factor).T
