"""What a module calls that which its files call otherwise, and what of the files it has no name for."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from torch import nn

from penjing.errors import UnsupportedError


def own_names(module: nn.Module, wanted: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Name of a tensor or a module in the files -> the module's own; `names` are those of tensors, where they differ.

    Raises:
        UnsupportedError: the module computes with a tensor of the files as a part of a larger one.
    """
    known = {n for n, _ in module.named_parameters(remove_duplicate=False)} | {n for n, _ in module.named_modules()}
    out = {name: names.get(name, name if name in known else _path(name, names)) for name in wanted}
    lost = [name for name, own in out.items() if own not in known]
    if lost and names:
        raise UnsupportedError(
            f"{type(module).__name__} computes with {len(lost)} of the tensors that its files store, such as "
            f"{lost[0]}, as parts of larger ones (all experts at once, or fused projections), so what goes into each "
            f"cannot be measured; leave them out (protect '{_glob(lost)}'), or take a method without data"
        )
    return out


def _path(name: str, names: Mapping[str, str]) -> str:
    """A module's own path, from the names of a tensor below it; the name itself where none tells."""
    for stored, own in names.items():
        tail = stored.removeprefix(name)
        if tail != stored and tail.startswith(".") and own.endswith(tail):
            return own.removesuffix(tail)
    return name


def _glob(names: Sequence[str]) -> str:
    """The narrowest glob that names all, word by word."""
    words = zip_longest(*(n.split(".") for n in names))
    return ".".join(w[0] if len(set(w)) == 1 and w[0] is not None else "*" for w in words)
