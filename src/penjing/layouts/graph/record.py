"""One run of a module without values, written down as a graph of plain ATen operators.

Every operator that reaches the backend is seen once: writes in place have become values of their own by then, and what
is made of simpler operators is broken down on the spot. Parameters, buffers and constants become inputs of the graph
wherever they are met, by identity. The module is left as it was.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx import Graph, Node
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_map_only, tree_unflatten

from penjing.layouts.graph.conditions import WHOLE, functional, outside, plain, restored, watched
from penjing.layouts.graph.recording import Change, Kind, Recording, Source, parted
from penjing.layouts.graph.supposed import counts
from penjing.layouts.graph.values import Values

_torch: Any = torch
_LIFTS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)
_BATCH_NORM = torch.ops.aten._native_batch_norm_legit_no_training.default
_SAME = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)
_LETTER = {"parameter": "p", "buffer": "b", "constant": "c"}


def record(
    module: nn.Module,
    forward: Callable[..., tuple[Tensor, ...]],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    change: Change | None = None,
    *,
    exporting: bool = True,
) -> Recording:
    """Run `forward`, which calls `module`, once on tensors without values; if `exporting`, by the code kept for that.

    Whatever the run raises passes through; torch itself raises where a value is asked for.
    """
    run = _Run(module, change)
    with ExitStack() as stack:
        stack.enter_context(restored(module))
        run.swap()
        if change is not None:
            change.prepare()
        args, kwargs = run.example(args, "args"), run.example(dict(kwargs), "")
        stack.enter_context(plain(exporting))
        stack.enter_context(watched(run.paths, run.path))
        for mode in (run.fake, enable_python_dispatcher(), run, functional(), _Wrapping(run)):
            stack.enter_context(mode)
        return run.finish(forward(*args, **kwargs))


class _Run(TorchDispatchMode):
    """The operators that reach the backend, as nodes."""

    def __init__(self, module: nn.Module, change: Change | None) -> None:
        super().__init__()
        self.module, self.change = module, change
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.graph = Graph()
        self.calls: list[Node] = []
        self.inputs_end = self.graph.placeholder("end")
        self.nodes: dict[int, Node] = {}
        self.alive: list[Any] = []
        self.inputs: dict[int, Tensor] = {}
        self.sources: dict[Node, Source] = {}
        self.values = Values()
        self.path: list[str] = [""]
        self.supposed: dict[str, None] = {}
        self.paths = {id(m): name for name, m in reversed(list(module.named_modules(remove_duplicate=False)))}

    def swap(self) -> None:
        """Put tensors without values in the place of every parameter and buffer."""
        kinds: tuple[tuple[Kind, str], ...] = (("parameter", "_parameters"), ("buffer", "_buffers"))
        for kind, holders in kinds:
            for path, part in self.module.named_modules():
                for name, tensor in list(getattr(part, holders).items()):
                    if tensor is not None:
                        stored = kind == "parameter" or name not in part._non_persistent_buffers_set
                        full = f"{path}.{name}" if path else name
                        getattr(part, holders)[name] = self.input(tensor, Source(kind, full, stored, tensor))

    def example(self, given: Any, prefix: str) -> Any:
        """The example with its tensors replaced."""
        leaves, spec = tree_flatten_with_path(given)
        new = []
        for path, leaf in leaves:
            name = "_".join([*([prefix] if prefix else []), *(str(_key(k)) for k in path)])
            new.append(self.input(leaf, Source("example", name, False, leaf)) if isinstance(leaf, Tensor) else leaf)
        return tree_unflatten(new, spec)

    def input(self, tensor: Tensor, source: Source) -> Tensor:
        """What stands for a tensor from outside: a new input of the graph when it is first met."""
        if id(tensor) not in self.inputs:
            self._placeholder(fake := self._without_values(tensor, source.name), source)
            wrapped: Any = _torch._to_functional_tensor(fake)
            wrapped._is_param = isinstance(tensor, nn.Parameter)
            self.inputs[id(tensor)] = wrapped
            self.alive.append(tensor)
        return self.inputs[id(tensor)]

    def _without_values(self, tensor: Tensor, name: str) -> Tensor:
        shape = self.change.shapes.get(name) if self.change is not None else None
        with outside():
            if shape is None:
                return self.fake.from_tensor(tensor, static_shapes=True)
            with self.fake:
                return torch.empty(shape, dtype=tensor.dtype, device=tensor.device)

    def constant(self, tensor: Tensor) -> Tensor:
        """What stands for a tensor that is no parameter, buffer or example; a small one keeps its value."""
        if id(tensor) not in self.inputs:
            if tensor.device.type == "meta":
                return self.input(tensor, self._unnamed(tensor))
            self.inputs[id(tensor)] = torch.ops.aten.lift_fresh.default(tensor)
            self.alive.append(tensor)
        return self.inputs[id(tensor)]

    def value_of(self, tensor: Tensor) -> Tensor | None:
        """What a tensor holds, where that is known."""
        _torch._sync(tensor)
        return self.values.of(_torch._from_functional_tensor(tensor))

    def counts_in(self, tensor: Tensor) -> Tensor | None:
        """What a tensor of counts would hold in one run; who asked is kept."""
        _torch._sync(tensor)
        node = self.nodes.get(id(_torch._from_functional_tensor(tensor)))
        found = None if node is None else counts(self.graph, node, self.sources)
        if found is not None:
            self.supposed[self.path[-1]] = None
        return found

    def finish(self, outputs: tuple[Tensor, ...]) -> Recording:
        """The recording, with an output for each tensor that was given back."""
        found = []
        for value in outputs:
            if _torch._is_functional_tensor(value):
                _torch._sync(value)
                value = _torch._from_functional_tensor(value)
            found.append(self._node(value))
        self.graph.output(tuple(found))
        self.graph.erase_node(self.inputs_end)
        live, idle = parted(self.graph)
        return Recording(self.graph, self.sources, live, idle, self.calls, tuple(self.supposed))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Break an operator down, or write it down and run it without values."""
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        if func in _LIFTS and not isinstance(args[0], FakeTensor):
            out = func(*args)
            self._placeholder(out, self._unnamed(args[0]))
            self.values.keep(out, args[0])
            return out
        args, kwargs = tree_map_only(Tensor, self._faked, (args, kwargs))
        simpler = _simpler(func)
        if simpler is not None:
            with self:
                out = simpler(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = self.values.asked(func, args, kwargs)
        if out is not NotImplemented:
            return tree_map_only(Tensor, self._found, out)
        out: Any = _batch_norm(*args) if func is _BATCH_NORM else func(*args, **kwargs)
        if func in _SAME:
            self._keep(out, self._node(args[0]))
        else:
            self._call(func, args, kwargs, out)
        self.values.follow(func, args, kwargs, out)
        return out

    def _call(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        if not any(isinstance(t, Tensor) for t in tree_flatten(out)[0]):
            return
        given = tree_map_only(Tensor, self._node, (args, kwargs))
        node = self.graph.call_function(func, *given)
        self._say(node, out)
        self.calls.append(node)
        if self.change is not None:
            self.change.tell(node)
        if isinstance(out, Tensor):
            self._keep(out, node)
            return
        for place, part in enumerate(out):
            if isinstance(part, Tensor):
                taken = self.graph.call_function(operator.getitem, (node, place))
                self._say(taken, part)
                self._keep(part, taken)

    def _say(self, node: Node, value: Any) -> None:
        node.meta.update(val=value, module=self.path[-1])

    def _keep(self, tensor: Tensor, node: Node) -> None:
        self.nodes[id(tensor)] = node
        self.alive.append(tensor)

    def _placeholder(self, fake: Tensor, source: Source) -> None:
        name = source.name.replace(".", "_")
        with self.graph.inserting_before(self.inputs_end):
            node = self.graph.placeholder(f"{_LETTER[source.kind]}_{name}" if source.kind in _LETTER else name)
        node.meta.update(val=fake, given=source.kind == "example", module=self.path[-1])
        self.sources[node] = source
        self._keep(fake, node)

    def _found(self, value: Tensor) -> Tensor:
        """A constant that an operator on constants gave."""
        with outside():
            fake = self.fake.from_tensor(value, static_shapes=True)
        self._placeholder(fake, self._unnamed(value))
        self.values.keep(fake, value)
        return fake

    def _unnamed(self, tensor: Tensor) -> Source:
        count = sum(s.kind == "constant" for s in self.sources.values())
        return Source("constant", str(count), False, tensor)

    def _faked(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, FakeTensor):
            return tensor
        if id(tensor) not in self.inputs:
            self.input(tensor, self._unnamed(tensor))
        return _torch._from_functional_tensor(self.inputs[id(tensor)])

    def _node(self, tensor: Tensor) -> Node:
        if id(tensor) not in self.nodes:
            self._placeholder(tensor, self._unnamed(tensor))
        return self.nodes[id(tensor)]


class _Wrapping(TorchFunctionMode):
    """Puts what stands for them in the place of tensors that the module holds elsewhere than in its parameters."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self.run = run

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every call of torch's own, from the module's code."""
        args, kwargs = tree_map_only(Tensor, self._wrapped, (args, kwargs or {}))
        if func is Tensor.data.__get__:  # type: ignore[attr-defined]
            func = Tensor.detach
        value = self.run.value_of(args[0]) if func in (Tensor.tolist, Tensor.numpy) else None
        if value is None and func is Tensor.tolist and args[0].dim() == 1:
            value = self.run.counts_in(args[0])
        return func(*args, **kwargs) if value is None else func(value, *args[1:], **kwargs)

    def _wrapped(self, tensor: Tensor) -> Tensor:
        inside = _torch._is_functional_tensor(tensor) or _torch._C._functorch.is_functorch_wrapped_tensor(tensor)
        return tensor if inside or isinstance(tensor, FakeTensor) else self.run.constant(tensor)


def _batch_norm(x: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What a batch norm gives, without values; torch finds the shapes by twenty operators, again for each width."""
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def _key(key: Any) -> Any:
    return next((getattr(key, k) for k in ("idx", "key", "name") if hasattr(key, k)), key)


@cache
def _table() -> Mapping[Any, Callable[..., Any]]:
    """How operators are made of simpler ones: what export would break down."""
    from torch.export import default_decompositions

    return default_decompositions().materialize()


@cache
def _simpler(func: Any) -> Callable[..., Any] | None:
    """What an operator is made of, if it is to be broken down."""
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    if func in _table() or str(func).removeprefix("aten.") in WHOLE or not composite:
        return _table().get(func)
    return func.decompose
