"""NIRVANA (arXiv:2509.14230) on a real language model: 20 and 30 % of SmolLM2-135M's blocks go, nothing is trained.

`python -m papers.17-nirvana.run [OUT]` keeps what each plan gave in OUT/found.json as soon as it is there (default
out/nirvana), so that a run that was stopped goes on; then it prints the figures. `--write` keeps them in expected.json.

Every candidate leaves the same share of the blocks' parameters. A plan is tried on the running model as its mask, which
gives what the cut model gives, also where layers end at widths that no stock config holds.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from papers.expected import record
from torch import Tensor, nn

from penjing.core import Budget, Keep, Plan, Stats, View
from penjing.core.places import cache_folder
from penjing.data.shipped import shipped
from penjing.data.text import read_texts
from penjing.data.tokens import tokenise
from penjing.evaluate.windows import blocks
from penjing.io.assets import fetch_asset
from penjing.layouts import costs
from penjing.maths.bootstrap import bootstrap
from penjing.maths.holm import holm
from penjing.maths.topk import best
from penjing.methods.prune import magnitude, nirvana
from penjing.planning.order import Order
from penjing.planning.plans import gather
from penjing.running.live import Running
from penjing.running.source import Source, as_folder, resolve
from penjing.running.stock import load, tokenizer
from penjing.select.axes import choose
from penjing.select.between_kinds import by_kind, weights
from penjing.select.saliency import taken_in
from penjing.select.units import all_rows

KEEPS = (0.8, 0.7)
WINDOWS, LENGTH = 8, 256
"""Windows of each of two held-out texts."""
ROWS, ROW, SEEDS, DRAWN = 32, 128, 4, 3
"""The paper's calibration: 32 x 128 tokens; seeds of it, and of random choice."""
BOTH, DRAWS = "neurons.*,heads.*", 4000
BASE, ONE, MEANS = "nirvana", "gamma 1", "gamma by means"
GAMMAS = (0.5, 1, 2, 3.36)
SETTINGS: dict[str, dict[str, Any]] = {
    BASE: {"axes": BOTH, "allocation": "global"},
    MEANS: {"axes": BOTH, "allocation": "global"},
    **{f"gamma {g:g}": {"axes": BOTH, "allocation": "global", "gamma": float(g)} for g in GAMMAS},
    "neurons, one ranking": {"allocation": "global"},
    "neurons, layer by layer": {},
}
LIKE_BASE = ("magnitude", "random")
"""Other scores with the sizes of the base's first seed."""

Found = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Subject:
    """The model, the windows, and the parameters of its blocks by kind of axis."""

    source: Source
    module: nn.Module
    running: Running
    held: Mapping[str, float]


def opened() -> Subject:
    """SmolLM2-135M with windows of both texts."""
    source = resolve(fetch_asset("smollm2"))
    folder = as_folder(source, cache_folder())
    module = load(folder)
    held = weights(source.layout, by_kind(choose(source.layout, BOTH)))
    return Subject(source, module, Running(module, list(texts(folder)), source.layout), held)


def texts(folder: Path) -> Iterator[dict[str, Tensor]]:
    """Windows of both held-out texts as batches, tokens [4 LENGTH] with themselves as labels."""
    reader = tokenizer(folder)
    for path in shipped("evaluation"):
        cut = blocks(tokenise(read_texts([path]), reader), LENGTH)[:WINDOWS]
        rows = torch.stack([torch.cat([w.inputs, w.targets[-1:]]) for w in cut])
        for part in rows.split(4):
            yield {"input_ids": part, "labels": part}


def jobs() -> Iterator[tuple[str, float, int]]:
    """(candidate, keep, seed), the calibration seeds one after the other."""
    yield "whole", 1.0, 0
    for seed in range(SEEDS):
        names = SETTINGS if seed == 0 else (BASE,)
        yield from ((name, keep, seed) for name in names for keep in KEEPS)
        if seed == 0:
            yield from (("magnitude", keep, 0) for keep in KEEPS)
            yield from (("random", keep, draw) for draw in range(DRAWN) for keep in KEEPS)


