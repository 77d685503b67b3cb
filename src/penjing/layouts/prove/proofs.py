"""The graph proof of a whole layout: which of its free axes have been shown to equal their masks."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.errors import LayoutError
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.derive import from_config, from_module, split_example
from penjing.layouts.graph.inputs import example as example_of
from penjing.layouts.prove import proof
from penjing.nn.attention import freed


def prove(
    source: nn.Module | Mapping[str, Any],
    example: Any = None,
    *,
    layout: Layout | None = None,
    seeds: Sequence[int] = (0, 1),
) -> Layout:
    """The layout with "graph" among the proofs of each free axis that was cut at random and equalled its mask.

    `source` is a module with an example of its inputs, or a config, which is built on the CPU: shrink its widths and
    depth first if it is large. Axes of `layout` are looked up by name.

    Raises:
        LayoutError: the module cannot be recorded, or a free axis did not equal its mask.
    """
    if isinstance(source, nn.Module):
        if example is None:
            raise LayoutError("proving a module needs an example of its inputs; pass a tensor, a tuple or a dict")
        module, (args, kwargs) = source, split_example(example)
        known = layout or from_module(source, example)
    else:
        module = build(full_config(source), device="cpu")
        args, kwargs = (), example_of(module, device="cpu")
        known = layout or from_config(source)
    own = isinstance(source, nn.Module) and not type(source).__module__.startswith("transformers.")
    with freed(module) if own else nullcontext():
        results = proof.prove(module, args, kwargs, seeds=seeds)
    confirm(results.values())
    axes = {
        n: replace(a, proofs=tuple(dict.fromkeys((*a.proofs, "graph")))) if n in results and results[n].ok else a
        for n, a in known.axes.items()
    }
    return replace(known, axes=axes)


def confirm(results: Iterable[proof.ProofResult]) -> None:
    """Pass when no cut that made a difference differed from its mask.

    Raises:
        LayoutError: one did.
    """
    wrong = [r for r in results if r.changed and not r.ok]
    if wrong:
        raise LayoutError(
            f"cutting '{wrong[0].axis}' differs from masking it by {wrong[0].error:.1e} of the output; "
            "this is a fault in penjing: protect the axis and report it"
        )
