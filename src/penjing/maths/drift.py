"""Weights that bring a stream back to where it should be, from the inputs that are left.

Source: He et al., "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv:1707.06168, whose
whole-model pruning fits each layer, on the inputs that the layers pruned before it give, to the outputs of the unpruned
model, and whose multi-branch variant fits a residual branch's last layer to `Y1 - Y1' + Y2`, so that it makes up for
what the shortcut lost. Deviations: the ridge, which pulls towards the old weights; the moments are given, so no sample
is seen twice; no alternation with a choice of channels.
"""

import torch
from torch import Tensor

from penjing.errors import DataError


def refit(weight: Tensor, moment: Tensor, target: Tensor, kept: Tensor, *, ridge: float) -> Tensor:
    """[out kept], float64: the weights over the kept inputs that come nearest to a target.

    `moment` [in in] is the mean of x xᵀ, `target` [out in] the mean of t xᵀ for wanted outputs t, `kept` the places
    [kept] of the inputs that stay, `weight` [out in] the old weights. It minimises `E|t - W' x_K|² + λ |W' - W_K|²`,
    with `λ = ridge × mean(diag(moment))`, by `(T_K + λ W_K) (M_K + λ I)⁻¹`.

    Raises:
        DataError: the moments do not fit the weight, or are not finite.
    """
    out, inputs = weight.shape
    if moment.shape != (inputs, inputs) or target.shape != (out, inputs):
        raise DataError(
            f"the moments are {tuple(moment.shape)} and {tuple(target.shape)}, and a weight of {out} by {inputs} needs "
            f"({inputs}, {inputs}) and ({out}, {inputs}); collect them again"
        )
    if not (moment.isfinite().all() and target.isfinite().all()):
        raise DataError("the moments hold values that are not finite; check the weights and the data for NaN")
    old, moments = weight.double()[:, kept], moment.double()
    damping = ridge * moments.diagonal().mean().clamp_min(torch.finfo(torch.float64).tiny)
    inner = moments[kept][:, kept]
    inner.diagonal().add_(damping)
    wanted = target.double()[:, kept] + damping * old
    factor, failed = torch.linalg.cholesky_ex(inner)
    if int(failed):
        return torch.linalg.lstsq(inner, wanted.T, driver="gelsd").solution.T
    return torch.cholesky_solve(wanted.T, factor).T
