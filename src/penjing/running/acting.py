"""A module that acts as if a plan were done, for as long as it is needed, in its old shapes."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Layout, Spec
from penjing.errors import DataError
from penjing.nn import put_in, set_module
from penjing.surgery import Outcome, Recipe
from penjing.surgery.maps import Gain
from penjing.surgery.memory import old_shape


@contextmanager
def acting(module: nn.Module, layout: Layout, outcome: Outcome, names: Mapping[str, str]) -> Iterator[list[Tensor]]:
    """Weights as the plan leaves them, with zeros where units go; blocks that go are out; tied tensors may part.

    Gives the module's own tensors that are changed. Afterwards all is again what it was, bit for bit. `names` maps
    stored names to those of the module where they differ.

    Raises:
        DataError: the module has no tensor that the plan changes.
    """
    lists = {b.axis: b.path for b in layout.blocks}
    with ExitStack() as stack:
        state = module.state_dict(keep_vars=True)
        _put_in(module, outcome.modules, stack)
        changed = _changed(module, outcome, names, state, stack)
        stack.enter_context(_without(module, {lists[a]: kept for a, kept in outcome.blocks.items()}))
        yield changed


def _put_in(module: nn.Module, specs: Mapping[str, Spec], stack: ExitStack) -> None:
    """Put modules in the places of others; the stack puts the old ones back."""
    for path, spec in sorted(specs.items()):
        for where, old in put_in(module, {path: spec}).items():
            stack.callback(set_module, module, where, old)


def _changed(
    module: nn.Module, outcome: Outcome, names: Mapping[str, str], state: Mapping[str, Any], stack: ExitStack
) -> list[Tensor]:
    """Change the tensors; the stack puts them back. `state` is what they were before any module was put in."""
    now = module.state_dict(keep_vars=True)
    changed: list[Tensor] = []
    apart: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, recipe in _in_order(outcome):
            if recipe.untouched:
                continue
            own = names.get(recipe.source, recipe.source)
            if own not in state:
                raise DataError(f"the running model has no tensor '{own}'; make the layout from this model")
            new = old_shape(recipe, _Stored(state, names))
            if recipe.brought:
                now[recipe.brought].copy_(new)
                changed.append(now[recipe.brought])
                continue
            if name in outcome.untied:
                apart[names.get(name, name)] = new
                continue
            stack.callback(_put_back, state[own], state[own].detach().clone())
            state[own].copy_(new.to(state[own].device))
            changed.append(state[own])
    for own, new in apart.items():
        stack.callback(_set, module, own, state[own])
        _set(module, own, nn.Parameter(new.to(state[own].device), requires_grad=state[own].requires_grad))
        changed.append(state[own])
    return changed


def _in_order(outcome: Outcome) -> list[tuple[str, Recipe]]:
    """The recipes, each before those that change what it is made of: gains and biases of norms come last."""
    recipes = outcome.recipes
    last = {
        factor.recipe.source
        for recipe in recipes.values()
        for one in recipe.maps
        for factor in (one.factors if one is not None else ())
        if isinstance(factor, Gain)
    }
    last |= {r.added.vector.source for r in recipes.values() if r.added is not None}

    def place(item: tuple[str, Recipe]) -> int:
        name, recipe = item
        return 2 if recipe.source in last else 0 if name in outcome.untied or _adds(recipe) else 1

    return sorted(recipes.items(), key=place)


def _adds(recipe: Recipe) -> bool:
    return recipe.added is not None or (recipe.before is not None and _adds(recipe.before))


class _Stored(Mapping[str, Tensor]):
    """The tensors of a module by their stored names."""

    def __init__(self, state: Mapping[str, Tensor], names: Mapping[str, str]) -> None:
        self._state, self._names = state, names

    def __getitem__(self, name: str) -> Tensor:
        return self._state[self._names.get(name, name)].detach()

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)


def _put_back(tensor: Tensor, before: Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(before)


def _set(module: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, last = name.rpartition(".")
    setattr(module.get_submodule(owner), last, tensor)


@contextmanager
def _without(module: nn.Module, kept: Mapping[str, tuple[int, ...]]) -> Iterator[None]:
    """While the block runs, the lists at these paths hold only some of their parts."""
    before: list[tuple[nn.Module, str, Any]] = []
    try:
        for path, units in kept.items():
            owner, _, last = path.rpartition(".")
            whole = module.get_submodule(path)
            parts = [list(whole.children())[k] for k in units]
            before.append((module.get_submodule(owner), last, whole))
            short = nn.Sequential(*parts) if isinstance(whole, nn.Sequential) else nn.ModuleList(parts)
            setattr(module.get_submodule(owner), last, short)
        yield
    finally:
        for owner, last, whole in reversed(before):
            setattr(owner, last, whole)
