"""Deriving: from a config or a module to its layout, and from a layout to the config that holds other sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from penjing.core import Layout
from penjing.core.spec import layers_of, opens_with, with_layers
from penjing.errors import LayoutError, PlanError
from penjing.layouts import cache as kept
from penjing.layouts import kv_cache
from penjing.layouts.config.entries import with_entries
from penjing.layouts.config.hold import held
from penjing.layouts.config.layers import held_by_layer
from penjing.layouts.config.modules import held_by_module
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.graph.infer import infer, infer_own
from penjing.layouts.graph.inputs import example as example_of
from penjing.layouts.graph.thin import infer_thin
from penjing.layouts.known import from_config


def of_config(config: Mapping[str, Any], *, cache: bool) -> Layout:
    """The layout of the stock transformers model of a config; with `cache`, how its cache grows is kept for later.

    Raises:
        CheckpointError: the config cannot be built.
        LayoutError: the model cannot be traced, or no example of its inputs is known.
    """
    full = full_config(config)
    module = build(full)
    layout = with_entries(full, module, traced(module), traced)
    if cache:
        kv_cache.remember(config, module)
    return layout


def from_module(module: nn.Module, example: Any, *, graph: bool = False) -> Layout:
    """The layout of any module, from an example of its inputs: a tensor, a tuple of arguments or a dict of keywords.

    No weight is changed. No config is known, so no axis has entries. Axes whose sizes a module of one's own holds as
    numbers in its code are uncut, with the line; with `graph` they are not, for it is the graph that is cut.

    Raises:
        LayoutError: its forward cannot be run without values, or the example is of another kind.
    """
    args, kwargs = split_example(example)
    stock = type(module).__module__.startswith("transformers.")
    return infer_thin(module, args, kwargs, infer if stock or graph else infer_own)


def traced(module: nn.Module) -> Layout:
    """The layout of a stock model on `meta`, without config entries.

    Raises:
        LayoutError: the model cannot be traced, or no example of its inputs is known.
    """
    device = next((p.device.type for p in module.parameters()), "cpu")
    return infer_thin(module, (), example_of(module, device=device), infer)


def hold(
    config: Mapping[str, Any],
    layout: Layout,
    sizes: Mapping[str, int],
    *,
    kept_blocks: Mapping[str, Sequence[int]] | None = None,
    rescaled: Mapping[str, str] | None = None,
    by_layer: bool = False,
    cache: bool = True,
) -> dict[str, Any]:
    """The config whose stock model has these sizes of axes and all others as they are; proved by building it on `meta`.

    `kept_blocks` names the blocks that stay, for each axis of blocks that is cut (the first ones, unless named).
    `rescaled` names constants that may follow the root of an axis, since weights make up for it. `by_layer` lets layers
    have sizes of their own where else nothing holds them, in entries or else named one by one; of a model whose layers
    have, they may anyway.

    Raises:
        PlanError: no stock config holds them; the message names the entry, both sizes and what would open.
        LayoutError: an axis is not known.
    """
    own = layout if _has_entries(config, layout) else from_config(config, cache=cache)
    derive = _cached_trace if cache else _plain_trace
    if layers_of(config):
        uniform = from_config(with_layers(config, {}), cache=cache)
        return held_by_layer(config, uniform, sizes, own, derive)
    try:
        return held(config, own, sizes, derive, kept_blocks, rescaled or {})
    except PlanError:
        if not (by_layer or opens_with(config) != "stock") or kept_blocks or rescaled:
            raise
    try:
        return held_by_layer(config, own, sizes, own, derive)
    except PlanError:
        return held_by_module(config, own, sizes, derive)


def split_example(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keywords of one forward pass.

    Raises:
        LayoutError: the example is neither a tensor nor a tuple nor a dict.
    """
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, tuple | list):
        return tuple(example), {}
    raise LayoutError(
        f"an example of inputs is a tensor, a tuple of arguments or a dict of keywords; found {type(example).__name__}"
    )


def _has_entries(config: Mapping[str, Any], layout: Layout) -> bool:
    """Whether a layout is under the model's own names, so that a new build can be compared with it."""
    names = set(build(full_config(config)).state_dict())
    return bool(layout.entries) and all(t in names for t in layout.patterns)


def _plain_trace(_: Mapping[str, Any], module: nn.Module) -> Layout:
    return traced(module)


def _cached_trace(config: Mapping[str, Any], module: nn.Module) -> Layout:
    name = kept.key(config, None, "traced")
    found = kept.read(name)
    if found is None:
        found = traced(module)
        kept.write(name, found)
    return found
