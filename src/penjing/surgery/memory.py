"""A plan carried out on a live module, and the reference it is held to: the same shapes with zeros."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Layout, Plan
from penjing.core.copies import copy_of
from penjing.core.spec import with_specs
from penjing.errors import PlanError
from penjing.io import open_checkpoint
from penjing.nn import fill_in, put_in
from penjing.surgery import cut
from penjing.surgery.attributes import Candidate, candidates, counts_groups, follow, follow_told
from penjing.surgery.draft import pattern_of
from penjing.surgery.outcome import work_out
from penjing.surgery.outputs import agree, run
from penjing.surgery.recipe import Recipe, as_stored, spread
from penjing.surgery.result_config import specs_after, without_blocks
from penjing.surgery.verify import Verified, verify

TRIALS = 64
"""How many sets of attributes are tried before a module of one's own is refused."""


def apply(
    module: nn.Module,
    layout: Layout,
    plan: Plan,
    *,
    verified: Verified | None = None,
    in_place: bool = False,
    example: Any = None,
    allow_sensitive: bool = False,
    stock: bool = True,
) -> nn.Module:
    """The smaller module; its tensors are those that `stream` writes, bit for bit.

    A stock module is built again from the config that holds the result. Of any other module, and of a stock one if not
    `stock`, a copy is cut (or the module itself, `in_place`), with the sizes that torch's layers keep. With `example`
    (tensor, tuple or dict: what the forward pass takes) the result is held to its mask, and counts that a module keeps
    (such as `num_heads`) are found by trying. Not `stock` takes cuts that no config holds; its config then does not
    tell the truth, and what it saves no stock loader opens.

    Raises:
        PlanError: the plan does not fit, or the module computes something else than its mask.
    """
    config = stock_config(module) if stock else {}
    if not stock and example is None and stock_config(module):
        raise PlanError("a stock module cut beyond its config must be held to its mask; pass an example of its inputs")
    if verified is None:
        verified = verify(open_checkpoint(module, config=config), layout, plan, allow_sensitive=allow_sensitive)
    recipes = own_recipes(module, layout, plan, verified.recipes, config)
    if config:
        smaller = _rebuild(module, recipes, verified.config)
        if not in_place:
            return smaller
        module.__dict__ = smaller.__dict__
        return module
    reference = masked(module, layout, plan) if example is not None else None
    smaller = module if in_place else copy_of(module)
    state = (smaller if in_place else module).state_dict()
    put_in(smaller, verified.modules)
    _drop_blocks(smaller, layout, verified.blocks)
    _set(smaller, {n: cut_of(r, state) for n, r in recipes.items()}, verified.untied)
    patterns = {n: p for n, r in recipes.items() if not r.brought and (p := pattern_of(layout, r.source)) is not None}
    follow(smaller, recipes, patterns)
    follow_told(smaller, layout, verified.sizes)
    if reference is not None:
        cut_axes = [a for a in layout.axes.values() if verified.sizes.get(a.name, a.size) != a.size]
        strict = all(a.state == "free" for a in cut_axes)
        _settle(smaller, reference, example, candidates(smaller, recipes, patterns), strict)
    return smaller


def masked(module: nn.Module, layout: Layout, plan: Plan) -> nn.Module:
    """A copy of the module in its old shapes, with zeros wherever the plan takes units away: the reference.

    Masks and updates of the plan are in it, at the places that stay. Dropped blocks are really dropped.

    Raises:
        PlanError: the plan does not fit.
    """
    config = stock_config(module)
    checkpoint = open_checkpoint(module, config=config)
    outcome = work_out(layout, checkpoint.shapes, plan) if _same_names(module, layout) else None
    recipes = own_recipes(module, layout, plan, {} if outcome is None else outcome.recipes, config)
    if outcome is not None and outcome.blocks and config:
        new = with_specs(without_blocks(config, layout, outcome), specs_after(config, layout, outcome, whole=True))
        copied = _rebuild(module, as_stored(recipes), new)
    else:
        copied = copy_of(module)
        put_in(copied, {} if outcome is None else outcome.modules)
        _drop_blocks(copied, layout, {} if outcome is None else outcome.blocks)
    state = module.state_dict()
    untied = {} if outcome is None else outcome.untied
    _set(copied, {n: old_shape(r, state) for n, r in recipes.items() if not r.untouched}, untied)
    return copied


