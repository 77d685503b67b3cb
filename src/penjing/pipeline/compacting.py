"""A pruned module made physically smaller, with the same outputs."""

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from penjing import surgery
from penjing.core import Plan
from penjing.core.copies import copy_of
from penjing.errors import PlanError
from penjing.methods import METHODS
from penjing.running.source import resolve
from penjing.select.constants import alike, constants
from penjing.select.dead import Constants
from penjing.surgery.outputs import run

BOUND = 1e-6
"""How far outputs may lie from those of the module given, as a share of the largest."""


def compact(module: nn.Module, *, example: Any, axes: str | None = None, protect: tuple[str, ...] = ()) -> nn.Module:
    """A copy without the units that do nothing; the module itself, with a warning, where there are none.

    Raises:
        LayoutError: the axes cannot be derived, or no axis matches.
        PlanError: the smaller module's outputs are not the same.
    """
    whole, plan = compact_plan(module, example=example, axes=axes, protect=protect)
    if not plan.edits:
        why = "; ".join(f"{n} stay, as {reason}" for reason, n in plan.made["stay"].items())
        warnings.warn(f"no unit does nothing, so the module is as small as before{why and ': '}{why}", stacklevel=3)
        return module
    source = resolve(whole, example=example)
    smaller = surgery.apply(whole, source.layout, plan, example=example, stock=False)
    prove_same(whole, smaller, example)
    return smaller


def compact_plan(
    module: nn.Module, *, example: Any, axes: str | None = None, protect: tuple[str, ...] = ()
) -> tuple[nn.Module, Plan]:
    """(a copy with its masks made permanent, what `compact` takes away of it).

    `made` of the plan tells how many units are dead by axis, and how many that look dead stay, and why.

    Raises:
        LayoutError: as `compact`.
    """
    whole = permanent(module)
    source = resolve(whole, example=example)
    if axes is None and not any(axis.state == "free" for axis in source.layout.axes.values()):
        reasons = Counter(f"{axis.kind} are {axis.state} ({axis.reason})" for axis in source.layout.axes.values())
        return whole, Plan((), made={"stay": dict(reasons)})
    file = METHODS.load("zeros")

    def probe(silent: Mapping[str, Tensor]) -> Constants:
        try:
            return constants(whole, source.layout, silent, run, alike(example))
        except RuntimeError as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return Constants(unseen=dict.fromkeys(silent, f"the module does not run in float64 ({line})"))

    method = file.Method(axes=axes, protect=protect, even=False)
    return whole, file.decide(method, source.weights(), source.layout, file.DEFAULT, probe)


def permanent(module: nn.Module) -> nn.Module:
    """A copy whose pruning masks and parametrizations are part of its weights."""
    copied = copy_of(module)
    for part in list(copied.modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
        if parametrize.is_parametrized(part):
            # Removing changes the class that torch made for the parametrization, which the original shares.
            own: Any = type(part)
            held = {k: v for k, v in vars(own).items() if k not in ("__dict__", "__weakref__")}
            part.__class__ = own.__class__(own.__name__, own.__bases__, held)
            names: Any = part.parametrizations
            for name in list(names):
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    return copied


def prove_same(module: nn.Module, smaller: nn.Module, example: Any) -> None:
    """Run both in float64, on the example and on random inputs like it.

    Raises:
        PlanError: the outputs differ by more than `BOUND` of the largest.
    """
    first, second = (copy_of(m).double().eval() for m in (module, smaller))
    for given in alike(example):
        try:
            wanted, found = run(first, given), run(second, given)
        except RuntimeError as error:
            raise PlanError(
                f"{type(module).__name__} does not run in float64 ({error}), so nothing shows that its outputs stay "
                "the same; use penjing.plan with method 'zeros' and penjing.apply"
            ) from error
        scale = float(wanted.abs().max()) if wanted.numel() else 0.0
        apart = float((found - wanted).abs().max()) if wanted.shape == found.shape and wanted.numel() else torch.inf
        if wanted.numel() and not apart <= BOUND * max(scale, 1e-12):
            raise PlanError(
                f"the smaller {type(module).__name__} gives outputs that differ by {apart:.2g} where at most "
                f"{BOUND * scale:.2g} was allowed; nothing was changed; leave axes out with protect"
            )