def play(out: Path) -> Found:
    """`candidate|keep|seed` -> what was found."""
    place = out / "found.json"
    found: Found = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    todo = [(f"{n}|{k:g}|{s}", n, k, s) for n, k, s in jobs()]
    if all(key in found for key, *_ in todo):
        return found
    of, stats = opened(), {}
    for key, name, keep, seed in todo:
        if key in found:
            continue
        began = time.perf_counter()
        calibrated = 0 if name in LIKE_BASE else seed
        if name != "whole" and calibrated not in stats:
            stats = {calibrated: measured(calibrated, of)}  # one at a time: as large as the model
        plan = Plan() if name == "whole" else planned(name, keep, seed, stats[calibrated], of)
        planning = time.perf_counter() - began
        losses = [round(float(v), 5) for v in of.running.values(plan)]
        found[key] = {"losses": losses, **told(plan, of)}
        out.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(place)
        print(f"{key}: {planning:.0f} + {time.perf_counter() - began - planning:.0f} seconds", flush=True)
    return found


def measured(seed: int, of: Subject) -> Stats:
    """What every setting asks for, on the calibration text that a seed draws."""
    wanted = nirvana.Method(axes=BOTH).wants(of.source.layout).statistics
    order = Order(method="nirvana", budget=Budget(keep=0.5), settings={}, rows=ROWS, length=ROW, batch=4, seed=seed)
    return gather(of.source, order, wanted, cache=cache_folder(), module=of.module)[0]


def planned(name: str, keep: float, seed: int, stats: Stats, of: Subject) -> Plan:
    """The plan of a candidate that leaves this share of the blocks' parameters."""
    settings = SETTINGS[BASE if name in LIKE_BASE else name]
    if name.startswith("neurons"):
        keep = 1 - (1 - keep) * sum(of.held.values()) / of.held["neurons"]
    model, layout = of.source.weights(), of.source.layout
    if name == MEANS:
        settings = {**settings, "gamma": by_means(stats, of)}
    plan = nirvana.Method(**settings, multiple=1).plan(View(model, layout, stats, Budget(keep=keep)))
    if name not in LIKE_BASE:
        return plan
    generator, keeps = torch.Generator().manual_seed(seed), []
    for axis, units in plan.keeps().items():
        rows = all_rows(model, layout, axis)
        drawn = torch.rand(layout.axes[axis].size, generator=generator)
        keeps.append(Keep(axis, best(magnitude.score(rows) if name == "magnitude" else drawn, len(units))))
    return Plan(tuple(keeps), made=plan.made)


def by_means(stats: Stats, of: Subject) -> float:
    """Gamma from the mean variances of all units, as the paper has it, and not from those of median units."""
    layout, per = of.source.layout, {}
    for kind, axes in by_kind(choose(layout, BOTH)).items():
        taken = [[taken_in(layout, stats, a.name, s) for s in (nirvana.ENERGY, nirvana.MEAN)] for a in axes]
        units = torch.cat([nirvana.importance(zip(*pair, strict=True)) for pair in taken])
        per[kind] = float(units.sum()) / of.held[kind]
    return per["heads"] / per["neurons"]


def told(plan: Plan, of: Subject) -> dict[str, Any]:
    """What a plan leaves of each kind, of the blocks and of the model, and the gamma it went by."""
    layout, keeps = of.source.layout, {a: len(u) for a, u in plan.keeps().items()}
    left = {k: sum(keeps.get(a.name, a.size) for a in group) for k, group in by_kind(choose(layout, BOTH)).items()}
    whole = sum(of.held.values())
    gone = costs.parameters(layout) - costs.parameters(layout, keeps)
    widths = [n for a, n in keeps.items() if a.startswith("neurons")]
    rates = plan.made.get("rates", {})
    return {
        **left,
        "of the blocks": figure(1 - gone / whole),
        "of the model": figure(1 - gone / costs.parameters(layout)),
        "widths": [min(widths, default=0), max(widths, default=0)],
        "gamma": figure(rates["neurons"] / rates["heads"]) if rates else None,
    }


def losses(found: Found, name: str, keep: float, seeds: Sequence[int] | None = None) -> Tensor:
    """[seeds windows] float64: all seeds, or those named."""
    mine = {int(k.rsplit("|", 1)[1]): f for k, f in found.items() if k.startswith(f"{name}|{keep:g}|")}
    return torch.tensor([f["losses"] for s, f in sorted(mine.items()) if seeds is None or s in seeds]).double()


def against(own: Tensor, base: Tensor) -> dict[str, Any]:
    """The ratio of perplexities, own to base, with its 95 % interval: paired by window, seeds averaged first."""
    gap = (own.mean(0) - base.mean(0))[:, None]
    drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
    return {
        "ratio": figure(math.exp(drawn.value)),
        "interval": [figure(math.exp(v)) for v in drawn.interval()],
        "p": drawn.p(),
    }


