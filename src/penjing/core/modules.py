"""The place of a module that is to be replaced, and what the tensors of the new one are made of.

A kind of module says for each of its tensors, `made <- read`: the dimensions that it makes and those that a product
sums over, in the order of the tensor. A dimension is

- `weight:0`, that dimension of a tensor of the old module, with its axes;
- `rank`, an axis of its own, as long as the setting of that name says;
- `3`, a size that nobody cuts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from penjing.errors import PlanError, nearest


@dataclass(frozen=True, kw_only=True)
class Place:
    """A module by its tensors: their shapes, and over which of their dimensions products sum."""

    path: str
    shapes: Mapping[str, tuple[int, ...]]
    reads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def matrix(self, name: str = "weight") -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(the dimensions that it makes, those that it reads) of a tensor that takes part in a product.

        Raises:
            PlanError: there is no such tensor, or it is no factor of a product.
        """
        if name not in self.shapes:
            have = ", ".join(self.shapes) or "none"
            raise PlanError(f"{self.path} has no tensor '{name}'{nearest(name, self.shapes)}; it has {have}")
        read = self.reads.get(name, ())
        made = tuple(d for d in range(len(self.shapes[name])) if d not in read)
        if not read or not made:
            raise PlanError(f"{self.path}.{name} is no matrix that a product reads; leave {self.path} as it is")
        return made, read


@dataclass(frozen=True)
class Dim:
    """One dimension of a new tensor: that of an old one, an axis of its own, or a size."""

    tensor: str = ""
    at: int = 0
    own: str = ""
    size: int = 0
    read: bool = False


def dims(text: str, settings: Any) -> Iterator[Dim]:
    """The dimensions that a text such as "weight:0 <- rank" tells of.

    Raises:
        PlanError: the text tells something else.
    """
    made, _, read = text.partition("<-")
    for part, summed in ((made, False), (read, True)):
        for word in part.split():
            tensor, colon, at = word.rpartition(":")
            if colon and at.isdigit():
                yield Dim(tensor=tensor, at=int(at), read=summed)
            elif word.isdigit():
                yield Dim(size=int(word), read=summed)
            elif type(getattr(settings, word, None)) is int:
                yield Dim(own=word, size=getattr(settings, word), read=summed)
            else:
                what = "name a tensor's (weight:0), a setting or a size"
                raise PlanError(f"'{word}' of '{text}' is no dimension; {what}")


def axis_name(own: str, path: str) -> str:
    """The name of an axis of a module's own: `ranks.model.layers.0.mlp.up_proj` for its setting `rank`."""
    return f"{own}s.{path}"
