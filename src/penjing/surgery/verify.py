"""Whether a plan can be carried out and opened again, and what it costs exactly, before anything is written."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from penjing.core import Checkpoint, Layout, Plan, Spec
from penjing.core.layout import State
from penjing.core.pattern import shape
from penjing.errors import CheckpointError, LayoutError, PlanError
from penjing.io.quantised import quantisation, refusal
from penjing.layouts import costs
from penjing.models import opener
from penjing.surgery.dtypes import FLOATS, config_as, stored_as
from penjing.surgery.gains import check_gains
from penjing.surgery.outcome import Outcome, work_out
from penjing.surgery.recipe import Recipe
from penjing.surgery.result_config import ConfigOf, hold_result


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Exact figures of one model. `bytes` are of stored tensors.

    `macs` are multiply-adds of one sample (512 tokens, where there are tokens), `macs_per_token` of generating one
    token after 512, None for models without tokens; `kv_cache_bytes_per_token` is None where there is no such cache.
    """

    parameters: int
    bytes: int
    macs: float
    macs_per_token: float | None = None
    kv_cache_bytes_per_token: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A plan that can be carried out: the new config, tensors and costs.

    `recipes` tell how each tensor of the result is made, by its new name; `dropped` names tensors of dropped blocks,
    `renamed` maps old names to new, `untied` tensors that are stored apart to what they were tied to; `sizes` are the
    sizes of the result's axes, under the names in the layout given, and `whole` what they were; `strangers` are tensors
    of the result that its class does not know, as it did not before; `modules` stand in for others, by their paths in
    the model before the plan; `notes` are remarks for people.
    """

    config: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    dtypes: Mapping[str, torch.dtype]
    sizes: Mapping[str, int]
    whole: Mapping[str, int]
    before: Costs
    after: Costs
    blocks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    untied: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    modules: Mapping[str, Spec] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def opens_with(self) -> str:
        """What opens the result: "stock" loaders, or "penjing" alone."""
        return opener(self.config)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every tensor of the result."""
        return {n: r.shape for n, r in self.recipes.items()}


def verify(
    checkpoint: Checkpoint,
    layout: Layout,
    plan: Plan,
    *,
    allow_sensitive: bool = False,
    allow_nonfinite: bool = False,
    config_of: ConfigOf | None = None,
    dtype: torch.dtype | None = None,
    by_layer: bool = False,
) -> Verified:
    """Check every edit, find the config that holds the result, and count what it costs.

    A checkpoint without a config (a module of one's own) gets no config check. `config_of` finds the new config;
    it is `penjing.layouts.config.hold` unless another is given. `dtype` is what the result's floating point tensors are
    stored in; None keeps each one's own. `by_layer` lets layers end at widths of their own, where no stock config
    holds the result otherwise; then only `penjing.load` opens it.

    Raises:
        PlanError: an edit does not fit, an axis may not be cut, values are not finite (unless allowed), or no stock
            config holds the result.
    """
    if config_of is None:
        from penjing.layouts import hold

        config_of = partial(hold, by_layer=by_layer)
    may_cut: frozenset[State] = frozenset({"free", "sensitive"} if allow_sensitive else {"free"})
    outcome = work_out(layout, checkpoint.shapes, plan, may_cut=may_cut)
    _check_numbers(checkpoint, layout, outcome)
    dtypes = stored_as({n: checkpoint.dtypes[r.source] for n, r in outcome.recipes.items()}, dtype)
    _check_values(outcome, dtypes, allow_nonfinite)
    strangers = _strangers(checkpoint, layout, outcome)
    of, sizes = outcome.layout, {a: outcome.sizes.get(a, 0) for a in outcome.layout.axes}
    config = dict(checkpoint.config)
    if config:
        config, of, sizes = hold_result(config, layout, outcome, config_of)
        _check_shapes(config, outcome)
    config = config_as(config, dtype) if config and dtype is not None else config
    kv, note = _caches(checkpoint, config, dtypes)
    unknown = _told_of_strangers(config, strangers)
    opened = ("no stock loader opens the result; penjing.load does",) if opener(config) != "stock" else ()
    remarks = (*opened, *unknown, *_notes(layout, outcome, plan), *check_gains(checkpoint, outcome), *note)
    return Verified(
        config=config,
        recipes=outcome.recipes,
        dtypes=dtypes,
        sizes=outcome.sizes,
        whole=layout.sizes | outcome.layout.sizes | {b.axis: b.size for b in layout.blocks},
        before=_costs(layout, layout.sizes, checkpoint.shapes, checkpoint.dtypes, kv[0]),
        after=_costs(of, sizes, {n: r.shape for n, r in outcome.recipes.items()}, dtypes, kv[1], outcome.untied),
        blocks=outcome.blocks,
        dropped=outcome.dropped,
        renamed=outcome.renamed,
        untied=outcome.untied,
        strangers=strangers,
        modules=outcome.modules,
        notes=remarks,
    )


