"""Data that does not serve, or barely: what is refused, and what comes out of the rest."""

import pytest
import torch
from tests.house.tiny import tiny_model
from torch import nn

import penjing
from penjing.core import Budget, Update
from penjing.errors import DataError
from penjing.planning.order import Order
from penjing.planning.plans import gather
from penjing.running.source import resolve

MEASURED = ("activation", "amp", "minitron", "taylor")


def mlp(hidden: int = 24) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 4)).eval()


def batches(rows: int = 64, seed: int = 1):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(rows, 6, generator=g), torch.randint(4, (rows,), generator=g))]


def planned(model, method, data, **changes):
    settings = {"multiple": 1, **changes.pop("settings", {})}
    example = torch.zeros(2, 6)
    return penjing.plan(model, method=method, keep=0.5, data=data, example=example, settings=settings, **changes)


def test_too_few_samples_are_told_with_how_many_are_needed_and_still_solved():
    model, data = mlp(), batches(rows=5)
    plan = planned(model, "activation", data)
    assert plan.made["notes"] == ["2.weight: 5 samples for 24 inputs, so the refit moves it less; give 24 or more"]
    (update,) = (e for e in plan if isinstance(e, Update))
    assert bool(update.values.isfinite().all())
    kept = list(plan.keeps()["neurons.0"])
    with torch.no_grad():
        hidden = model[1](model[0](data[0][0]))
        wanted, without = hidden @ model[2].weight.T, hidden[:, kept]
        refitted, plain = without @ update.values.T, without @ model[2].weight[:, kept].T
    assert (refitted - wanted).norm() < (plain - wanted).norm()
    assert planned(model, "activation", batches(rows=24)).made["notes"] == []


def test_a_single_sample_of_many_inputs_is_solved():
    plan = planned(mlp(1536), "activation", batches(rows=1))
    (update,) = (e for e in plan if isinstance(e, Update))
    assert bool(update.values.isfinite().all())
    assert float(update.values.abs().max()) < 10 * float(mlp(1536)[2].weight.detach().abs().max())


@pytest.mark.parametrize("method", MEASURED)
def test_units_that_are_always_zero_go_first(method):
    model = mlp()
    dead = [1, 4, 5, 11, 20]
    with torch.no_grad():
        model[0].weight[dead] = 0.0
        model[0].bias[dead] = -1.0
    plan = planned(model, method, batches())
    assert not set(dead) & set(plan.keeps()["neurons.0"])


@pytest.mark.parametrize("method", MEASURED)
def test_where_all_units_are_zero_the_result_is_finite(method):
    model = mlp()
    with torch.no_grad():
        model[0].bias.fill_(-1e3)
    plan = planned(model, method, batches())
    smaller = penjing.apply(model, plan, example=torch.zeros(2, 6))
    with torch.no_grad():
        torch.testing.assert_close(smaller(batches()[0][0]), model(batches()[0][0]))


@pytest.mark.parametrize("method", MEASURED)
def test_a_weight_that_is_nan_is_traced_to_its_layer(method):
    model = mlp()
    with torch.no_grad():
        model[0].weight[2, 3] = torch.nan
    with pytest.raises(DataError, match=r"not finite, needed are finite ones; they begin in the output of 0"):
        planned(model, method, batches())


@pytest.mark.parametrize("method", MEASURED)
def test_data_that_is_nan_is_told_as_such(method):
    (x, y), = batches()
    x[3, 2] = torch.inf
    with pytest.raises(DataError, match="the data itself holds them: correct it"):
        planned(mlp(), method, [(x, y)])


def test_labels_that_a_method_needs_are_asked_for():
    data = [batches()[0][0]]
    with pytest.raises(DataError, match=r"needs labels, and the batch \(float32 \[64, 6\]\) has none; give pairs"):
        planned(mlp(), "taylor", data)
    assert planned(mlp(), "taylor", data, settings={"objective": "output"}).keeps()


def test_inputs_of_another_size_are_told_with_their_shape():
    with pytest.raises(DataError, match=r"Sequential cannot take a batch of float32 \[8, 7\]"):
        planned(mlp(), "activation", [torch.zeros(8, 7)])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return resolve(tiny_model(tmp_path_factory.mktemp("bad-data") / "model"))


def test_a_damaged_cache_is_collected_again(source, tmp_path):
    wanted = {"model.layers.0.mlp.down_proj.weight": frozenset({"input_second_moment", "input_mean"})}
    order = Order(method="activation", budget=Budget(keep=0.5), settings={}, rows=6, length=16)
    first, _ = gather(source, order, wanted, cache=tmp_path)
    files = sorted((tmp_path / "statistics").rglob("*.safetensors"))
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    again, _ = gather(source, order, wanted, cache=tmp_path)
    assert all(torch.equal(first[key], again[key]) for key in first)
