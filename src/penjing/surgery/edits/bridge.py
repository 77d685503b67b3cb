"""Rotating a stream block by block in a draft: each tensor goes through the basis of its block, and bridges come in.

What lies before the blocks (embeddings) goes through the basis of the first, what lies behind them (the last norm, the
head) through the last one. A bridge is a tensor of the block before it, with the stream in both its dimensions.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch

from penjing.core import Blocks, Bridge, Layout, Leaf, Norm, Product, Spec, Work
from penjing.core.pattern import shape
from penjing.errors import PlanError
from penjing.nn.bridge import TENSOR
from penjing.surgery.draft import Draft
from penjing.surgery.edits.rotate import turn
from penjing.surgery.recipe import Recipe
from penjing.surgery.rotating import (
    check_axis,
    check_basis,
    check_cut,
    check_mean,
    check_norm,
    check_readers,
    norms_of,
)


def check(edit: Bridge, draft: Draft) -> None:
    """See that the stream goes through the blocks one after another, and that there is a basis for each.

    Raises:
        PlanError: it is not so.
    """
    check_axis(edit.axis, draft)
    blocks = _blocks(edit, draft)
    if len(draft.blocks[edit.blocks]) != blocks.size:
        raise PlanError("blocks were dropped before; carry that out first, and rotate block by block what that wrote")
    if len(edit.bases) != blocks.size + 1:
        raise PlanError(
            f"{len(edit.bases)} bases were given for {blocks.size} blocks of {blocks.path}; needed one for each and "
            "one for what comes behind them"
        )
    for basis in edit.bases:
        check_basis(edit.axis, basis, draft)
        if basis.shape != edit.bases[0].shape:
            found = f"{basis.shape[1]} and {edit.bases[0].shape[1]}"
            raise PlanError(f"the bases have {found} columns; needed as many each")
    norms = norms_of(draft, edit.axis)
    for norm in norms:
        check_norm(edit.axis, draft, norm)
        check_mean(edit.axis, edit.bases[_place(norm.module + ".", blocks, behind=True)], norm)
    check_readers(norms)
    _check_order(norms, blocks)
    for k in range(blocks.size):
        _like(edit.axis, draft, blocks, k)
    if any(p.startswith(f"{blocks.path}.") and p.count(".") == blocks.path.count(".") + 1 for p in draft.modules):
        raise PlanError(f"blocks of {blocks.path} have been replaced already; rotate before that")
    check_cut(edit.axis, edit.bases[0], draft)


def apply(edit: Bridge, draft: Draft) -> None:
    """Rotate every tensor by its block's basis, and put the bridges in."""
    blocks, layout = _blocks(edit, draft), draft.layout
    behind = _readers(draft, edit.axis)
    likes = [_like(edit.axis, draft, blocks, k) for k in range(blocks.size)]
    turn(edit.axis, lambda name: edit.bases[_place(name, blocks, behind=name in behind)], draft)
    made: dict[str, Recipe] = {}
    for k, like in enumerate(likes):
        first, second = (edit.bases[j].double() for j in (k, k + 1))
        path = f"{blocks.path}.{k}"
        source = draft.recipes[draft.stored(f"{path}.{like.rpartition(':')[0]}")]
        made[f"{path}.{TENSOR}"] = _recipe(edit, f"{path}.{TENSOR}", source, second.T @ first, layout.sizes[edit.axis])
        draft.modules[path] = Spec("bridge", {"like": like})
    draft.recipes.update(made)
    draft.layout = _told(layout, edit, blocks, made)


def _blocks(edit: Bridge, draft: Draft) -> Blocks:
    found = next((b for b in draft.layout.blocks if b.axis == edit.blocks), None)
    if found is None:
        known = ", ".join(b.axis for b in draft.layout.blocks) or "none"
        raise PlanError(f"no list of blocks is named '{edit.blocks}'; this model has {known}")
    return found


