"""Turn the residual stream to its principal axes and cut those that carry least: every matrix becomes smaller.

The gains of all norms over the stream are folded into their readers, so that a rotation of the stream leaves the
function alone (`Rotate`). Of each norm's output, gain and bias taken off, the second moment is measured; its mean over
the norms gives the axes, and the weakest go. Embedding, head and every matrix of a block lose rows or columns; heads,
MLP widths and the cache stay as they are.

Source: Ashkboos et al., ICLR 2024, arXiv:2401.15024, sections 3.1 to 3.4; the damping, the random last turn and the
rounding to 8 as microsoft/TransformerCompression has them. Deviations: one rotation for the whole stream, where the
paper has one for each residual branch and puts a matrix between every two of them, so that the result opens with the
stock classes and no product is added (it loses more, and it truly becomes smaller by what is cut); the moments are of
the original model, not of one that is sliced up to there; they are of what the norms give, so that every place counts
alike, and no token that is a thousand times longer than others takes an axis for itself; the last block's output is cut
as well.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import torch

from penjing.core import Axis, Card, Layout, Plan, Rotate, View, Wants
from penjing.select.streams import basis, drawn, energy, moment_of, read_of, streams_of, wanted, widths

NAMES = ("input_second_moment", "input_mean")

CARD = Card(
    title="SliceGPT, one rotation",
    paper="arXiv:2401.15024",
    removes="the weakest principal axes of the residual stream",
    promise="approximates",
    needs=frozenset({NAMES[0]}),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the strongest principal axes of the residual stream.

    `axes` and `protect` are globs of the residual axes to cut. `multiple` is what the width is rounded down to
    (None: multiples of 8 that the heads divide as well, which stock code asks for); `damping` is added to the moment's
    diagonal, as a share of its mean; `spread` turns what is kept by a random rotation; `basis` "random" takes axes at
    random instead, the paper's control. `allow` names further states of
    axes that may be cut ("sensitive"): streams whose norms are not root-mean-square ones.
    """

    axes: str = "residual*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    damping: float = 0.01
    spread: bool = True
    basis: Literal["pca", "random"] = "pca"
    allow: tuple[str, ...] = ()

    def wants(self, layout: Layout) -> Wants:
        """The second moment of what a reader of each norm takes in, and its mean where the norm has a bias."""
        return Wants(wanted(layout, self._streams(layout), NAMES))

    def plan(self, view: View) -> Plan:
        """One rotation a stream, of fewer columns than units, and in `made` how much of the energy stays."""
        edits, kept, notes = list[Rotate](), dict[str, dict[str, float]](), list[str]()
        streams = self._streams(view.layout)
        found = widths(view.layout, streams, view.budget, view.model, self.multiple)
        generator = torch.Generator().manual_seed(view.seed)
        for axis in streams:
            read, width = read_of(view.layout, axis), found[axis.name]
            moments = [moment_of(view.model, view.stats, norm, reader, NAMES) for norm, reader in read]
            layer = any(n.kind == "layer" for n, _ in read)
            if self.basis == "random":
                turned = drawn(axis.size, width, layer=layer, turn=generator)
            else:
                turn = generator if self.spread else None
                turned = basis(moments, width, layer=layer, damping=self.damping, turn=turn)
            kept[axis.name] = {"units": width, "energy": energy(turned, moments)}
            edits.append(Rotate(axis.name, turned))
            if missed := [n.module for n in view.layout.norms if n.axis == axis.name and n not in [r for r, _ in read]]:
                notes.append(f"{axis.name}: not measured behind {', '.join(missed)}, which no plain matrix reads")
        made = {"method": "slicegpt", "settings": asdict(self), "budget": str(view.budget), "kept": kept}
        return Plan(tuple(edits), made={**made, "samples": view.stats.samples, "notes": notes})

    def _streams(self, layout: Layout) -> list[Axis]:
        return streams_of(layout, self.axes, protect=self.protect, allow=self.allow)