def _check_numbers(checkpoint: Checkpoint, layout: Layout, outcome: Outcome) -> None:
    """Refuse to edit codes: what decodes them would stay as it is. Whole blocks go with all that is in them."""
    edited = [r.source for r in outcome.recipes.values() if not r.untouched]
    if edited and quantisation(checkpoint):
        raise PlanError(f"the model {refusal(checkpoint)}")
    unknown = [r.source for r in outcome.recipes.values() if r.pattern is None or r.source in layout.unreached]
    for name in edited:
        beside = next((n for n in unknown if n.startswith((f"{name}_", f"{name}."))), "")
        if beside:
            raise PlanError(
                f"{beside} seems to belong to {name}, which the plan edits, and nothing shows how it would have to "
                "follow: the model's class does not know it, or never reads it; merge it into the weights first, name "
                "the model class that reads it in 'architectures', or leave that axis whole"
            )


def _strangers(checkpoint: Checkpoint, layout: Layout, outcome: Outcome) -> tuple[str, ...]:
    """The names in the result of tensors that the model's class does not know, such as a head for another purpose.

    Raises:
        PlanError: the plan cuts the width that such a tensor seems to read.
    """
    if not checkpoint.config or not layout.unreached:
        return ()
    from penjing.layouts import build
    from penjing.layouts.config.stored import strangers

    old = [n for n in strangers(build(checkpoint.config), checkpoint.shapes) if n in set(layout.unreached)]
    cut = {a.size: a for a in layout.axes.values()
           if a.kind == "residual" and outcome.sizes.get(a.name, a.size) != a.size}  # fmt: skip
    for name in old:
        axis = next((cut[n] for n in checkpoint.shapes[name] if n in cut), None)
        if axis is not None:
            raise PlanError(
                f"{name} {list(checkpoint.shapes[name])} is not known to the model's class and seems to read "
                f"'{axis.name}' ({axis.size}), which the plan cuts; name the class that has it in the config's "
                "'architectures', take it out of the files, or leave that axis whole"
            )
    return tuple(outcome.renamed.get(n, n) for n in old if n not in outcome.dropped)


def _told_of_strangers(config: Mapping[str, Any], strangers: tuple[str, ...]) -> list[str]:
    first = next(iter(strangers), None)
    if first is None:
        return []
    classes = list(config.get("architectures") or [])
    named = classes[0] if classes else "the bare model, as the config names no class"
    rest = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
    return [f"the files hold {first}{rest}, unknown to {named}: kept as in the original"]


def _check_values(outcome: Outcome, dtypes: Mapping[str, torch.dtype], allow_nonfinite: bool) -> None:
    for name, recipe in outcome.recipes.items():
        if (recipe.mapped or recipe.fill) and dtypes[name] not in FLOATS:
            raise PlanError(f"{name} is stored as {dtypes[name]}, which no linear map can go through; unpack it first")
        if recipe.values is None:
            continue
        if not dtypes[name].is_floating_point and recipe.values.is_floating_point():
            raise PlanError(f"{name} is stored as {dtypes[name]}, which cannot hold values of {recipe.values.dtype}")
        stored = recipe.values.to(dtypes[name])
        if not allow_nonfinite and stored.is_floating_point() and not bool(stored.float().isfinite().all()):
            raise PlanError(f"the plan's values of {name} are NaN or infinite as {dtypes[name]}; repair the plan")