def stock_config(module: nn.Module) -> dict[str, Any]:
    """The config of a module of transformers, with its class in `architectures`; empty for any other module."""
    held: Any = getattr(module, "config", None)
    if not type(module).__module__.startswith("transformers.") or not hasattr(held, "to_dict"):
        return {}
    return {**held.to_dict(), "architectures": [type(module).__name__]}


def own_recipes(
    module: nn.Module, layout: Layout, plan: Plan, recipes: Mapping[str, Recipe], config: Mapping[str, Any]
) -> dict[str, Recipe]:
    """The recipes under the names that the module itself uses, which may differ from those in files.

    Raises:
        PlanError: the plan edits a tensor that the module holds in another form than the files.
    """
    state = module.state_dict()
    if recipes and all(r.source in state for r in recipes.values()):
        return dict(recipes)
    if not config:
        raise PlanError("the layout and the module name their tensors differently; derive the layout from this module")
    from penjing.layouts import from_config
    from penjing.layouts.config.stored import one_to_one

    own = from_config(config)
    names = one_to_one(module, {r.source: r.stored for r in recipes.values()})
    plan = Plan(tuple(_renamed(edit, names) for edit in plan), plan.made)
    wrong = next((t for edit in plan for t in edit.tensors if t not in state), None)
    if wrong is not None:
        raise PlanError(f"{wrong} is held in another form by the module than by files: make the plan from the module")
    checkpoint = open_checkpoint(module, config=config)
    return dict(work_out(own, checkpoint.shapes, plan).recipes)


def _renamed(edit: Any, names: Mapping[str, str]) -> Any:
    """The edit of a tensor by the module's name for it."""
    own = names.get(edit.tensors[0]) if len(edit.tensors) == 1 and hasattr(edit, "tensor") else None
    return edit if own is None else replace(edit, tensor=own)


def _same_names(module: nn.Module, layout: Layout) -> bool:
    state = module.state_dict()
    return all(n in state for n in layout.patterns)


def cut_of(recipe: Recipe, tensors: Mapping[str, Tensor]) -> Tensor:
    """What a recipe makes of stored tensors, as a tensor of its own on the device of the one it is made of."""
    stored = tensors[recipe.source]
    out = cut.whole(recipe, tensors, stored.dtype).to(stored.device)
    return out.clone() if out.data_ptr() == stored.data_ptr() else out


def old_shape(recipe: Recipe, tensors: Mapping[str, Tensor]) -> Tensor:
    """What a recipe makes, at its places in zeros of the stored shape: what a mask has in place of the tensor."""
    return spread(cut_of(recipe.in_old_shape(), tensors), recipe)


def _rebuild(module: Any, recipes: Mapping[str, Recipe], config: Mapping[str, Any]) -> nn.Module:
    """The stock module of a config with the cut tensors loaded, every name accounted for."""
    from transformers.initialization import no_init_weights

    from penjing.layouts.config.layers import mix_in
    from penjing.layouts.config.stock import quiet, read_config

    settings = read_config(config)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    made = partial(type(module)._from_config, dtype=dtype, attn_implementation=module.config._attn_implementation)
    with quiet(), no_init_weights():
        smaller = made(settings)
        fill_in(mix_in(smaller, config, lambda c: made(read_config(c))), config, strict=True)
    smaller.tie_weights()
    state = module.state_dict()
    values = {n: cut_of(r, state) for n, r in recipes.items()}
    shared = tied(smaller)
    try:
        found = smaller.load_state_dict(values, strict=False, assign=True)
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise PlanError(f"the new config does not hold the cut tensors: {last}") from error
    missing = [n for n in found.missing_keys if n not in shared or not shared[n] & values.keys()]
    if missing or found.unexpected_keys:
        wrong = (missing or found.unexpected_keys)[0]
        raise PlanError(f"the new config and the cut tensors do not agree on {wrong}; report the model and the plan")
    _tie(smaller, shared, values)
    return smaller.train(module.training).to(next(module.parameters()).device)


