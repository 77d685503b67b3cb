"""Limits of loss and of seconds: the plan holds them as far as anyone can say, and what was tried is told."""

import json

import pytest
import torch
from tests.house.tiny import tiny_model
from tests.profiling.roofline import machine
from torch import nn
from torch.nn import functional as F

import penjing
from penjing.core import Budget, Measurement, Report, Subject
from penjing.errors import BudgetError
from penjing.pipeline.time_check import time_notes
from penjing.planning.order import Order
from penjing.profiling import roofline
from penjing.running.source import resolve
from penjing.search.max_seconds import Machine, plan_within_seconds
from penjing.search.plan_for import plan_for

SETTINGS = {"axes": "*", "multiple": 1}


@pytest.fixture(scope="module")
def trained():
    """A classifier with more units than its task needs, its data in batches with labels, and an example."""
    torch.manual_seed(0)
    x = torch.randn(240, 6)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 4))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net.eval(), list(zip(x.split(24), y.split(24), strict=True)), x[:2]


def within(trained, limit, **more):
    net, data, example = trained
    return penjing.plan(
        net, method="magnitude", settings=SETTINGS, data=data, example=example,
        choice=penjing.Choice(max_loss=limit), **more
    )


def test_the_smallest_that_holds_the_loss_is_taken_and_tries_are_told(trained):
    plan = within(trained, 0.05)
    told = json.loads(json.dumps(plan.made["limit"]))
    tried = {t["keep"]: t["figure"] for t in told["tried"]}
    assert told["unit"] == "loss"
    assert told["objective"] == "loss"
    assert tried[told["keep"]] <= 0.05
    assert all(f > 0.05 for k, f in tried.items() if k < told["keep"])
    assert plan.made["budget"] == {"loss": 0.05}
    assert any("is the smallest of" in n for n in plan.made["notes"])


def test_more_loss_allows_a_smaller_model(trained):
    sizes = [sum(len(u) for u in within(trained, limit).keeps().values()) for limit in (0.01, 0.5)]
    assert sizes[1] < sizes[0]


def test_the_loss_is_of_examples_that_no_plan_was_made_from(trained):
    net, data, example = trained
    plan = within(trained, 0.05)
    held = [(x[3::4], y[3::4]) for x, y in data]
    smaller = penjing.apply(net, plan, example=example)
    with torch.no_grad():
        after, before = (
            float(torch.cat([F.cross_entropy(m(x), y, reduction="none") for x, y in held]).mean())
            for m in (smaller, net)
        )
    told = plan.made["limit"]
    taken = next(t["figure"] for t in told["tried"] if t["keep"] == told["keep"])
    assert after - before == pytest.approx(taken, abs=1e-5)


def test_a_loss_that_nothing_holds_is_refused(trained):
    with pytest.raises(BudgetError, match="no cut that was tried keeps the held-out loss within -10 "):
        within(trained, -10.0)