def table(found: Found) -> dict[str, dict[str, Any]]:
    """Share kept and candidate -> what is left and its perplexity: of all windows, of each text, of each seed."""
    out = {}
    for name, keep in dict.fromkeys((n, k) for n, k, _ in jobs()):
        own = losses(found, name, keep)
        speeches, novel = own[:, :WINDOWS], own[:, WINDOWS:]
        first = found[f"{name}|{keep:g}|0"]
        out[f"{keep:g} {name}"] = {
            **{k: v for k, v in first.items() if k not in ("losses", "gamma")},
            "gamma": [f["gamma"] for k, f in found.items() if k.startswith(f"{name}|{keep:g}|") and f["gamma"]],
            "perplexity": figure(own.mean().exp()),
            "speeches": figure(speeches.mean().exp()),
            "novel": figure(novel.mean().exp()),
            "seeds": [figure(v) for v in own.mean(1).exp()],
        }
    return out


def comparisons(found: Found) -> dict[str, dict[str, Any]]:
    """Ratios of perplexities; p is corrected by Holm over all comparisons at one share."""
    out: dict[str, dict[str, Any]] = {}
    for keep in KEEPS:

        def of(name: str, seeds: Sequence[int] | None = None, keep: float = keep) -> Tensor:
            return losses(found, name, keep, seeds)

        base = of(BASE)
        rows = {f"{name} : {BASE}": against(of(name), base) for name in LIKE_BASE}
        one, estimated = of(ONE), of(BASE, [0])
        rows |= {f"gamma {g:g} : {ONE}": against(of(f"gamma {g:g}"), one) for g in GAMMAS if g != 1}
        rows[f"gamma estimated : {ONE}"] = against(estimated, one)
        rows[f"{MEANS} : {ONE}"] = against(of(MEANS), one)
        ranking, layers = (of(f"neurons, {how}") for how in ("one ranking", "layer by layer"))
        rows["neurons, layer by layer : one ranking"] = against(layers, ranking)
        rows[f"neurons, layer by layer : {BASE}, seed 0"] = against(layers, estimated)
        for row, p in zip(rows.values(), holm([r.pop("p") for r in rows.values()]), strict=True):
            row["p_holm"] = figure(p)
        out |= {f"{keep:g} {name}": row for name, row in rows.items()}
    return out


def readings(rows: Mapping[str, Mapping[str, Any]], ratios: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Which of the readings in README.md hold; better means an interval of the ratio that leaves out 1."""
    out: dict[str, bool] = {}
    for keep in KEEPS:
        start = f"{keep:g} "
        for name in LIKE_BASE:
            row = ratios[f"{start}{name} : {BASE}"]
            out[f"{start}1 better than {name}"] = row["interval"][0] > 1
            out[f"{start}1 better than {name} by a factor of 1.3"] = row["ratio"] >= 1.3
        for g in GAMMAS:
            if g > 1:
                out[f"{start}2 gamma {g:g} better than 1"] = ratios[f"{start}gamma {g:g} : {ONE}"]["interval"][1] < 1
        for how in ("gamma estimated", MEANS):
            out[f"{start}2 {how} better than 1"] = ratios[f"{start}{how} : {ONE}"]["interval"][1] < 1
        layers = ratios[f"{start}neurons, layer by layer : one ranking"]
        out[f"{start}3 one ranking better than layer by layer"] = layers["interval"][0] > 1
        seeds = rows[f"{start}{BASE}"]["seeds"]
        out[f"{start}4 calibration seeds differ by a factor of 1.2"] = max(seeds) >= 1.2 * min(seeds)
    return out


def figure(value: Any) -> float:
    """Four digits."""
    return float(f"{float(value):.4g}")


def main() -> None:
    """Play, then print the figures; with --write keep them beside this file."""
    reader = argparse.ArgumentParser()
    reader.add_argument("out", nargs="?", default="out/nirvana", type=Path)
    reader.add_argument("--write", action="store_true")
    given = reader.parse_args()
    found = play(given.out)
    rows, ratios = table(found), comparisons(found)
    facts = {"windows": 2 * WINDOWS, "tokens each": LENGTH, "calibration": f"{ROWS} x {ROW} tokens", "seeds": SEEDS}
    out = {**facts, "models": rows, "ratios": ratios, "readings": readings(rows, ratios)}
    print(json.dumps(out, indent=1))
    record(__file__, out, write=given.write)


if __name__ == "__main__":
    main()
