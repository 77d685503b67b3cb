"""The coordinate check of a recipe: do its layers move as much in wide networks as in narrow ones?

Source: as `penjing.train.mup.scales`. Deviations: the verdict asks for the whole 95 % interval of the slope, over
widths and seeds; steps have the recipe's full rate from the first on, gradients are not clipped and examples not
changed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from penjing.calibrate.batches import run as forward
from penjing.core import Budget, Layout
from penjing.core.progress import Progress, silent
from penjing.errors import RequestError, UnsupportedError
from penjing.io import open_checkpoint
from penjing.maths.log_slope import Slope, log_slope
from penjing.pipeline.networks import widened
from penjing.pipeline.train_recipe import Augment, Mup, Recipe, told
from penjing.pipeline.training import Prepared, prepared
from penjing.train import Run
from penjing.train.loop import seeded
from penjing.train.mup import Change, changes, factor, scales, set_up
from penjing.train.seeing import placed

FLAT = 0.15
"""The slope that noise may make of a flat line."""
TIMES = (1, 2, 4, 8, 16)
"""How many times the base's widths are looked at."""
WAYS = ("standard", "mup")

Verdict = Literal["flat", "growing", "falling", "unclear", "still", "not finite"]


@dataclass(frozen=True, kw_only=True)
class Coordinates:
    """All that was seen: way -> the sizes and changes of every layer, step, width (in times of the base's) and seed."""

    found: Mapping[str, Sequence[Change]]
    times: tuple[int, ...]
    seeds: int
    steps: int
    recipe: Mapping[str, Any]

    @property
    def modules(self) -> list[str]:
        """The layers, in the order in which they are run."""
        return list(dict.fromkeys(c.module for c in self.found[WAYS[0]]))

    def of(self, way: str, module: str, step: int | None = None) -> list[Change]:
        """What was seen of a layer at a step, the last one if none is named."""
        at = self.steps if step is None else step
        return [c for c in self.found[way] if c.module == module and c.step == at]

    def slope(self, way: str, module: str, what: Literal["size", "change"], step: int | None = None) -> Slope:
        """How the logarithm of a layer's size, or change, goes with that of the width."""
        own = self.of(way, module, step)
        return log_slope([c.width for c in own], [getattr(c, what) for c in own])

    def verdict(self, way: str, module: str) -> Verdict:
        """What the slope of the change after the last step says of a layer."""
        if all(c.change == 0 for c in self.of(way, module)):
            return "still"
        return verdict_on(self.slope(way, module, "change"))

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints; what is no number is null."""
        return {
            "flat_within": FLAT, "times": list(self.times), "seeds": self.seeds, "steps": self.steps,
            "recipe": dict(self.recipe),
            "ways": {
                way: [
                    {"module": m, "verdict": self.verdict(way, m), "steps": [
                        {"step": at, "size": _told(self.slope(way, m, "size", at)),
                         "change": _told(self.slope(way, m, "change", at)) if at else None}
                        for at in range(self.steps + 1)
                    ], "after": [
                        {"times": c.width, "size": _known(c.size), "change": _known(c.change)} for c in self.of(way, m)
                    ]}
                    for m in self.modules
                ]
                for way in WAYS
            },
        }  # fmt: skip


def verdict_on(slope: Slope) -> Verdict:
    """Flat if the whole interval lies within `FLAT` of 0, growing or falling if the whole of it lies beyond."""
    if not math.isfinite(slope.value):
        return "not finite"
    if slope.low >= -FLAT and slope.high <= FLAT:
        return "flat"
    if slope.low > FLAT:
        return "growing"
    return "falling" if slope.high < -FLAT else "unclear"


def coordinates(
    recipe: Recipe, *, times: Sequence[int] = TIMES, seeds: int = 3, steps: int = 3, device: str = "cpu",
    progress: Progress = silent,
) -> Coordinates:  # fmt: skip
    """Train the recipe's network for a few steps at some widths, as it is and by the rules, on one batch.

    Widths are those of the recipe's base, `times` as large. Seeds differ in the first values alone.

    Raises:
        PenjingError: the recipe has no base or begins at a checkpoint, there is one width, or something does not serve.
    """
    mup = recipe.mup
    if mup is None:
        raise RequestError(
            "nothing says which widths are to grow; give the base's, as --mup hidden_size=64, or in a table [mup]"
        )
    if recipe.model.checkpoint:
        raise UnsupportedError("a checkpoint has one width; check a new network, by name or config")
    if len(set(times)) < 2 or min(times) < 1 or seeds < 1 or steps < 1 or len(set(times)) * seeds < 3:
        raise RequestError(
            f"found the widths {list(times)}, {seeds} seeds and {steps} steps; needed two widths or more, a step, and "
            "three networks of a kind"
        )
    found = prepared(replace(recipe, mup=None, augment=Augment()), device="cpu", progress=progress)
    seen: dict[str, list[Change]] = {way: [] for way in WAYS}
    count = len(WAYS) * len(times) * seeds
    for i, (way, by, seed) in enumerate((w, t, s) for w in WAYS for t in times for s in range(seeds)):
        progress("training at all widths", i, count)
        seen[way] += _seen(found, mup, way, by, recipe.seed + seed, steps, device)
    progress("training at all widths", count, count)
    return Coordinates(found=seen, times=tuple(times), seeds=seeds, steps=steps, recipe=told(recipe))


def _seen(found: Prepared, mup: Mup, way: str, by: int, seed: int, steps: int, device: str) -> list[Change]:
    network, entries = found.recipe.model, found.entries
    module, factors = widened(network, entries, mup, by, seed=seed), {}
    how = found.run.how
    if way == "mup":
        base, delta = (widened(network, entries, mup, k, seed=0) for k in (1, 2))
        known = scales(module, base, delta)
        set_up(module, base, known, fixed=True, zero_readout=mup.zero_readout)
        factors = {n: factor(n, known, "sgd" if how.optimiser == "sgd" else "adamw") for n in known}
    run = Run(
        module=module.to(device), model=open_checkpoint(nn.Module()), layout=Layout(patterns={}, axes={}),
        budget=Budget(keep=1.0), steps=steps, how=how, factors=factors, learning_rate=found.run.learning_rate,
        seed=seed,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(found.recipe.seed)
    batch = placed(found.data.take(torch.arange(found.recipe.train.batch), draw).batch, torch.device(device))

    def step(net: nn.Module) -> None:
        run.optimiser.zero_grad()
        run.objective(batch, forward(net, batch)).backward()
        run.optimiser.step()

    def look(net: nn.Module) -> None:
        net.eval()
        forward(net, batch)
        net.train()

    with seeded(run):
        return changes(module, by, step, look, steps=steps)


def _told(slope: Slope) -> list[float | None]:
    return [_known(v) for v in (slope.value, slope.low, slope.high)]


def _known(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
