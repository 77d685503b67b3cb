"""Networks of one shape whose parameters are the rows of one tensor, and that run side by side."""

from collections.abc import Mapping
from itertools import accumulate
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from penjing.errors import DataError, UnsupportedError


class Stack:
    """`values` [networks parameters]: each row one network of the shape of `network`, whose own values do not matter.

    `masks` [networks parameters] bool: where it is False a weight is zero, gets no gradient, and stays so; None where
    nothing is masked. A tensor of all networks, by its name, is a view of the rows.

    Linear layers of all networks are one batched product. Convolutions run one network after the other: on a
    processor a product of many small convolutions is slower than they are one by one.
    """

    def __init__(self, network: nn.Module, values: Tensor, masks: Tensor | None = None) -> None:
        """Take the rows over.

        Raises:
            UnsupportedError: the network counts something while it runs (as BatchNorm does), or drops at random.
            DataError: the rows are not as long as the network has parameters.
        """
        if next(network.buffers(), None) is not None or any(isinstance(m, nn.Dropout) for m in network.modules()):
            raise UnsupportedError("a stack has no buffers and drops nothing at random; take BatchNorm and Dropout out")
        self.network = network
        self.shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
        self._sizes = [prod(shape) for shape in self.shapes.values()]
        if values.ndim != 2 or values.shape[1] != sum(self._sizes):
            raise DataError(f"found values {list(values.shape)}, needed [networks {sum(self._sizes)}]")
        self.values = values.detach().clone().requires_grad_()
        self.masks: Tensor | None = None
        self._by_one = any(isinstance(m, nn.Conv2d) for m in network.modules())
        if masks is not None:
            self.mask(masks)

    def __len__(self) -> int:
        return len(self.values)

    def __call__(self, inputs: Tensor, *, shared: bool) -> Tensor:
        """[networks batch classes], of inputs [batch ...] that are `shared`, or each's own [networks batch ...]."""
        tensors = self.tensors()
        if self._by_one:
            each = [{n: t[i] for n, t in tensors.items()} for i in range(len(self))]
            return torch.stack([self._one(one, inputs if shared else inputs[i]) for i, one in enumerate(each)])
        return vmap(self._one, in_dims=(0, None if shared else 0))(tensors, inputs)

    def _one(self, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        return functional_call(self.network, dict(tensors), (inputs,))

    def places(self) -> dict[str, slice]:
        """Tensor -> where it lies in a row."""
        ends = [*accumulate(self._sizes)]
        return {n: slice(end - size, end) for n, size, end in zip(self.shapes, self._sizes, ends, strict=True)}

    def tensors(self, of: Tensor | None = None) -> dict[str, Tensor]:
        """Tensor -> [networks ...], a view of the values, or of other rows that are as long."""
        parts = (self.values if of is None else of).split(self._sizes, dim=1)
        return {n: p.unflatten(1, s) for (n, s), p in zip(self.shapes.items(), parts, strict=True)}

    @torch.no_grad()
    def mask(self, masks: Tensor) -> None:
        """Put masks [networks parameters] in force: what they take is zero from now on.

        Raises:
            DataError: they are of another shape.
        """
        if masks.shape != self.values.shape:
            raise DataError(f"found masks {list(masks.shape)}, needed {list(self.values.shape)}")
        self.masks = masks
        self.values.mul_(masks)

    def density(self) -> Tensor:
        """[networks]: the share of the weights of matrices and filters that stays, 1 where nothing is masked."""
        if self.masks is None:
            return torch.ones(len(self))
        chosen = [self.masks[:, self.places()[n]] for n, s in self.shapes.items() if len(s) > 1]
        return torch.cat(chosen, dim=1).float().mean(1)
