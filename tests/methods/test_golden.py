"""The plan of every method on one fixed tiny model, held in tests/golden; `make golden` rewrites it."""

import json
import os
from pathlib import Path

import pytest
import torch
from tests.methods.tiny import Tensors, llama

from penjing.core import Budget, Plan, Stats, Update
from penjing.pipeline import catalog

FOLDER = Path(__file__).parents[1] / "golden"
WRITING = os.environ.get("PENJING_GOLDEN") == "write"


def statistics(model: Tensors, wanted: dict[str, frozenset[str]]) -> Stats:
    """Second moments, energies and means of 40 inputs drawn for each tensor."""
    values = {}
    for seed, (tensor, names) in enumerate(sorted(wanted.items())):
        generator = torch.Generator().manual_seed(seed)
        width = model.shapes[tensor][1]
        x = torch.randn(40, width, generator=generator) * torch.linspace(0.5, 2, width)
        found = {"input_mean": x.mean(0), "input_energy": x.square().mean(0), "input_second_moment": x.T @ x / 40}
        values.update({(tensor, name): found[name] for name in names})
    return Stats(values, samples=40)


def as_json(plan: Plan) -> dict:
    """Units in full; of updates the shape and, to three digits, the norm: enough to see that they moved."""
    updates = {
        e.tensor: {"shape": list(e.values.shape), "norm": float(f"{e.values.norm():.3g}")}
        for e in plan
        if isinstance(e, Update)
    }
    return {"keep": {axis: list(units) for axis, units in plan.keeps().items()}, "update": updates}


@pytest.mark.parametrize("name", catalog.names())
def test_the_plan_is_the_golden_one(name):
    model, layout = llama(neurons=24)
    method = catalog.build(name)
    wanted = method.wants(layout) if catalog.load(name).CARD.needs else {}
    found = as_json(method.plan(model, layout, statistics(model, wanted), Budget(keep=0.5)))
    path = FOLDER / f"{name}.json"
    if WRITING:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    assert path.is_file(), f"no golden plan for '{name}'; run make golden"
    assert found == json.loads(path.read_text("utf-8"))


def test_no_golden_plan_is_left_of_a_method_that_is_gone():
    assert sorted(p.stem for p in FOLDER.glob("*.json")) == catalog.names()
