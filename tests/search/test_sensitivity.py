"""Measured sensitivity: as running the cut model by hand is, with an interval, never of an axis that was not cut."""

import json

import pytest
import torch
from tests.house.tiny import tiny_model
from torch import nn

import penjing
from penjing.core import Budget, Plan
from penjing.core.progress import silent
from penjing.errors import DataError, PenjingError, PlanError
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.live import Running
from penjing.running.source import resolve
from penjing.running.stock import load
from penjing.search import sensitivity as module
from penjing.search.sensitivity import measure_sensitivity
from penjing.search.split import split


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return resolve(tiny_model(tmp_path_factory.mktemp("sensitivity") / "model"))


def order(**changes):
    given = {"method": "magnitude", "budget": Budget(keep=1.0), "settings": {}, "rows": 4, "length": 16}
    return Order(**{**given, **changes})


@pytest.fixture(scope="module")
def found(source, tmp_path_factory):
    return measure_sensitivity(source, order(), fractions=(0.75, 0.25), held_out=6, cache=tmp_path_factory.mktemp("c"))


def test_every_point_is_what_running_the_cut_model_gives(source, found, tmp_path):
    parted = split(source, order(), 6, cache=tmp_path, progress=silent)
    live = Running(load(source.weights().folder, dtype=torch.float32), list(parted.batches), source.layout)
    dense = live.values(Plan())
    assert found.value == pytest.approx(float(dense.mean()), rel=1e-6)
    assert [c.axis for c in found.cuts] == ["neurons.0", "neurons.1"]
    for cut in found.cuts:
        for point in cut.points:
            asked = order(settings={"axes": cut.axis}, budget=Budget(keep=point.keep))
            plan = make_plan(source, asked, cache=tmp_path)
            differences = [float(a - b) for a, b in zip(live.values(plan), dense, strict=True)]
            mean = sum(differences) / 6
            error = (sum((d - mean) ** 2 for d in differences) / 5 / 6) ** 0.5
            assert point.increase == pytest.approx(mean, rel=1e-4, abs=1e-7)
            assert point.error == pytest.approx(error, rel=1e-3, abs=1e-7)
            assert point.high - point.low == pytest.approx(2 * 2.5706 * error, rel=1e-3, abs=1e-6)


def test_it_counts_what_goes(found):
    point = found.cuts[0].points[1]
    assert (point.kept, point.gone) == (32, 96)
    assert point.parameters == point.zeroed == 96 * 3 * 32  # gate, up and down, 32 wide
    assert found.nothing == []


def test_it_is_plain_data(found):
    told = json.loads(json.dumps(found.to_json()))
    assert told["objective"] == "loss"
    assert told["examples"] == 6
    assert told["told"]["held out"]["rows"] == 6


def test_a_second_run_finds_what_was_measured(source, tmp_path, monkeypatch):
    first = measure_sensitivity(source, order(), fractions=(0.5,), held_out=4, cache=tmp_path)
    (notes,) = (tmp_path / "sensitivity").glob("*.jsonl")
    notes.write_text(notes.read_text("utf-8") + '{"plan": "torn', "utf-8")
    ran = []
    monkeypatch.setattr(module.Running, "values", lambda *a, **k: ran.append(1))
    again = measure_sensitivity(source, order(), fractions=(0.5,), held_out=4, cache=tmp_path)
    assert again.cuts == first.cuts
    assert not ran


def test_a_stopped_run_goes_on(source, tmp_path):
    def stop(what, done, total):
        if what == "cutting axes one by one" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(source, order(), fractions=(0.5,), held_out=4, cache=tmp_path, progress=stop)
    (notes,) = (tmp_path / "sensitivity").glob("*.jsonl")
    assert len(notes.read_text("utf-8").splitlines()) == 2  # the whole model and one axis


def test_where_rounding_leaves_everything_it_is_said_and_no_figure_given(source, tmp_path):
    settings = {"multiple": 96}
    found = measure_sensitivity(
        source, order(settings=settings), fractions=(0.9, 0.5), held_out=4, cache=tmp_path, axes="neurons.0"
    )
    whole, cut = found.cuts[0].points
    assert (whole.gone, whole.increase) == (0, None)
    assert "nothing was removed" in whole.note
    assert cut.gone == 32
    assert cut.increase is not None


def test_nothing_at_all_is_an_error(source, tmp_path):
    with pytest.raises(PlanError, match="nothing was removed from any of 2 axes"):
        measure_sensitivity(
            source, order(settings={"multiple": 96}), fractions=(0.9,), held_out=4, cache=tmp_path
        )


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


def batches(labelled: bool, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(8, 6, generator=generator) for _ in range(4)]
    return [(x, torch.randint(3, (8,), generator=generator)) for x in inputs] if labelled else inputs


def test_an_axis_whose_weights_are_zero_already_is_named_and_not_called_robust(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.first.weight[8:] = 0
        net.first.bias[8:] = 0
        net.second.weight[:, 8:] = 0
    found = penjing.sensitivity(
        net, example=torch.randn(2, 6), data=batches(True), method="magnitude", fractions=(0.5,),
        settings={"multiple": 1},
    )  # fmt: skip
    first, second = (c.points[0] for c in found.cuts)
    assert "zero already" in first.note
    assert first.increase is None
    assert second.zeroed > 0
    assert found.nothing == [found.cuts[0].axis]


def test_without_labels_it_is_the_divergence(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path))
    torch.manual_seed(0)
    net = Net()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    found = penjing.sensitivity(net, example=torch.randn(2, 6), data=batches(False), fractions=(0.75, 0.25))
    assert found.objective == "divergence"
    assert found.value == pytest.approx(0.0, abs=1e-7)
    assert found.settings == {"repair": False}
    for cut in found.cuts:
        assert 0 < cut.points[0].increase < cut.points[1].increase
    assert all(torch.equal(before[n], t) for n, t in net.state_dict().items())


def test_one_plan_that_cannot_be_made_costs_no_other(source, tmp_path):
    found = measure_sensitivity(source, order(), axes="heads", fractions=(0.5, 0.1), held_out=4, cache=tmp_path)
    for cut in found.cuts:
        assert cut.points[0].increase is not None
        assert "leaves none" in cut.points[1].note
        assert cut.points[1].increase is None


def test_wishes_that_make_no_sense_are_refused(source, tmp_path):
    with pytest.raises(PlanError, match="needed one or more"):
        measure_sensitivity(source, order(), fractions=(1.0,), cache=tmp_path)
    with pytest.raises(PlanError, match="no setting 'axes'"):
        measure_sensitivity(source, order(method="wanda"), cache=tmp_path)
    with pytest.raises(PenjingError, match="no axis matches"):
        measure_sensitivity(source, order(), axes="neuron.*", cache=tmp_path)
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.last.bias[0] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        penjing.sensitivity(net, example=torch.randn(2, 6), data=batches(True), method="magnitude")