def _check_shapes(config: Mapping[str, Any], outcome: Outcome) -> None:
    """Compare with the tensors that stock code makes of the new config, wherever the names agree."""
    from penjing.layouts import build

    try:
        wanted = {n: tuple(t.shape) for n, t in build(config).state_dict().items()}
    except CheckpointError as error:
        raise PlanError(f"the result would not open: {error}") from error
    for name, recipe in outcome.recipes.items():
        if recipe.brought and name not in wanted:
            raise PlanError(
                f"the files name {name.rpartition('.')[0]} otherwise than the stock code does, so nothing can be put "
                "there; protect it, or open the model with transformers, save it again, and plan on that"
            )
        if name in wanted and wanted[name] != recipe.shape:
            raise PlanError(
                f"the result would not open: {name} would be {list(recipe.shape)}, and stock code makes it "
                f"{list(wanted[name])} from the new config; cut axes that a config entry holds"
            )


def _caches(
    checkpoint: Checkpoint, config: Mapping[str, Any], dtypes: Mapping[str, torch.dtype]
) -> tuple[tuple[int | None, int | None], tuple[str, ...]]:
    """((cache bytes per token before, after), remarks)."""
    if not config:
        return (None, None), ()
    itemsize = _itemsize(checkpoint.dtypes, checkpoint.shapes)
    small = _itemsize(dtypes, checkpoint.shapes)
    try:
        before = costs.kv_cache_bytes_per_token(checkpoint.config, itemsize)
        same = config == checkpoint.config and small == itemsize
        after = before if same else costs.kv_cache_bytes_per_token(config, small)
    except LayoutError as error:
        return (None, None), (str(error),)
    return (before or None, after or None), ()


def _itemsize(dtypes: Mapping[str, torch.dtype], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Bytes of the dtype that most matrices are stored in."""
    found: dict[int, int] = {}
    for name, dtype in dtypes.items():
        found[dtype.itemsize] = found.get(dtype.itemsize, 0) + math.prod(shapes.get(name, (1,)))
    return max(found, key=lambda size: found[size], default=2)


def _costs(
    layout: Layout,
    sizes: Mapping[str, int],
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, torch.dtype],
    cache: int | None,
    apart: Collection[str] = (),
) -> Costs:
    tokens = any(w.tokens for w in layout.work)
    second = {n for n in shapes if n not in apart and _second_name(layout, n, shapes)}
    stored = {n: s for n, s in shapes.items() if not costs.is_buffer(n) and n not in second}
    return Costs(
        parameters=sum(math.prod(s) for s in stored.values()),
        bytes=sum(math.prod(s) * dtypes[n].itemsize for n, s in shapes.items()),
        macs=costs.macs(layout, sizes),
        macs_per_token=costs.macs_per_token(layout, sizes) if tokens else None,
        kv_cache_bytes_per_token=cache,
    )


def _second_name(layout: Layout, name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a stored tensor is a second copy of a tied one that is stored as well."""
    return name in layout.aliases and layout.aliases[name] in shapes


def _notes(layout: Layout, outcome: Outcome, plan: Plan) -> list[str]:
    edited = {t for edit in plan for t in edit.tensors}
    out = [
        f"{name} is stored apart from {twin}, to which it was tied: {math.prod(outcome.recipes[name].shape):,} "
        "parameters more"
        for name, twin in outcome.untied.items()
    ]
    out += [
        f"{name} takes no part in the forward pass; the plan edits it all the same"
        for name in layout.unreached
        if name in edited
    ]
    unknown = [n for n, r in outcome.recipes.items() if r.pattern is None]
    if unknown:
        out.append(f"{len(unknown)} stored tensors are not in the layout and stay as they are (such as {unknown[0]})")
    for name, recipe in outcome.recipes.items():
        if recipe.pattern is not None and shape(recipe.pattern, {}) != recipe.shape:
            raise PlanError(f"{name} would be {list(recipe.shape)}, unlike its pattern; report the model and the plan")
    return out