def test_auto_finds_a_method_and_then_its_share(trained):
    net, data, example = trained
    plan = penjing.plan(
        net, method="auto", settings={**SETTINGS, "candidates": "magnitude,l2_rows"}, data=data, example=example,
        choice=penjing.Choice(max_loss=0.05),
    )  # fmt: skip
    told = json.loads(json.dumps(plan.made))
    assert told["limit"]["unit"] == "loss"
    assert told["method"] in ("magnitude", "l2_rows")
    assert {s["name"] for s in told["tournament"]["standings"]} == {"magnitude", "l2_rows"}
    alone = penjing.plan(
        net, method=told["method"], settings=SETTINGS, data=data, example=example, choice=penjing.Choice(max_loss=0.05)
    )
    assert told["limit"]["keep"] == alone.made["limit"]["keep"]
    assert plan.keeps() == alone.keeps()
    assert any("flatters" in n for n in told["notes"])


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return resolve(tiny_model(tmp_path_factory.mktemp("limits") / "model"))


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A machine that was calibrated: one whose times are made of a formula."""
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    real = roofline.calibrate
    asked = []
    monkeypatch.setattr(roofline, "calibrate", lambda **k: (asked.append(k), real(**k, measure=machine.measure))[1])
    return asked


def order(seconds, **changes):
    given = {"method": "magnitude", "budget": Budget(seconds=seconds), "settings": {"multiple": 1}}
    return Order(**{**given, **changes})


def test_the_largest_that_is_predicted_in_time_is_taken(llama, known, tmp_path):
    with pytest.raises(BudgetError, match="nothing to cut"):
        plan_within_seconds(llama, order(1e9), cache=tmp_path)
    with pytest.raises(BudgetError, match="the whole model takes"):
        plan_within_seconds(llama, order(1e-12), cache=tmp_path)
    assert len(known) == 1, "a machine is calibrated once"
    ends = plan_within_seconds_of(llama, tmp_path)
    limit = sum(ends) / 2
    plan = plan_within_seconds(llama, order(limit), cache=tmp_path)
    told = json.loads(json.dumps(plan.made["limit"]))
    tried = {t["keep"]: t["figure"] for t in told["tried"]}
    assert told["figure"] == "decode_seconds_per_token"
    assert told["predicted"] == tried[told["keep"]] <= limit < told["unpruned"]
    assert all(f > limit for k, f in tried.items() if k > told["keep"])
    assert plan.made["budget"] == {"seconds": limit}


def test_auto_in_seconds_takes_the_winner_at_the_share_that_is_in_time(llama, known, tmp_path):
    plan_within_seconds_calibrates(llama, tmp_path)
    limit = sum(plan_within_seconds_of(llama, tmp_path)) / 2
    wanted = order(limit, method="auto", settings={"multiple": 1, "candidates": "magnitude,l2_rows"})
    plan = plan_for(llama, wanted, cache=tmp_path)
    told = plan.made["limit"]
    assert told["unit"] == "seconds"
    assert told["predicted"] <= limit < told["unpruned"]
    assert plan.made["method"] == plan.made["tournament"]["standings"][0]["name"]


def plan_within_seconds_calibrates(llama, cache):
    with pytest.raises(BudgetError, match="nothing to cut"):
        plan_within_seconds(llama, order(1e9), cache=cache)


def plan_within_seconds_of(llama, cache):
    """(predicted seconds at keep 0.5, of the whole model)."""
    from penjing.search.max_seconds import _Clock

    profile = roofline.find(dtype="float32")
    clock = _Clock(llama, profile, order(1.0))
    half = penjing.plan(llama.name, method="magnitude", keep=0.5, settings={"multiple": 1})
    return clock.seconds(half), clock.whole()


def test_times_of_another_device_are_not_predicted(llama, tmp_path):
    with pytest.raises(BudgetError, match="for processors only"):
        plan_within_seconds(llama, order(0.1), Machine(device="cuda"), cache=tmp_path)


MADE = {"limit": {"unit": "seconds", "most": 0.010, "predicted": 0.009, "figure": "decode_seconds_per_token"}}


def measured(value, null=(0.95, 1.05), note=""):
    found = Measurement(
        name="decode_seconds_per_token", value=value, unit="seconds", note=note, details={"null_interval": list(null)}
    )
    before, after = (Subject(name=n, source=n, figures=f) for n, f in (("a", ()), ("b", (found,))))
    return Report(title="", subjects=(before, after))


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0090, "the limit is held"), (0.0110, "the limit is missed"), (0.0099, "noise hides"), (0.0101, "noise hides")],
)
def test_a_limit_of_seconds_is_held_against_what_was_measured(value, said):
    (note,) = time_notes(MADE, measured(value))
    assert said in note


def test_what_was_not_measured_is_said_to_be_unchecked():
    (note,) = time_notes(MADE, measured(None, note="speed was not asked for"))
    assert "was not checked: speed was not asked for" in note
    assert time_notes({}, measured(0.01)) == ()
