"""A stock model whose weights come from a checkpoint only while they are used."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError
from penjing.io import OpenCheckpoint
from penjing.layouts import build
from penjing.layouts.config.stored import one_to_one


def stored_names(module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Stored name -> the stock module's own name, of tensors that are the same in both, as the stock loader maps them.

    Tensors that the loader puts together from several, or that the module does not use, are left out.
    """
    own = module.state_dict()
    if all(name in own for name in shapes):
        return {name: name for name in shapes}
    return one_to_one(module, shapes)


class Shell:
    """The stock model of a checkpoint on `meta`; parts of it are filled, in float32, and emptied again.

    Raises:
        CheckpointError: the config cannot be built.
    """

    def __init__(self, checkpoint: OpenCheckpoint) -> None:
        self._checkpoint = checkpoint
        self.module = build(checkpoint.config).requires_grad_(requires_grad=False)
        self.names = stored_names(self.module, checkpoint.shapes)
        self._sources = self._find_sources()
        self._make_constants()

    def _find_sources(self) -> dict[str, str]:
        """The module's names -> stored names, tied names included."""
        direct = {own: stored for stored, own in self.names.items()}
        tied: dict[int, str] = {}
        every = dict(self.module.named_parameters(remove_duplicate=False))
        for own, parameter in every.items():
            if own in direct:
                tied.setdefault(id(parameter), direct[own])
        return {**direct, **{own: tied[id(p)] for own, p in every.items() if own not in direct and id(p) in tied}}

    def _make_constants(self) -> None:
        """Buffers that no file holds (such as rotary frequencies), made by the stock code's own initialisation."""
        model: Any = self.module
        for _, layer in model.named_modules():
            constants = [n for n in layer._non_persistent_buffers_set if layer._buffers.get(n) is not None]
            for name in constants:
                layer._buffers[name] = torch.empty_like(layer._buffers[name], device="cpu")
            if constants:
                with torch.no_grad():
                    model._init_weights(layer)

    def bytes_of(self, path: str) -> int:
        """The bytes, in float32, of the weights below a path."""
        inside = self.module.get_submodule(path)
        return sum(4 * p.numel() for p in {id(p): p for p in inside.parameters()}.values())

    def own_bytes(self, layer: nn.Module) -> int:
        """The bytes, in float32, of a layer's own weights."""
        return sum(4 * p.numel() for p in layer._parameters.values() if p is not None)

    def fill(self, path: str, layer: nn.Module) -> Callable[[], None]:
        """Read a layer's own weights; what is given back empties it again.

        Raises:
            DataError: the files do not hold one of them in the module's form.
        """
        before: list[tuple[dict[str, Any], str, Any]] = []
        tables: list[Any] = [layer._parameters, layer._buffers]
        for table in tables:
            for local, held in list(table.items()):
                if held is not None and held.is_meta:
                    before.append((table, local, held))
                    value = self._read(f"{path}.{local}" if path else local)
                    weight = table is layer._parameters
                    table[local] = nn.Parameter(value, requires_grad=False) if weight else value

        def empty() -> None:
            for table, local, held in before:
                table[local] = held

        return empty

    def _read(self, own: str) -> Tensor:
        stored = self._sources.get(own)
        if stored is None or stored not in self._checkpoint.shapes:
            raise DataError(
                f"{self._checkpoint.source} does not hold {own} as the model takes it (its files store it in another "
                "form), so it cannot be run block by block; give more memory"
            )
        value = self._checkpoint[stored]
        return value.float() if value.is_floating_point() else value

    @contextmanager
    def filled(self, path: str) -> Iterator[nn.Module]:
        """The part at a path with its weights, while the block runs."""
        part = self.module.get_submodule(path)
        with ExitStack() as stack:
            for inner, layer in part.named_modules():
                stack.callback(self.fill(f"{path}.{inner}" if inner else path, layer))
            yield part

    @contextmanager
    def on_demand(self, outside: str) -> Iterator[None]:
        """While the block runs, every layer not below `outside` has its weights while it works, and only then."""
        with ExitStack() as stack:
            for path, layer in self.module.named_modules():
                if (path + ".").startswith(outside + ".") or not self._own(layer):
                    continue
                held: list[Callable[[], None]] = []
                stack.callback(layer.register_forward_pre_hook(_filling(self, path, held), prepend=True).remove)
                stack.callback(layer.register_forward_hook(_emptying(held), always_call=True).remove)
            yield

    def _own(self, layer: nn.Module) -> bool:
        tables = (*layer._parameters.values(), *layer._buffers.values())
        return any(t is not None and t.is_meta for t in tables)


def _filling(shell: Shell, path: str, held: list[Callable[[], None]]) -> Callable[[nn.Module, Any], None]:
    def hook(layer: nn.Module, args: Any) -> None:
        held.append(shell.fill(path, layer))

    return hook


def _emptying(held: list[Callable[[], None]]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(layer: nn.Module, args: Any, output: Any) -> None:
        while held:
            held.pop()()

    return hook
