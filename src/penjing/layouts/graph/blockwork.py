"""The work of a model, block by block of one module list."""

from collections import defaultdict

from penjing.core import Work


def by_block(work: tuple[Work, ...], path: str) -> dict[float, list[Work]]:
    """Each product under its block: by its tensor, or for products of activations by the tensors used around it.

    What lies outside the list keeps its place before (-1) or after (infinity) the blocks.
    """
    inside = f"{path}."
    owners = [int(w.tensor[len(inside) :].split(".", 1)[0]) if w.tensor.startswith(inside) else None for w in work]
    last = max((k for k, o in enumerate(owners) if o is not None), default=-1)
    out: dict[float, list[Work]] = defaultdict(list)
    current: float = -1
    for k, (item, owner) in enumerate(zip(work, owners, strict=True)):
        if k > last:
            current = float("inf")
        elif owner is not None:
            current = owner
        elif item.tensor:
            out[-1].append(item)
            continue
        out[current].append(item)
    return out
