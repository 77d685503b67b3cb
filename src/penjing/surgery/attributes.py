"""The numbers that modules remember of their tensors, brought in line after the tensors were cut."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from penjing.core import Layout
from penjing.core.pattern import Leaf, Pattern, Product, groups_after, leaves, shape, size
from penjing.nn import attention
from penjing.nn.resized import fit
from penjing.surgery.recipe import Recipe


@dataclass(frozen=True)
class Candidate:
    """A number that a module holds, which may have to follow an axis that was cut."""

    path: str
    attribute: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path or 'the module'}.{self.attribute} ({self.old} -> {self.new})"


def follow(module: nn.Module, recipes: Mapping[str, Recipe], before: Mapping[str, Pattern]) -> None:
    """Set the sizes that torch's own layers keep, from the cut tensors they hold now; changes `module`.

    `before` has the patterns before the plan: the counts of groups follow from both.
    """
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        weight = getattr(part, "weight", None)
        name = f"{prefix}weight"
        if isinstance(part, nn.RNNBase):
            _recurrent(part)
        elif isinstance(weight, Tensor):
            recipe, pattern = recipes.get(name), before.get(name)
            count = getattr(part, "num_groups" if isinstance(part, nn.GroupNorm) else "groups", 1)
            after = None if recipe is None else recipe.pattern
            fit(part, groups_after(count, pattern, after) if isinstance(count, int) else 0)


def _recurrent(part: Any) -> None:
    part.input_size = part.weight_ih_l0.shape[1]
    if part.proj_size:
        part.proj_size = part.weight_hh_l0.shape[1]
        part.hidden_size = part.weight_hr_l0.shape[1]
    else:
        part.hidden_size = part.weight_hh_l0.shape[1]


def follow_told(module: nn.Module, layout: Layout, sizes: Mapping[str, int]) -> None:
    """Set the attributes that the layout says follow its axes, where they still hold what they held for it.

    torch's attention that was cut computes by its tensors from then on.
    """
    for name, pattern in layout.attributes.items():
        path, _, attribute = name.rpartition(".")
        part = module.get_submodule(path)
        held, old, new = getattr(part, attribute, None), shape(pattern, {}), shape(pattern, sizes)
        if isinstance(held, tuple) and held == old:
            setattr(part, attribute, new)
        elif [held] == list(old):
            setattr(part, attribute, new[0])
    for part in module.modules():
        if isinstance(part, nn.MultiheadAttention):
            attention.fit(part)
    for part in module.modules():
        if isinstance(part, nn.TransformerEncoder) and any(isinstance(m, attention.Attention) for m in part.modules()):
            part.use_nested_tensor = False  # only torch's own kernels take such


def candidates(module: nn.Module, recipes: Mapping[str, Recipe], before: Mapping[str, Pattern]) -> list[Candidate]:
    """The whole numbers in modules that equal a size that moved below them: those named like counts of heads first."""
    found: dict[tuple[str, str], Candidate] = {}
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        below = [n for n in recipes if n.startswith(prefix) and n in before]
        moved = dict(m for n in below for m in _moved(before[n], recipes[n].pattern))
        for attribute, value in _numbers(part):
            if value in moved and not _is_torch(part):
                found[path, attribute] = Candidate(path, attribute, value, moved[value])
    return sorted(found.values(), key=lambda c: (not counts_groups(c), -c.path.count(".")))


def counts_groups(candidate: Candidate) -> bool:
    """Whether the attribute is named like a count of heads or groups."""
    return "head" in candidate.attribute or "group" in candidate.attribute


def _moved(before: Pattern, after: Pattern | None) -> Iterator[tuple[int, int]]:
    """(old, new) of every leaf, run of factors and dimension that changed size."""
    for old, new in zip(before, after or (), strict=True):
        yield from _changed(size(old, {}), size(new, {}))
        for a, b in zip(leaves(old), leaves(new), strict=True):
            yield from _changed(a.size, b.size)
        for k in range(2, len(old.parts)):
            yield from _changed(_product(old, k), _product(new, k))


def _changed(old: int, new: int) -> Iterator[tuple[int, int]]:
    if old != new:
        yield old, new


def _product(dim: Product, count: int) -> int:
    return math.prod(p.size if isinstance(p, Leaf) else size(p, {}) for p in dim.parts[:count])


def _numbers(part: nn.Module) -> Iterator[tuple[str, Any]]:
    for attribute, value in vars(part).items():
        if isinstance(value, int) and not isinstance(value, bool) and not attribute.startswith("_"):
            yield attribute, value


def _is_torch(part: nn.Module) -> bool:
    return type(part).__module__.startswith("torch.nn.modules") and any(True for _ in part.parameters(recurse=False))
