"""Which axes of a model move together, and what in its config follows them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal

from penjing.core.pattern import Pattern, names
from penjing.core.printing import bars, short, table
from penjing.errors import LayoutError, nearest

State = Literal["free", "sensitive", "uncut"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One set of units that are cut together wherever they occur.

    `state` is free (cutting equals masking), sensitive (it can be cut, but that differs from masking: see
    `reason`) or uncut (nobody cuts it: see `reason`). `proofs` names what has been shown, not only inferred:
    "graph", "stock". `entries` are the paths of the config entries that move with it; none means that no stock
    config holds another size. `least` is the smallest size that still runs (such as the number of experts chosen).
    `rotates` says that a rotation of the axis, its norms' gains folded, leaves the function alone; `rigid` why not.
    """

    name: str
    size: int
    state: State
    reason: str = ""
    proofs: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    least: int = 1
    rotates: bool = False
    rigid: str = ""

    @property
    def kind(self) -> str:
        """The name without its block number: `neurons` of `neurons.3`."""
        return self.name.split(".", 1)[0]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A config entry and the axes that move when it is changed.

    `path` is dotted, with list places in brackets: `text_config.depths[2]`. Doubling the entry multiplies each
    axis in `moves` by 2 to the power given. `scales` says which constants of the computation move as well (such as
    `1/sqrt(head_dim)`): cutting through this entry then needs the weights rescaled. `together` are entries that must
    be multiplied alike, as the numbers of query and of key heads where these are equal. `whole` says that it takes
    whole numbers only.
    """

    path: str
    value: float
    moves: Mapping[str, float] = field(default_factory=dict)
    scales: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """A list of like blocks: dropping some is `Keep(axis, ...)` on the axis of this name.

    `path` is the module list (`model.layers`), `entry` the config entry that counts it, `lists` the config lists
    with one item per block.
    """

    axis: str
    path: str
    size: int
    entry: str = ""
    lists: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A normalisation over an axis: who reads its output, and whether its gain can be folded into them.

    `readers` are the parameters that multiply the norm's output, and `alone` says that nothing else uses it.
    `shared` are those readers that are used elsewhere too, as a tied embedding is, each with the name that it would
    have if it were stored apart (empty if it has none). `foldable` is `alone` without such readers. The gain is the
    stored `weight` and `offset`, which is 1 where a module multiplies by 1 + weight. `biases` are what is added to the
    products of those readers that have one.
    """

    module: str
    kind: Literal["layer", "rms", "group", "batch", "other"]
    axis: str
    weight: str = ""
    bias: str = ""
    readers: tuple[str, ...] = ()
    foldable: bool = False
    alone: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)
    offset: float = 0.0
    biases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A parameter whose product ends in a residual axis; `through` is "plain", "norm" or "scale"."""

    tensor: str
    axis: str
    through: Literal["plain", "norm", "scale"] = "plain"


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-adds of one product: `constant` x the sizes of `axes` x tokens ** `tokens`, per sample.

    `axes` may repeat a name. `tensor` is the parameter that takes part, empty for a product of two activations.
    """

    constant: int
    axes: tuple[str, ...]
    tokens: int
    tensor: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Layout:
    """The axes of one model: derived from its recorded graph, or read from a table that somebody corrected.

    `patterns` has one pattern per parameter or persistent buffer, every size known. `reads` tells, for a
    parameter, over which of its dimensions a product sums (so `down_proj.weight` reads `neurons.3` in dimension 1).
    `aliases` maps each tied name to the name under which the tensor is kept. `unreached` are tensors that the
    forward pass never used: nobody cuts them. `notes` are remarks for people (operators without a rule, ...).
    `attributes` are numbers that a module of one's own keeps and its forward pass reads (`attn.heads`): one pattern
    with a dimension for each number.
    """

    patterns: Mapping[str, Pattern]
    axes: Mapping[str, Axis]
    reads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Blocks, ...] = ()
    entries: tuple[Entry, ...] = ()
    norms: tuple[Norm, ...] = ()
    writers: tuple[Writer, ...] = ()
    work: tuple[Work, ...] = ()
    unreached: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, Pattern] = field(default_factory=dict)

    def __repr__(self) -> str:
        """How many axes of each kind and state, and how many tensors and blocks."""
        kinds = [f"{n} {state} {kind} of {size}" for kind, state, n, size in self._summary()]
        blocks = [f"{b.size} blocks in {b.path}" for b in self.blocks]
        return short(f"Layout({'; '.join([f'{len(self.patterns)} tensors', *kinds, *blocks])})")

    def _repr_html_(self) -> str:
        """For notebooks: a line for each kind of axis."""
        caption = f"{len(self.patterns)} tensors; " + ", ".join(f"{b.size} blocks in {b.path}" for b in self.blocks)
        heads = ["axes", "state", "how many", "units"]
        lines = table(heads, ([k, state, n, size] for k, state, n, size in self._summary()), caption=caption)
        free = [axis.size for axis in self.axes.values() if axis.state == "free"]
        return lines + bars([size / max(free) for size in free], title="units of each free axis, of the widest one")

    def _summary(self) -> list[tuple[str, str, int, str]]:
        """(kind, state, count, sizes) of axes that differ only in their block number; at most 30 lines."""
        groups: dict[tuple[str, str], list[int]] = {}
        for axis in self.axes.values():
            groups.setdefault((axis.kind, axis.state), []).append(axis.size)
        lines = [(k, s, len(n), f"{min(n)}" if min(n) == max(n) else f"{min(n)} to {max(n)}")
                 for (k, s), n in groups.items()]  # fmt: skip
        return lines[:30]

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every axis."""
        return {a.name: a.size for a in self.axes.values()}

    def axis(self, name: str) -> Axis:
        """The axis of this name.

        Raises:
            LayoutError: there is none.
        """
        if name not in self.axes:
            raise LayoutError(f"no axis is named '{name}'{nearest(name, self.axes)}; this model has {self.kinds()}")
        return self.axes[name]

    def match(self, globs: str | Iterable[str], *, states: Iterable[State] = ("free",)) -> list[Axis]:
        """The axes whose names match any of the globs (commas separate) and whose state is allowed, in order.

        Raises:
            LayoutError: nothing matches, or only axes of other states do.
        """
        wanted = globs_of(globs)
        allowed = frozenset(states)
        hit = [a for a in self.axes.values() if any(matches(a.name, g) for g in wanted)]
        found = [a for a in hit if a.state in allowed]
        if found:
            return found
        asked = "', '".join(wanted)
        if hit:
            such = hit[0]
            raise LayoutError(f"'{asked}' matches only axes that are {such.state} (as {such.name}: {such.reason})")
        raise LayoutError(f"no axis matches '{asked}'; this model has axes of kinds {self.kinds()}")

    def kinds(self) -> str:
        """The kinds of axes that can be cut, for people: "heads, neurons, residual"."""
        return ", ".join(sorted({a.kind for a in self.axes.values() if a.state != "uncut"})) or "none that can be cut"

    def tensors(self, axis: str) -> list[str]:
        """The tensors in which an axis occurs."""
        return list(self._tensors.get(axis, ()))

    def readers(self, axis: str) -> list[tuple[str, int]]:
        """(tensor, dimension) of each parameter whose product sums over the axis."""
        return list(self._readers.get(axis, ()))

    @cached_property
    def _tensors(self) -> dict[str, list[str]]:
        """Axis -> its tensors: methods ask axis by axis, and to search every pattern each time took seconds."""
        found: dict[str, list[str]] = {}
        for tensor, pattern in self.patterns.items():
            for axis in names(pattern):
                found.setdefault(axis, []).append(tensor)
        return found

    @cached_property
    def _readers(self) -> dict[str, list[tuple[str, int]]]:
        found: dict[str, list[tuple[str, int]]] = {}
        for tensor, pattern in self.patterns.items():
            for dim in self.reads.get(tensor, ()):
                for axis in names((pattern[dim],)):
                    found.setdefault(axis, []).append((tensor, dim))
        return found


def globs_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """The globs in one text, or in several; commas separate them.

    >>> globs_of("neurons.0, heads")
    ('neurons.0', 'heads')
    """
    texts = (given,) if isinstance(given, str) else given
    return tuple(glob.strip() for text in texts for glob in text.split(","))


def matches(axis: str, glob: str) -> bool:
    """Whether a glob names an axis: `neurons.*`, `neurons` (the kind), `neurons.3`, `neurons.[0-3]`."""
    return fnmatchcase(axis, glob) or axis.split(".", 1)[0] == glob
