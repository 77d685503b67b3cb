"""Whether the biases of norms can be written behind a gain that was folded away."""

from dataclasses import replace

import torch

from penjing.core import Checkpoint
from penjing.errors import PlanError
from penjing.surgery import cut
from penjing.surgery.maps import Gain
from penjing.surgery.outcome import Outcome

MANY = 100.0
"""From how large a bias in units of its gain people are told: it drowns what the norm gives."""


def check_gains(checkpoint: Checkpoint, outcome: Outcome) -> list[str]:
    """Remarks on biases that are large against their gains; reads nothing but gains and biases.

    Raises:
        PlanError: a gain is zero where the bias is not, so that no bias behind a gain of one does the same.
    """
    out = []
    for name, recipe in outcome.recipes.items():
        if not recipe.mapped:
            continue
        for factor in (f for m in recipe.maps if m is not None for f in m.factors):
            if not isinstance(factor, Gain) or not factor.inverse:
                continue
            gain = cut.whole(factor.recipe, checkpoint, torch.float64).double() + factor.offset
            bias = cut.whole(replace(recipe, maps=()), checkpoint, torch.float64).double()
            wrong = ((gain == 0) & (bias != 0)).nonzero().flatten()
            if len(wrong):
                raise PlanError(
                    f"{name} is {float(bias[wrong[0]]):.3g} at unit {int(wrong[0])}, where the gain of its norm is 0; "
                    "the gain cannot be folded; leave the axis as it is"
                )
            size = float((bias / torch.where(gain == 0, 1.0, gain)).square().mean().sqrt())
            if size > MANY:
                out.append(f"{name} is {size:.3g} times its norm's gain; behind the rotation it costs precision")
    return out
