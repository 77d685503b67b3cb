"""Blocks that a plan leaves as they are, run once: what they gave for a batch is kept and given again, bit for bit.

A plan whose tensors all lie in blocks k, k + 1, ... changes nothing of what the blocks before k give. Nothing runs only
to be recorded: the second plan that could profit, and each later one that reaches further, is watched while it runs, so
that three plans cost less than three forwards. Whatever is not sure is run in full: several lists of blocks, blocks out
of order, hooks, arguments that are not plain (such as a cache of keys and values), random numbers.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import Batch, run
from penjing.core import Blocks
from penjing.running.bits import sum_of_bits

_Forward = Callable[..., Any]
_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device)


@dataclass(frozen=True)
class _Kept:
    """What a block gave for a batch, what it had taken in (`_told`), and how many bytes are held."""

    taken: Any
    given: Any
    nbytes: int


class Prefix:
    """The first blocks of a module, which give again what they gave while neither they nor their inputs changed.

    `room` tells how many bytes more may be kept; without room, blocks are run. Whoever runs it has put the module into
    evaluation mode and torch into `no_grad`.
    """

    def __init__(self, module: nn.Module, lists: Sequence[Blocks], *, room: Callable[[], int]) -> None:
        self._module, self._lists, self._room = module, lists, room
        self._path, self._blocks = _only(module, lists)
        self._kept: dict[Hashable, list[_Kept]] = {}
        self._asked: set[Hashable] = set()
        self._state: Any = None

    @property
    def nbytes(self) -> int:
        """How many bytes are kept."""
        return sum(k.nbytes for held in self._kept.values() for k in held)

    def first(self, touched: Sequence[Tensor]) -> int:
        """The first block that holds one of these tensors: all before it may be left out.

        0 if one is used outside the blocks as well, be it under another name; the number of blocks if there is none.
        """
        if not self._blocks or not touched:
            return len(self._blocks)
        places: dict[int, int] = {}
        named = [*self._module.named_parameters(remove_duplicate=False)]
        try:
            for name, tensor in [*named, *self._module.named_buffers(remove_duplicate=False)]:
                key, at = tensor.untyped_storage().data_ptr(), self._place(name)
                places[key] = min(at, places.get(key, at))
            return min(places.get(t.untyped_storage().data_ptr(), 0) for t in touched)
        except RuntimeError:  # a tensor without such a storage
            return 0

    def check(self) -> None:
        """Forget what was kept if the module, or a setting of torch, is not as it was then.

        To be called while the weights are as no plan left them.
        """
        if not self._asked or not self._blocks:
            return
        state = _state(self._module)
        if state is None:
            self._give_up()
        elif state != self._state:
            self._kept.clear()
            self._path, self._blocks = _only(self._module, self._lists)
        self._state = state

    def run(self, key: Hashable, batch: Batch, first: int) -> Any:
        """What the module gives for a batch, known by `key`, under a plan whose first block is `first`.

        Raises:
            DataError: the module refuses the batch.
        """
        if not self._serves(key, first):
            return run(self._module, batch)
        held = self._kept.get(key, [])
        one = _Pass(held, first, len(self._blocks), self._room())
        dice, given = _dice(), None
        try:
            with _standing(self._blocks, one.stand_in):
                given = run(self._module, batch)
        except Exception:
            if not one.replied:
                raise
            one.unfit = True  # the module needs of its blocks what a record cannot give
        same = all(torch.equal(a, b) for a, b in zip(dice, _dice(), strict=True))
        if one.unfit or not same:
            self._give_up()
            return run(self._module, batch) if one.replied else given
        self._kept[key] = [] if one.changed else [*held, *one.new]
        return given

    def _serves(self, key: Hashable, first: int) -> bool:
        """Whether a record of this batch can be used or made now; that a plan could profit is noted."""
        last = len(self._blocks)
        if not first or not all(_untouched(b) for b in self._blocks) or nn.modules.module._has_any_global_hook():
            return False
        if first == last:
            return bool(self._kept.get(key))
        known = key in self._asked
        self._asked.add(key)
        return known and self._state is not None

    def _place(self, name: str) -> int:
        """The number of the block that a tensor is in, 0 if it is in none."""
        number = name[len(self._path) :].split(".", 1)[0] if name.startswith(self._path) else ""
        return int(number) if number.isdecimal() else 0

    def _give_up(self) -> None:
        self._blocks = []
        self._kept.clear()


@dataclass
class _Pass:
    """One run: the first blocks give what is known of them, those up to `first` are recorded, all are watched.

    `replied`: a block gave what was kept; `changed`: one was given something else than when it was recorded; `unfit`:
    blocks of this module cannot be left out at all.
    """

    known: list[_Kept]
    first: int
    blocks: int
    room: int
    new: list[_Kept] = field(default_factory=list)
    replied: bool = False
    changed: bool = False
    unfit: bool = False
    _full: bool = False
    _next: int = 0
    _inside: bool = False

    def stand_in(self, place: int, forward: _Forward) -> _Forward:
        """A forward for a block, in place of its own."""

        @wraps(forward)
        def stood(*args: Any, **kwargs: Any) -> Any:
            self.unfit |= self._inside or place != self._next
            self._inside, self._next = True, place + 1
            try:
                return self._given(place, forward, args, kwargs)
            finally:
                self._inside = False

        return stood

    def _given(self, place: int, forward: _Forward, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if place < min(self.first, len(self.known)) and not self.changed:
            if _seen((args, kwargs)) == self.known[place].taken:
                self.replied = True
                return _copied(self.known[place].given)  # a copy, for what follows may write into it
            self.changed = True  # what was given again so far is right still; from here on the blocks run
        if not len(self.known) <= place < min(self.first, self.blocks - 1) or self.changed or self._full or self.unfit:
            return forward(*args, **kwargs)
        taken = _seen((args, kwargs))
        given = forward(*args, **kwargs)
        # a block that writes into what it is given leaves traces that a record would not
        self.unfit |= taken is None or _seen((args, kwargs)) != taken or not _keepable(given)
        if not self.unfit:
            self._keep(taken, given)
        return given

    def _keep(self, taken: Any, given: Any) -> None:
        size = sum(t.nbytes for t in _tensors(given))
        self._full = size > self.room
        try:
            if not self._full:
                self.new.append(_Kept(taken, _copied(given), size))
                self.room -= size
        except (RuntimeError, MemoryError):  # the machine has less than was allowed
            self._full = True


def _only(module: nn.Module, lists: Sequence[Blocks]) -> tuple[str, list[nn.Module]]:
    """(path with a dot, blocks) of the only list; no blocks if there are several lists or the module differs."""
    if len(lists) != 1 or not lists[0].path:
        return "", []
    try:
        named = dict(module.get_submodule(lists[0].path).named_children())
    except AttributeError:
        return "", []
    numbered = list(named) == [str(i) for i in range(lists[0].size)]
    return f"{lists[0].path}.", [*named.values()] if numbered else []


def _untouched(block: nn.Module) -> bool:
    """Whether a block's forward is that of its class, in all its parts, and nobody listens to them."""
    return not isinstance(block, torch.jit.ScriptModule) and not any(
        m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) or m._compiled_call_impl is not None
        for m in block.modules()
    )


