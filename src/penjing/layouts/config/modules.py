"""Models of which some layers have sizes that no entry holds: these layers are written down one by one."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from penjing.core import Layout, Pattern, Spec
from penjing.core.pattern import cut, groups_after, shape
from penjing.core.spec import specs_of, with_specs
from penjing.errors import CheckpointError, PenjingError, PlanError
from penjing.layouts.config import hold
from penjing.layouts.config.left_open import shapes_of
from penjing.layouts.config.stock import build
from penjing.nn import resized

KIND = "resized"


def held_by_module(
    config: Mapping[str, Any], layout: Layout, sizes: Mapping[str, int], derive: hold.Derive
) -> dict[str, Any]:
    """The config of the same model with the layers named whose tensors have other sizes; proved by a new trace.

    What the stock code keeps as a number of its own (heads, a width to view by) does not follow, so the trace fails or
    groups a dimension otherwise, and the plan is refused.

    Raises:
        PlanError: the stock code cannot run with these sizes.
    """
    moved = {a: n for a, n in sizes.items() if a in layout.axes and n != layout.axes[a].size}
    expected = {t: cut(p, moved) for t, p in layout.patterns.items()}
    others = {path: s for path, s in specs_of(config).items() if s.kind != KIND}
    now, plain = build(config), build(with_specs(config, others))
    found = dict(_resized(plain, now, layout.patterns, expected))
    shared = next((t for t in {*layout.aliases, *layout.aliases.values()} if t.rpartition(".")[0] in found), "")
    if shared:
        raise PlanError(f"{shared} is stored once for two layers, so its size cannot be told of one; leave it whole")
    new = with_specs(config, {**others, **found})
    told = {f"the layer {path}": spec.settings["shapes"] for path, spec in list(found.items())[:3]}
    try:
        module = build(new)
    except PenjingError as error:
        raise PlanError(f"the stock code takes no layers of these sizes: {error}") from error
    hold.compare_shapes(expected, shapes_of(module), told, moved)
    hold.compare_patterns(expected, new, module, derive, told, moved)
    return new


def _resized(
    plain: nn.Module, now: nn.Module, before: Mapping[str, Pattern], after: Mapping[str, Pattern]
) -> Iterator[tuple[str, Spec]]:
    """(path, what stands there) of each module with a tensor whose shape is another than the stock code makes it."""
    stock = shapes_of(plain)
    owners: dict[str, dict[str, resized.Shape]] = {}
    for tensor, pattern in after.items():
        made = shape(pattern, {})
        if tensor in stock and len(stock[tensor]) == len(made) and stock[tensor] != made:
            path, _, name = tensor.rpartition(".")
            lengths = tuple(None if n == old else n for n, old in zip(made, stock[tensor], strict=True))
            owners.setdefault(path, {})[name] = lengths
    for path, shapes in owners.items():
        if not path:
            raise PlanError(f"{next(iter(shapes))} belongs to the model itself, whose size only a config holds")
        try:
            part: Any = now.get_submodule(path)
        except AttributeError as error:
            raise CheckpointError(f"the model has no module '{path}'") from error
        count = getattr(part, "num_groups" if isinstance(part, nn.GroupNorm) else "groups", 1)
        weight = f"{path}.weight"
        groups = groups_after(count, before.get(weight), after.get(weight)) if isinstance(count, int) else 1
        yield path, resized.spec(shapes, groups if groups > 1 or count != groups else 0)
