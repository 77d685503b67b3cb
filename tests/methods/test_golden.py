"""The plan of every method on one fixed tiny model, held in tests/golden; `make golden` rewrites it.

Methods that train have none: their own tests hold them to a loop.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from tests.methods.tiny import Tensors, llama

from penjing.core import Blocks, Bridge, Budget, Layout, Mask, Norm, Plan, Replace, Rotate, Stats, Update, View, Writer
from penjing.methods import METHODS

FOLDER = Path(__file__).parents[1] / "golden"
WRITING = os.environ.get("PENJING_GOLDEN") == "write"


def drawn(model: Tensors, layout: Layout, name: str, statistics: frozenset[str], seed: int) -> dict[str, torch.Tensor]:
    """Statistics of 40 inputs and outputs drawn for one tensor, and derivatives drawn in its shape."""
    generator = torch.Generator().manual_seed(seed)

    def samples(width: int) -> torch.Tensor:
        return torch.randn(40, width, generator=generator) * torch.linspace(0.5, 2, width)

    if statistics == {"sublayer_cosine"}:
        return {"sublayer_cosine": torch.rand((), generator=generator)}
    if statistics & {"span_cosine", "span_angle"}:
        later = 4 - int(name.rpartition(".")[2])
        return {s: torch.rand(later, generator=generator) for s in statistics}
    if statistics == {"block_cosine"}:
        return {"block_cosine": torch.rand((), generator=generator)}
    shape = model.shapes[name]
    x, y = samples(shape[-1]), samples(shape[0])
    derivatives = torch.randn(shape, generator=generator)
    found = {"input_mean": x.mean(0), "input_energy": x.square().mean(0), "input_second_moment": x.T @ x / 40}
    found |= {"input_magnitude": x.abs().mean(0), "output_magnitude": y.abs().mean(0)}
    found |= {f"{o}_taylor": x.abs().mean(0) for o in ("loss", "output", "entropy")}
    for objective in ("loss", "output", "entropy"):
        found |= {f"{objective}_gradient": derivatives, f"{objective}_fisher": derivatives.square()}
    return {s: found[s] for s in statistics}


def statistics(model: Tensors, layout: Layout, wanted: dict[str, frozenset[str]]) -> Stats:
    """What the method asks for, drawn tensor by tensor."""
    values = {}
    for seed, (name, names) in enumerate(sorted(wanted.items())):
        values |= {(name, s): v for s, v in drawn(model, layout, name, names, seed).items()}
    return Stats(values, samples=40)


@dataclass(frozen=True)
class Drawn:
    """A model to try things on whose loss is the square of the share that goes, and whose derivatives are drawn."""

    model: Tensors
    layout: Layout
    examples: int = 8

    def value(self, plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None) -> float:
        gone = [1 - len(u) / self.layout.axes[a].size for a, u in plan.keeps().items() if a in self.layout.axes]
        gone += [sum(k * k for k in u) for a, u in plan.keeps().items() if a not in self.layout.axes]
        gone += [1 - float(e.kept.float().mean()) for e in plan if isinstance(e, Mask)]
        return 1 + sum(g**2 for g in gone)

    def gradients(
        self, tensors: Sequence[str], plan: Plan, *, objective: str = "loss", examples: Sequence[int] | None = None
    ) -> Iterator[dict[str, torch.Tensor]]:
        for i in range(self.examples) if examples is None else examples:
            generator = torch.Generator().manual_seed(i)
            yield {t: torch.randn(self.model.shapes[t], generator=generator) for t in tensors}


def as_json(plan: Plan) -> dict:
    """Units in full; of updates the shape and, to three digits, the norm; of masks the count and a digest."""
    updates = {
        e.tensor: {"shape": list(e.values.shape), "norm": float(f"{e.values.norm():.3g}")}
        for e in plan
        if isinstance(e, Update)
    }
    found = {"keep": {axis: list(units) for axis, units in plan.keeps().items()}, "update": updates}
    masks = {
        e.tensor: {"kept": int(e.kept.sum()), "sha256": sha256(bytes(e.kept.flatten().tolist())).hexdigest()[:16]}
        for e in plan
        if isinstance(e, Mask)
    }
    replaced = {
        e.module: {"by": str(e.spec)} | {n: float(f"{v.norm():.3g}") for n, v in e.values.items()}
        for e in plan
        if isinstance(e, Replace)
    }
    turned = {e.axis: list(e.basis.shape) for e in plan if isinstance(e, Rotate)}
    turned |= {e.axis: [list(b.shape) for b in e.bases] for e in plan if isinstance(e, Bridge)}
    more = {"mask": masks, "replace": replaced, "rotate": turned}
    return found | {k: v for k, v in more.items() if v}


PLANNING = [n for n in METHODS.names() if hasattr(METHODS.type_of(n), "plan")]


def subject(name: str) -> tuple[Tensors, Layout]:
    """Two blocks, or four that can be dropped; for what rotates, with all norms of the stream read."""
    family = METHODS.places()[name].family
    if family == "rotate":
        return with_head(*llama(neurons=24))
    if family != "drop":
        return llama(neurons=24)
    model, layout = llama(neurons=24, blocks=4)
    blocks = Blocks(axis="blocks", path="model.layers", size=4, entry="num_hidden_layers")
    ends = [f"model.layers.{i}.{w}.weight" for i in range(4) for w in ("self_attn.o_proj", "mlp.down_proj")]
    return model, replace(layout, blocks=(blocks,), writers=tuple(Writer(tensor=t, axis="residual") for t in ends))


def with_head(model: Tensors, layout: Layout) -> tuple[Tensors, Layout]:
    """A head of its own that reads the last norm, and a list of blocks."""
    head, embedding = "lm_head.weight", "model.embed_tokens.weight"
    last = Norm(
        module="model.norm", kind="rms", axis="residual", weight="model.norm.weight", readers=(head,), foldable=True,
        alone=True,
    )  # fmt: skip
    told = replace(
        layout,
        patterns={**layout.patterns, head: layout.patterns[embedding]},
        reads={**layout.reads, head: (1,)},
        norms=(*layout.norms, last),
        blocks=(Blocks(axis="blocks", path="model.layers", size=2),),
    )
    return Tensors({**model.values, head: model[embedding]}, model.config), told


@pytest.mark.parametrize("name", PLANNING)
def test_the_plan_is_the_golden_one(name):
    model, layout = subject(name)
    method = METHODS.build(name)
    stats = statistics(model, layout, method.wants(layout).statistics)
    found = as_json(method.plan(View(model, layout, stats, Budget(keep=0.5), live=Drawn(model, layout))))
    path = FOLDER / f"{name}.json"
    if WRITING:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    assert path.is_file(), f"no golden plan for '{name}'; run make golden"
    assert found == json.loads(path.read_text("utf-8"))


def test_no_golden_plan_is_left_of_a_method_that_is_gone():
    assert sorted(p.stem for p in FOLDER.glob("*.json")) == PLANNING