@contextmanager
def _standing(blocks: Sequence[nn.Module], stand_in: Callable[[int, _Forward], _Forward]) -> Iterator[None]:
    """While the block runs, stand-ins are the forwards of the modules; their other attributes remain their own."""
    try:
        for place, block in enumerate(blocks):
            block.forward = stand_in(place, block.forward)
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)


def _state(module: nn.Module) -> Any:
    """All weights as sums of their bits, the attributes of all parts, and the settings of torch that change a forward.

    None where the weights are no plain tensors in memory. Counts of changes (`_version`) would be cheaper, but miss
    what is written through `.data` or numpy, and rise with every plan that is tried and taken back.
    """
    weights = _seen([*module.parameters(), *module.buffers()])
    parts = [
        (id(m), [(k, v if isinstance(v, _PLAIN) else id(v)) for k, v in vars(m).items() if k != "training"])
        for m in module.modules()
    ]
    casts = [(torch.is_autocast_enabled(k), torch.get_autocast_dtype(k)) for k in ("cpu", "cuda")]
    exact = (torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision())
    return weights and (weights, parts, casts, exact, torch.get_num_threads())


def _dice() -> list[Tensor]:
    """The states of the generators of random numbers."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])]


def _seen(value: Any) -> Any:
    """`_told`, or None if something in a value is neither plain nor a tensor in memory."""
    try:
        return _told(value)
    except (KeyError, RuntimeError, TypeError):
        return None


def _told(value: Any) -> Any:
    """The same for values that are the same: a tensor as its kind, its shape and a sum of its bits."""
    if type(value) in (Tensor, nn.Parameter):
        return value.dtype, value.device, value.shape, value.stride(), sum_of_bits(value.detach())
    if isinstance(value, _PLAIN):
        return type(value), value
    if type(value) in (tuple, list, torch.Size):
        return type(value), [_told(v) for v in value]
    if type(value) is dict:
        return dict, [(k, _told(v)) for k, v in value.items()]
    raise TypeError(f"found {type(value).__name__}, needed tensors and plain values; run the blocks")


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple | list) else []
    return [t for v in items for t in _tensors(v)]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return type(value)(_copied(v) for v in value) if isinstance(value, tuple | list) else value


def _keepable(value: Any) -> bool:
    """Whether a copy is as good as what a block gave: plain tensors that fill their memory, from its start."""
    return _seen(value) is not None and all(
        type(t) is Tensor and not t.requires_grad and not t.is_inference() and not t.storage_offset()
        and torch.empty_like(t).stride() == t.stride()
        for t in _tensors(value)
    )  # fmt: skip
