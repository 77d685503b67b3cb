"""A model as the roofline sees it: products with their weights, attention scores, and the cache."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import prod

import torch

from penjing.core import Layout
from penjing.core.pattern import shape as sizes_of
from penjing.layouts import costs


@dataclass(frozen=True, kw_only=True)
class Product:
    """Rows times a weight [outputs inputs]. `rows` are per token when `per_token`, else per pass."""

    tensor: str
    part: str
    inputs: int
    outputs: int
    rows: float
    per_token: bool
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A product of two activations: `macs` x tokens ** `power` multiply-adds per pass. `after` is a tensor before it.

    Tokens are the model's own; where a pass has a fixed number of positions (images) the power is 0.
    """

    macs: float
    power: int
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """All products and scores; `rest` part -> bytes read in each pass that take part in no product (gains, biases)."""

    products: tuple[Product, ...]
    scores: tuple[Scores, ...]
    rest: Mapping[str, int]
    cache_bytes: float
    itemsize: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights that a pass reads, each once."""
        return sum({p.tensor: p.bytes for p in self.products}.values()) + sum(self.rest.values())

    @property
    def by_token(self) -> bool:
        """Whether work grows with tokens."""
        return any(p.per_token for p in self.products)


def describe(
    layout: Layout,
    *,
    dtypes: Mapping[str, torch.dtype] | None = None,
    itemsize: int = 4,
    cache_bytes: float = 0.0,
    sizes: Mapping[str, int] | None = None,
) -> Shape:
    """The shape of a model whose axes have these sizes.

    `itemsize` is bytes per weight, unless `dtypes` has the tensor. `cache_bytes` is what a token adds to the cache.
    """
    given = {**layout.sizes, **(sizes or {})}
    found: dict[tuple[str, int], float] = {}
    scores: list[Scores] = []
    last = ""
    for work in layout.work:
        macs = float(work.constant * prod(given[a] for a in work.axes))
        if not work.tensor:
            scores.append(Scores(macs=macs, power=work.tokens, after=last))
            continue
        last = layout.aliases.get(work.tensor, work.tensor)
        found[last, work.tokens] = found.get((last, work.tokens), 0.0) + macs
    size = {t: (dtypes[t].itemsize if dtypes and t in dtypes else itemsize) for t in layout.patterns}
    products = tuple(_product(layout, given, key, macs, size) for key, macs in found.items())
    multiplied = {p.tensor for p in products}
    rest: dict[str, int] = {}
    for name, pattern in layout.patterns.items():
        dims = sizes_of(pattern, given)
        if name not in layout.aliases and name not in multiplied and len(dims) <= 1:
            part = costs.part_of(name)
            rest[part] = rest.get(part, 0) + prod(dims) * size[name]
    return Shape(products=products, scores=tuple(scores), rest=rest, cache_bytes=cache_bytes, itemsize=itemsize)


def _product(
    layout: Layout, given: Mapping[str, int], key: tuple[str, int], macs: float, size: Mapping[str, int]
) -> Product:
    tensor, tokens = key
    dims = sizes_of(layout.patterns[tensor], given)
    reads = layout.reads.get(tensor) or (len(dims) - 1,)
    numel = max(prod(dims), 1)
    inputs = max(prod(dims[d] for d in reads), 1)
    return Product(
        tensor=tensor,
        part=part_of(layout, tensor),
        inputs=inputs,
        outputs=max(numel // inputs, 1),
        rows=macs / numel,
        per_token=tokens > 0,
        bytes=numel * size[tensor],
    )


def part_of(layout: Layout, tensor: str) -> str:
    """The part a product belongs to; an embedding that is also the output head counts as the head."""
    part = costs.part_of(tensor)
    return "head" if part == "embedding" and tensor in layout.aliases.values() else part


def without_blocks(shape: Shape, path: str, blocks: Collection[int], of: int) -> Shape:
    """The shape without some of the `of` blocks of a module list; their share of the cache goes with them."""
    gone = tuple(f"{path}.{k}." for k in blocks)
    rest = dict(shape.rest)
    inside = [p for p in shape.products if p.tensor.startswith(f"{path}.")]
    share = len(gone) / max(of, 1)
    if inside:  # gains and biases in the blocks are few: they are taken to be spread evenly
        rest = {part: round(n * (1 - share)) for part, n in rest.items()}
    return replace(
        shape,
        products=tuple(p for p in shape.products if not p.tensor.startswith(gone)),
        scores=tuple(s for s in shape.scores if not s.after.startswith(gone)),
        rest=rest,
        cache_bytes=shape.cache_bytes * (1 - share),
    )