def _place(name: str, blocks: Blocks, *, behind: bool) -> int:
    """The basis of a tensor: its block's number, or else the first or the last."""
    found = re.match(rf"{re.escape(blocks.path)}\.(\d+)\.", name)
    return int(found[1]) if found else blocks.size if behind else 0


def _readers(draft: Draft, axis: str) -> set[str]:
    """What reads the stream, and the norms' own tensors: of those outside the blocks, what lies behind them."""
    out: set[str] = set()
    for norm in norms_of(draft, axis):
        out |= {norm.weight, norm.bias}
        out |= {norm.shared.get(r) or draft.stored(r) for r in norm.readers} | {*norm.shared.values()}
    return out - {""}


def _check_order(norms: list[Norm], blocks: Blocks) -> None:
    """Outside the blocks there may be the last norm, whose readers lie outside too."""
    outside = [n for n in norms if not n.module.startswith(f"{blocks.path}.")]
    inside = next((r for n in outside for r in n.readers if r.startswith(f"{blocks.path}.")), "")
    if len(outside) != 1 or inside:
        found = ", ".join(n.module for n in outside) or "none"
        raise PlanError(
            f"of the norms over the stream, {found} lie outside {blocks.path}; needed one, behind the last block: "
            "rotate the whole stream at once instead (method slicegpt)"
        )


def _like(axis: str, draft: Draft, blocks: Blocks, k: int) -> str:
    """A tensor of the block with a dimension that is the stream alone, and which."""
    start = f"{blocks.path}.{k}."
    for name, recipe in draft.recipes.items():
        for dim, part in enumerate(recipe.pattern or ()):
            if name.startswith(start) and len(part.parts) == 1 and getattr(part.parts[0], "name", "") == axis:
                return f"{name[len(start) :]}:{dim}"
    raise PlanError(
        f"no stored tensor of {start[:-1]} has {axis} as a dimension, so nothing can be put behind that block; save "
        "the model again with transformers, or rotate the whole stream at once (method slicegpt)"
    )


def _recipe(edit: Bridge, name: str, like: Recipe, values: torch.Tensor, whole: int) -> Recipe:
    size = len(values)
    place = None if size == whole else torch.arange(size)
    pattern = (Product((Leaf(edit.axis, size),)),) * 2
    return Recipe(
        source=like.source, stored=(whole, whole), pattern=pattern, places=(place, place), values=values.float(),
        brought=name,
    )  # fmt: skip


def _told(layout: Layout, edit: Bridge, blocks: Blocks, made: Mapping[str, Recipe]) -> Layout:
    """The layout with the bridges in it; blocks can no longer be dropped, for each leads to the next."""
    whole = (Product((Leaf(edit.axis, layout.sizes[edit.axis]),)),) * 2
    why = "a bridge leads from each block into the basis of the next"
    axes = dict(layout.axes)
    if blocks.axis in axes:
        axes[blocks.axis] = replace(axes[blocks.axis], state="uncut", reason=why)
    return replace(
        layout,
        axes=axes,
        patterns={**layout.patterns, **dict.fromkeys(made, whole)},
        reads={**layout.reads, **dict.fromkeys(made, (1,))},
        work=(*layout.work, *(_work(layout, edit.axis, name) for name in made)),
    )


def _work(layout: Layout, axis: str, name: str) -> Work:
    """The products of a bridge: as many as those of any matrix that reads the stream, for each of its numbers."""
    start = name.removesuffix(TENSOR)
    like = next((w for w in layout.work if w.tensor.startswith(start) and axis in w.axes), None)
    if like is None:
        return Work(1, (axis, axis), 1, name)
    numbers, sizes = 1, layout.sizes
    for n in shape(layout.patterns[like.tensor], {}):
        numbers *= n
    done = like.constant
    for a in like.axes:
        done *= sizes[a]
    return Work(max(1, round(done / numbers)), (axis, axis), like.tokens, name)

