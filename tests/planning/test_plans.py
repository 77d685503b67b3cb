"""From orders to plans: one pass for many methods, none for what is on disk."""

import sys
import types
from pathlib import Path

import pytest
import torch
from tests.house.tiny import tiny_model

from penjing.core import Budget, Mask, Wants
from penjing.errors import DataError
from penjing.io import open_checkpoint
from penjing.planning import gathering
from penjing.planning import plans as planning
from penjing.planning.order import Order
from penjing.planning.plans import gather, make_plan, make_plans, views_for
from penjing.running.source import Source, resolve

KEEP = Budget(keep=0.5)
MEAN = frozenset({"input_mean"})
DOWN = [f"model.layers.{i}.mlp.down_proj.weight" for i in range(2)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return resolve(tiny_model(tmp_path_factory.mktemp("planning") / "model"))


def order(**changes):
    return Order(**{"method": "activation", "budget": KEEP, "settings": {}, "rows": 6, "length": 16, **changes})


@pytest.fixture
def forwards(monkeypatch):
    """How many batches were run."""
    seen = []
    take = gathering.Pass.take
    monkeypatch.setattr(gathering.Pass, "take", lambda self, batch: (seen.append(1), take(self, batch))[1])
    return seen


def test_a_second_plan_and_another_ratio_cost_no_forward(source, tmp_path, forwards):
    first = make_plan(source, order(), cache=tmp_path)
    assert len(forwards) == 2
    again = make_plan(source, order(), cache=tmp_path)
    make_plan(source, order(budget=Budget(keep=0.25)), cache=tmp_path)
    assert len(forwards) == 2
    assert again.edits == first.edits
    assert again.made == first.made
    assert len(first.made["calibration"]["tokens_sha256"]) == 64


def test_only_what_is_missing_is_collected(source, tmp_path, forwards, monkeypatch):
    gather(source, order(), {DOWN[0]: MEAN}, cache=tmp_path)
    asked = []
    made = gathering.Pass.__init__
    monkeypatch.setattr(gathering.Pass, "__init__", lambda self, m, w, **k: (asked.append(w), made(self, m, w, **k))[1])
    stats, _ = gather(source, order(), dict.fromkeys(DOWN, MEAN), cache=tmp_path)
    assert asked == [{DOWN[1]: MEAN}]
    assert len(forwards) == 4
    fresh, _ = gather(source, order(), dict.fromkeys(DOWN, MEAN), cache=tmp_path / "other")
    for key in fresh:
        torch.testing.assert_close(stats[key], fresh[key])
    assert stats.samples == fresh.samples == 96


@pytest.mark.parametrize("change", [{"seed": 1}, {"rows": 5}, {"length": 8}, {"batch": 3}])
def test_other_data_is_another_pass(source, tmp_path, forwards, change):
    gather(source, order(), {DOWN[0]: MEAN}, cache=tmp_path)
    before = len(forwards)
    gather(source, order(**change), {DOWN[0]: MEAN}, cache=tmp_path)
    assert len(forwards) > before


def test_other_weights_are_another_pass(source, tmp_path, forwards):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(source.name)
    given = order(batches=[torch.arange(8).view(2, 4)])
    stats = []
    for factor in (1.0, 2.0):
        with torch.no_grad():
            model.model.layers[0].mlp.up_proj.weight.mul_(factor)
        own = Source("Llama", open_checkpoint(model), source.config, source.layout)
        stats.append(gather(own, given, {DOWN[0]: MEAN}, cache=tmp_path, module=model)[0])
    torch.testing.assert_close(stats[1][DOWN[0], "input_mean"], 2 * stats[0][DOWN[0], "input_mean"])
    assert len(forwards) == 2


def test_a_stopped_pass_goes_on_where_it_was(source, tmp_path, forwards, monkeypatch):
    monkeypatch.setattr(gathering, "JOURNAL_SECONDS", 0.0)
    wanted = {t: frozenset({"input_second_moment", "loss_gradient"}) for t in DOWN}
    given = order(rows=9, batch=2)
    whole, _ = gather(source, given, wanted, cache=tmp_path / "whole")

    class Killed(BaseException):
        pass

    def stop(what, done, total):
        if done == 3 and what == "collecting statistics":
            raise Killed

    with pytest.raises(Killed):
        gather(source, given, wanted, cache=tmp_path / "stopped", progress=stop)
    del forwards[:]
    resumed, _ = gather(source, given, wanted, cache=tmp_path / "stopped")
    assert len(forwards) == 3  # of five batches, two were noted before the third was told
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert not list((tmp_path / "stopped").rglob("journal-*"))


def test_orders_of_the_same_data_share_one_pass(source, tmp_path, forwards):
    orders = {
        "half": order(), "quarter": order(budget=Budget(keep=0.25)), "maw": order(method="maw"),
        "without": order(settings={"repair": False}),
    }  # fmt: skip
    plans = make_plans(source, orders, cache=tmp_path)
    assert list(plans) == list(orders)
    assert len(forwards) == 2
    assert plans["half"].edits == make_plan(source, order(), cache=tmp_path / "alone").edits
    assert plans["maw"].made["method"] == "maw"
    assert "calibration" not in plans["maw"].made


def test_each_method_gets_only_what_it_wants(source, tmp_path):
    methods = [planning.build(order()), planning.build(order(settings={"protect": ["neurons.0"]}))]
    (first, second), told = views_for(source, order(), methods, cache=tmp_path)
    assert {t for t, _ in first.stats} == set(DOWN)
    assert {t for t, _ in second.stats} == {DOWN[1]}
    assert told["calibration"]["rows"] == 6


class Method:
    """Wants one mean, and the model itself."""

    def wants(self, layout):
        return Wants({DOWN[0]: MEAN}, live=True)


def test_a_method_that_runs_the_model_gets_it(source, tmp_path, monkeypatch):
    made = []
    fake = types.ModuleType("live")
    fake.Running = lambda module, batches, layout, names=None: made.append((module, batches, layout, names)) or "live"
    monkeypatch.setitem(sys.modules, "penjing.running.live", fake)
    (view, other), _ = views_for(source, order(), [Method(), planning.build(order())], cache=tmp_path)
    assert view.running() == "live"
    assert other.live is None
    ((module, batches, layout, names),) = made
    assert (len(batches), layout, names[DOWN[0]]) == (2, source.layout, DOWN[0])
    assert set(names) <= {n for n, _ in module.named_parameters()}
    with pytest.raises(DataError, match="runs the whole model"):
        views_for(source, order(memory=90_000), [Method()], cache=tmp_path)


TRAINED = {"steps": 4, "every": 1, "learning_rate": 1e-3}


def test_a_method_that_trains_makes_its_plan_from_the_calibration_data(source, tmp_path):
    said = []
    asked = order(method="gradual_magnitude", settings=TRAINED)
    plan = make_plan(source, asked, cache=tmp_path, progress=lambda *what: said.append(what))
    assert any(what.startswith("training") and (done, whole) == (4, 4) for what, done, whole in said)
    assert plan.made["calibration"]["rows"] == 6
    assert plan.made["training"]["steps"] == 4
    assert {type(e).__name__ for e in plan} == {"Update", "Mask"}
    assert plan.made["zeros"] == sum(int((~e.kept).sum()) for e in plan if isinstance(e, Mask))
    again = make_plan(source, asked, cache=tmp_path)
    assert all(a == b for a, b in zip(plan, again, strict=True))
    with pytest.raises(DataError, match="runs the whole model"):
        make_plan(source, order(method="gradual_magnitude", settings=TRAINED, memory=90_000), cache=tmp_path)


def test_a_model_above_the_limit_is_run_block_by_block(source, tmp_path, forwards):
    stats, _ = gather(source, order(memory=90_000), dict.fromkeys(DOWN, MEAN), cache=tmp_path / "small")
    assert not forwards
    whole, _ = gather(source, order(), dict.fromkeys(DOWN, MEAN), cache=tmp_path / "large")
    for key in whole:
        torch.testing.assert_close(stats[key], whole[key], rtol=1e-4, atol=1e-6)
    with pytest.raises(DataError, match="cannot be had block by block"):
        gather(source, order(memory=90_000), {DOWN[0]: frozenset({"loss_taylor"})}, cache=tmp_path / "small")


def test_batches_of_ones_own_may_come_from_a_callable(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    x = torch.randn(5, 4)
    own = resolve(net, example=x)
    stats, told = gather(own, order(batches=lambda: iter([x])), {"2.weight": MEAN}, cache=tmp_path, module=net)
    torch.testing.assert_close(stats["2.weight", "input_mean"], net[:2](x).mean(0).detach())
    assert told == {"calibration": {"batches": "from a callable"}}
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="method 'activation' needs data and none was given"):
        gather(own, order(), {"2.weight": MEAN}, cache=tmp_path, module=net)


def test_data_sets_need_their_package(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    given = order(texts=(Path("datasets:wikitext"),))
    with pytest.raises(DataError, match="'datasets:wikitext' needs the package 'datasets'"):
        gather(source, given, {DOWN[0]: MEAN}, cache=tmp_path)


def test_images_are_prepared_as_the_model_wants_them(tmp_path):
    import json

    import numpy as np
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=12, intermediate_size=20, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4,
        num_channels=3, num_labels=5,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    pixels = np.random.default_rng(0).integers(0, 256, (10, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=pixels, y=np.arange(10) % 5)
    own = resolve(tmp_path / "vit")
    with pytest.raises(DataError, match="takes images; pass images"):
        gather(own, order(), {"classifier.weight": MEAN}, cache=tmp_path)
    head = {"do_resize": True, "size": {"height": 8, "width": 8}, "do_rescale": True, "do_normalize": True,
            "image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # fmt: skip
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(head))
    given = order(images=(tmp_path / "images.npz",), rows=10, batch=4)
    stats, told = gather(own, given, {"classifier.weight": frozenset({"loss_gradient"})}, cache=tmp_path)
    assert stats["classifier.weight", "loss_gradient"].shape == (5, 12)
    assert stats.samples == told["calibration"]["rows"] == 10
    assert told["calibration"]["preparation"].startswith("prepare=bicubic=8x8")
