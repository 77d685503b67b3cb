"""Hooks that follow the residual stream: through a block, through several, and from part to part of one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn, stack
from torch.nn.modules.conv import _ConvNd

from penjing.calibrate import layers
from penjing.calibrate.finite import require_finite
from penjing.calibrate.means import Means
from penjing.calibrate.statistics import find
from penjing.errors import UnsupportedError

if TYPE_CHECKING:
    from penjing.calibrate.watching import Job

CLOSE = 1e-2
"""How far what the parts of a block add may be from what the block gives, as a share of the largest."""


def through(name: str, block: nn.Module, x: Any, output: Any) -> tuple[tuple[Tensor, Tensor, int], int]:
    """((a block's input, its output, the dimension of the channels), the number of positions).

    Raises:
        UnsupportedError: it takes and gives something else.
    """
    y = _first(output)
    if not isinstance(x, Tensor) or not isinstance(y, Tensor) or x.shape != y.shape:
        found = " and ".join(str(list(t.shape)) if isinstance(t, Tensor) else type(t).__name__ for t in (x, y))
        raise UnsupportedError(f"block {name} takes and gives {found}, needed two of one shape; protect this block")
    dim = 1 if x.ndim == 4 and any(isinstance(m, _ConvNd) for m in block.modules()) else -1
    require_finite(y.detach(), f"the outputs of {name}")
    return (x.detach().float(), y.detach().float(), dim), y.numel() // y.shape[dim]


@contextmanager
def spans(jobs: "Sequence[Job]", means: Means) -> Iterator[None]:
    """While it runs, what goes into each block is held against what comes out of it and of all later ones."""
    lists: dict[str, list[Job]] = {}
    for job in jobs:
        if job.side == "span":
            lists.setdefault(job.place.path.rpartition(".")[0], []).append(job)
    with ExitStack() as hooks:
        for members in lists.values():
            _span(sorted(members, key=lambda job: int(job.place.path.rpartition(".")[2])), means, hooks)
        yield


def _span(members: "list[Job]", means: Means, hooks: ExitStack) -> None:
    begun: list[Tensor] = []
    values: list[dict[str, list[Tensor]]] = []

    def before(k: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: Any, kwargs: Any) -> None:
            if not k:
                begun.clear()
                values.clear()
            begun.append(layers.first_of(args, kwargs).detach().float())
            values.append({s: [] for s in members[k].union})

        return hook

    def after(k: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            (_, y, dim), samples = through(members[k].place.path, block, begun[k], output)
            for x, of in zip(begun, values, strict=True):
                for statistic, found in of.items():
                    found.append(find(statistic).measure(x, y, dim))
            if k + 1 < len(members):
                return
            for job, of in zip(members, values, strict=True):
                for tensor, asked in job.statistics.items():
                    for statistic in asked:
                        means.move((tensor, statistic), stack(of[statistic]), samples, find(statistic).merge)
            begun.clear()

        return hook

    for k, job in enumerate(members):
        hooks.callback(job.place.layer.register_forward_pre_hook(before(k), with_kwargs=True).remove)
        hooks.callback(job.place.layer.register_forward_hook(after(k), with_kwargs=True).remove)


@contextmanager
def sublayers(jobs: "Sequence[Job]", means: Means) -> Iterator[None]:
    """While it runs, the stream is added up in each block from what its parts give, in the order they are called."""
    blocks: dict[str, list[Job]] = {}
    for job in jobs:
        if job.side == "sublayer":
            blocks.setdefault(job.place.path, []).append(job)
    with ExitStack() as hooks:
        for path, members in blocks.items():
            _parts(path, members, means, hooks)
        yield


def _parts(path: str, members: "list[Job]", means: Means, hooks: ExitStack) -> None:
    block = members[0].place.layer
    stream: list[Tensor] = []

    def begin(layer: nn.Module, args: Any, kwargs: Any) -> None:
        stream[:] = [layers.first_of(args, kwargs).detach().float()]

    def added(job: "Job") -> Callable[..., None]:
        def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            before, now = stream[-1], stream[-1] + _first(output).detach().float()
            stream.append(now)
            for tensor, asked in job.statistics.items():
                for statistic in asked:
                    value = find(statistic).measure(before, now, -1)
                    means.move((tensor, statistic), value, now.numel() // now.shape[-1], find(statistic).merge)

        return hook

    def end(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        y = _first(output).detach().float()
        require_finite(y, f"the outputs of {path}")
        apart = float((stream[-1] - y).abs().max() / y.abs().max().clamp_min(1e-12))
        if not apart <= CLOSE:
            parts = ", ".join(job.place.local for job in members)
            raise UnsupportedError(
                f"block {path} gives something else than its input and what {parts} add to it (apart by {apart:.1e} of "
                "the largest), as where a norm follows them; drop whole blocks"
            )
        stream.clear()

    hooks.callback(block.register_forward_pre_hook(begin, with_kwargs=True).remove)
    for job in members:
        part = block.get_submodule(job.place.local)
        hooks.callback(part.register_forward_hook(added(job), with_kwargs=True).remove)
    hooks.callback(block.register_forward_hook(end, with_kwargs=True).remove)


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) else output