def tied(module: nn.Module) -> dict[str, set[str]]:
    """Name -> the other names of the same tensor, for tensors that have several."""
    groups: dict[int, set[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), set()).add(name)
    return {n: group - {n} for group in groups.values() if len(group) > 1 for n in group}


def _tie(module: nn.Module, shared: Mapping[str, set[str]], values: Mapping[str, Tensor]) -> None:
    """Give every other name of a tied tensor the one that was loaded."""
    for name, others in shared.items():
        if name in values and not any(o in values and o < name for o in others):
            kept = module.get_parameter(name)
            for other in others:
                owner, _, last = other.rpartition(".")
                setattr(module.get_submodule(owner), last, kept)


def _set(module: nn.Module, values: Mapping[str, Tensor], apart: Collection[str] = ()) -> None:
    """Put new tensors in the places of old ones, under every name that an old one has; those `apart` under one."""
    state = module.state_dict(keep_vars=True)
    by_identity: dict[int, Tensor] = {}
    alone: dict[str, Tensor] = {}
    for name, value in values.items():
        old = state[name]
        new: Tensor = nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value
        if name in apart:
            alone[name] = new
        else:
            by_identity[id(old)] = new
    for name, old in state.items():
        if name in alone:
            owner, _, last = name.rpartition(".")
            setattr(module.get_submodule(owner), last, alone[name])
        elif id(old) in by_identity:
            owner, _, last = name.rpartition(".")
            setattr(module.get_submodule(owner), last, by_identity[id(old)])


def _drop_blocks(module: nn.Module, layout: Layout, blocks: Mapping[str, tuple[int, ...]]) -> None:
    for block in layout.blocks:
        if block.axis in blocks:
            owner, _, last = block.path.rpartition(".")
            parts = list(module.get_submodule(block.path).children())
            kept = [parts[k] for k in blocks[block.axis]]
            kind = nn.Sequential(*kept) if isinstance(module.get_submodule(block.path), nn.Sequential) else None
            setattr(module.get_submodule(owner), last, kind or nn.ModuleList(kept))


def _settle(module: nn.Module, reference: nn.Module, example: Any, found: list[Candidate], strict: bool) -> None:
    """Find the attributes that make the module compute what its mask does; leave them set.

    Raises:
        PlanError: no set of them does.
    """
    wanted = run(reference, example)
    why = ""
    for chosen in _sets(found):
        for c in chosen:
            setattr(module.get_submodule(c.path), c.attribute, c.new)
        try:
            given = run(module, example)
            if not strict or agree(given, wanted):
                return
            why = why or f"its output is {list(given.shape)} and differs from its mask, {list(wanted.shape)}"
        except (RuntimeError, ValueError, IndexError, AssertionError, TypeError) as error:
            why = why or f"its forward pass fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        for c in chosen:
            setattr(module.get_submodule(c.path), c.attribute, c.old)
    tried = "; tried " + ", ".join(str(c) for c in found) if found else "; no attribute of it holds a size that moved"
    raise PlanError(
        f"the cut {type(module).__name__} does not equal its mask: {why}{tried}; leave these axes out, or make the "
        "forward pass take its sizes from the weights"
    )


def _sets(found: list[Candidate]) -> list[tuple[Candidate, ...]]:
    heads = tuple(c for c in found if counts_groups(c))
    rest = [s for k in (1, 2, 3) for s in combinations(found, k)]
    return list(dict.fromkeys([(), heads, tuple(found), *rest]))[:TRIALS]
