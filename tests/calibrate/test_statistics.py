"""A statistic is one file: what it declares is all that the rooms around it go by."""

import inspect
import sys
from importlib import metadata

import pytest
import torch
from torch import nn

from penjing.calibrate import OBJECTIVES, STATISTICS, collect, dearest, find, known
from penjing.calibrate.statistic import COSTS, DERIVATIVES
from penjing.calibrate.statistics import objective_of
from penjing.errors import DataError, PenjingError

PEAK = '''
"""The largest |input|."""

import torch

from penjing.calibrate.statistic import Statistic

STATISTIC = Statistic(
    reads="inputs", shape="[in]", cost="forward", measure=lambda x: x.abs().amax(0),
    merge=lambda held, value, share: torch.maximum(held, value), finish=lambda peak: 2 * peak,
)
'''


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """Writes a module of another package and registers it in a group, for one test."""
    made = []

    def add(group, name, text):
        module = f"theirs_{name}"
        (tmp_path / f"{module}.py").write_text(text, "utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(
            metadata, "entry_points", lambda group, own=group: [metadata.EntryPoint(name, module, own)] * (group == own)
        )
        made.append((name, module))

    find.cache_clear()
    yield add
    find.cache_clear()
    for name, module in made:
        sys.modules.pop(module, None)
        for registry in (STATISTICS, OBJECTIVES):
            registry._loaded.pop(name, None)


@pytest.mark.parametrize("name", STATISTICS.names())
def test_each_says_what_it_is_and_what_it_costs(name):
    module = STATISTICS.load(name)
    own = module.STATISTIC
    assert own.cost in COSTS
    assert own.shape.startswith("[")
    assert own.measure.__doc__.startswith(own.shape)
    assert inspect.getdoc(module).splitlines()[0].endswith(".")


def test_those_of_an_objective_are_asked_for_with_its_name():
    of_objectives = {n for n in STATISTICS.names() if STATISTICS.load(n).STATISTIC.reads in DERIVATIVES}
    assert {objective_of(name) for name in known()} == {"", *OBJECTIVES.names()}
    assert len(known()) == len(STATISTICS.names()) + len(of_objectives) * (len(OBJECTIVES.names()) - 1)
    assert find("loss_fisher") is STATISTICS.load("fisher").STATISTIC


@pytest.mark.parametrize("name", ["fisher", "loss", "loss_input_mean", "loss_", "_fisher", "input_means"])
def test_what_is_no_statistic_is_refused(name):
    with pytest.raises(DataError, match=f"statistic '{name}' is not known"):
        find(name)


def test_the_cost_of_several_is_that_of_the_dearest():
    assert dearest(frozenset()) == "none"
    assert dearest(frozenset({"input_mean", "block_cosine"})) == "forward"
    assert dearest(frozenset({"input_mean", "entropy_taylor"})) == "backward"
    assert dearest(frozenset({"input_mean", "target_moment", "loss_fisher"})) == "many runs"


def test_what_only_a_walk_has_is_refused_at_once():
    with pytest.raises(DataError, match="is had block by block only"):
        collect(nn.Linear(2, 2), [torch.ones(1, 2)], {"weight": frozenset({"target_moment"})})


def test_one_of_another_package_is_collected_joined_and_finished_in_its_own_way(plug_in):
    plug_in("penjing.calibrate.statistics", "peak", PEAK)
    net, batches = nn.Sequential(nn.Linear(3, 2)), [torch.randn(4, 3), torch.randn(5, 3), torch.randn(2, 3)]
    stats = collect(net, batches, {"0.weight": frozenset({"peak", "input_mean"})})
    assert "peak" in known()
    assert torch.equal(stats["0.weight", "peak"], 2 * torch.cat(batches).abs().amax(0))
    torch.testing.assert_close(stats["0.weight", "input_mean"], torch.cat(batches).mean(0))


def test_a_file_without_a_statistic_is_named_and_costs_no_other(plug_in):
    plug_in("penjing.calibrate.statistics", "peak", '"""Nothing."""\n')
    with pytest.raises(PenjingError, match=r"statistic 'peak' .* has no STATISTIC"):
        find("peak")
    assert "input_mean" in known()
    assert "peak" not in known()


def test_an_objective_of_another_package_has_its_derivatives(plug_in):
    body = '''
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Objective:
    joins: ClassVar[bool] = False
    answers: ClassVar[bool] = False

    def __call__(self, output, batch):
        return output.square().sum(1)
'''
    plug_in("penjing.calibrate.objectives", "power", body)
    net, x = nn.Linear(3, 2, bias=False), torch.randn(4, 3)
    stats = collect(net, [x], {"weight": frozenset({"power_gradient"})})
    torch.testing.assert_close(stats["weight", "power_gradient"], 2 * net(x).T.detach() @ x / 4)


def test_an_objective_says_whether_it_joins_examples(plug_in):
    body = "from dataclasses import dataclass\n@dataclass\nclass Objective:\n    def __call__(self, a, b): ...\n"
    plug_in("penjing.calibrate.objectives", "power", body)
    with pytest.raises(PenjingError, match=r"objective 'power' .* does not say whether it joins"):
        OBJECTIVES.load("power")
