"""Turn the residual stream of each block to axes of its own, cut the weakest, and lead from block to block by a matrix.

What a block reads has other principal axes than what the next one reads. With a basis for each block more of the energy
stays at the same width, and a square matrix behind each block leads into the next basis: these are added, so that the
saving is smaller than the cut. `made` tells it, and a result that would be larger is refused before it is written.

Source: Ashkboos et al., ICLR 2024, arXiv:2401.15024, sections 3.1 to 3.4. Deviations: one basis and one matrix for each
block, where the paper has them for both of its branches (half the matrices; attention and MLP of a block share axes);
the moments are of the original model, not of one that is sliced up to there, and of what the norms give, and to make up
for that a basis is chosen for all blocks that follow; all blocks end at one width, and what comes behind the last block
is cut as well.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor

from penjing.core import Axis, Blocks, Bridge, Card, Layout, Plan, View, Wants
from penjing.errors import PlanError, UnsupportedError
from penjing.select.streams import basis, drawn, energy, moment_of, read_of, streams_of, wanted, widths

NAMES = ("input_second_moment", "input_mean")

CARD = Card(
    title="SliceGPT, one rotation for each block",
    paper="arXiv:2401.15024",
    removes="the weakest principal axes of each block's residual stream",
    promise="approximates",
    needs=frozenset({NAMES[0]}),
    opens="penjing.load",
    inserts=frozenset({"bridge"}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the strongest principal axes of the residual stream in each block.

    The settings are those of `slicegpt`: `multiple` is what the width is rounded down to, `damping` a share of the
    moment's mean that is added to its diagonal, `spread` turns what is kept by a random rotation, `basis` "random"
    takes axes at random, and `allow` names further states of axes that may be cut. `ahead` is for how many later blocks
    the axes of one are chosen too (None: all that follow): what goes in one block is gone in those behind it.
    """

    axes: str = "residual*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    damping: float = 0.01
    spread: bool = True
    basis: Literal["pca", "random"] = "pca"
    ahead: int | None = None
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.ahead is not None and self.ahead < 0:
            raise PlanError(f"found ahead {self.ahead}; needed 0 or more blocks, or none for all that follow")

    def wants(self, layout: Layout) -> Wants:
        """The second moment of what a reader of each norm takes in, and its mean where the norm has a bias."""
        return Wants(wanted(layout, [self._stream(layout)[0]], NAMES))

    def plan(self, view: View) -> Plan:
        """One rotation for each block, and in `made` what stays in each and what the matrices between them take."""
        axis, blocks = self._stream(view.layout)
        width = widths(view.layout, [axis], view.budget, view.model, self.multiple, bridges=blocks.size)[axis.name]
        moments = self._moments(view, axis, blocks)
        generator = torch.Generator().manual_seed(view.seed)
        layer = any(n.kind == "layer" for n, _ in read_of(view.layout, axis))
        bases, stays = list[Tensor](), list[float]()
        for k in range(len(moments)):
            last = len(moments) if self.ahead is None else k + 1 + self.ahead
            each = [m for later in moments[k:last] for m in later]
            if self.basis == "random":
                found = drawn(axis.size, width, layer=layer, turn=generator)
            else:
                turn = generator if self.spread else None
                found = basis(each, width, layer=layer, damping=self.damping, turn=turn)
            bases.append(found)
            stays.append(energy(found, moments[k]))
        kept = {axis.name: {"units": width, "energy": stays}}
        bridges = {"matrices": blocks.size, "parameters": blocks.size * width**2}
        note = f"{blocks.size} matrices of {width} x {width} are added, {bridges['parameters']:,} parameters"
        made = {"method": "slicegpt_blocks", "settings": asdict(self), "budget": str(view.budget), "kept": kept}
        edit = Bridge(axis.name, blocks.axis, tuple(bases))
        return Plan((edit,), made={**made, "bridges": bridges, "samples": view.stats.samples, "notes": [note]})

    def _moments(self, view: View, axis: Axis, blocks: Blocks) -> list[list[Tensor]]:
        """Of each block, and of what comes behind them: the second moments of its norms."""
        out: list[list[Tensor]] = [[] for _ in range(blocks.size + 1)]
        for norm, reader in read_of(view.layout, axis):
            inside = norm.module.startswith(f"{blocks.path}.")
            place = int(norm.module[len(blocks.path) + 1 :].split(".")[0]) if inside else blocks.size
            out[place].append(moment_of(view.model, view.stats, norm, reader, NAMES))
        for k, each in enumerate(out):
            if not each:
                where = f"{blocks.path}.{k}" if k < blocks.size else f"what comes behind {blocks.path}"
                raise UnsupportedError(
                    f"no norm of {where} is read by a plain matrix, so its axes cannot be measured; take the method "
                    "slicegpt, which has one rotation for all"
                )
        return out

    def _stream(self, layout: Layout) -> tuple[Axis, Blocks]:
        streams = streams_of(layout, self.axes, protect=self.protect, allow=self.allow)
        if len(streams) != 1 or len(layout.blocks) != 1:
            found = f"{len(streams)} streams and {len(layout.blocks)} lists of blocks"
            raise UnsupportedError(
                f"found {found}; needed one stream through one list of blocks: take the method slicegpt, which has one "
                "rotation for all, or name one stream with axes"
            )
        return streams[0], layout.blocks[0]
