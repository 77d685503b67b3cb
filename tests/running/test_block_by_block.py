"""Going block by block: exact where nothing is cut, nearer to the dense model than one shot, and without a trace."""

import copy

import pytest
import torch
import transformers

from penjing import surgery
from penjing.core import Budget, Keep, Stats, Update, View
from penjing.errors import DataError, UnsupportedError
from penjing.methods.prune.activation import Method
from penjing.planning import plans as planning
from penjing.planning.order import Order
from penjing.running.block_by_block import RunningBlocks

MOMENTS = frozenset({"input_second_moment", "target_moment"})
BY_BLOCK = {"block_by_block": True, "multiple": 1}
HALF = Budget(keep=0.5)
CONFIG = transformers.LlamaConfig(
    vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.3,
    attention_bias=True, mlp_bias=True,
)  # fmt: skip


def down(i: int) -> str:
    return f"model.layers.{i}.mlp.down_proj.weight"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    module = transformers.LlamaForCausalLM(CONFIG).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return module


def planned(model, layout, checkpoint, batches, budget=HALF, **settings):
    blocks = RunningBlocks(model, batches, layout)
    return Method(**{**BY_BLOCK, **settings}).plan(View(checkpoint, layout, Stats(), budget, blocks=blocks))


def streams(module, batches):
    """The hidden states behind the last block, of all rows."""
    with torch.no_grad():
        return torch.cat([module.model(b).last_hidden_state.flatten(0, 1) for b in batches])


def naive_moments(model, cut, batches, number):
    """Token by token: (the mean of x xᵀ, of t xᵀ) for a block's down projection, by hand from two whole models."""
    second, target, count = 0.0, 0.0, 0
    for batch in batches:
        states = []
        for module in (model, cut):
            kept = {}
            layer = module.model.layers[number]
            hooks = [
                layer.register_forward_hook(lambda m, a, o, k=kept: k.update(after=o)),
                layer.mlp.register_forward_hook(lambda m, a, o, k=kept: k.update(branch=o)),
                layer.mlp.down_proj.register_forward_pre_hook(lambda m, a, k=kept: k.update(x=a[0])),
            ]
            with torch.no_grad():
                module(batch)
            for hook in hooks:
                hook.remove()
            states.append(kept)
        dense, small = states
        wanted = dense["after"] - (small["after"] - small["branch"]) - model.model.layers[number].mlp.down_proj.bias
        for x, t in zip(small["x"].flatten(0, 1).double(), wanted.flatten(0, 1).double(), strict=True):
            second, target, count = second + torch.outer(x, x), target + torch.outer(t, x), count + 1
    return (second / count).float(), (target / count).float(), count


def test_the_moments_are_those_of_a_loop_over_tokens_behind_the_cut_blocks(model, layout, batches):
    edits = [Keep("neurons.0", tuple(range(0, 24, 2))), Update(down(0), torch.full((16, 12), 0.1))]
    seen = []

    def decide(names, stats):
        seen.append((list(names), stats))
        return edits if len(seen) == 1 else []

    assert RunningBlocks(model, batches, layout).edits(["neurons.1", "neurons.0"], MOMENTS, decide) == edits
    assert [names for names, _ in seen] == [["neurons.0"], ["neurons.1"]]
    cut = surgery.masked(model, layout, surgery_plan(edits))
    for i, reference in enumerate((model, cut)):
        second, target, count = naive_moments(model, reference, batches, i)
        stats = seen[i][1]
        assert stats.samples == count
        torch.testing.assert_close(stats[down(i), "input_second_moment"], second, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stats[down(i), "target_moment"], target, rtol=1e-4, atol=1e-5)


def surgery_plan(edits):
    from penjing.core import Plan

    return Plan(tuple(edits))


def test_attention_is_cut_before_the_mlp_and_the_mlp_sees_it(model, layout, batches):
    seen = []

    def decide(names, stats):
        seen.append((tuple(names), stats))
        return [Keep(names[0], (0,))] if names[0].startswith("heads") else []

    axes = ["neurons.0", "queries.0", "heads.0"]
    edits = RunningBlocks(model, batches, layout).edits(axes, MOMENTS, decide)
    assert [set(names) for names, _ in seen] == [{"heads.0", "queries.0"}, {"neurons.0"}]
    cut = surgery.masked(model, layout, surgery_plan(edits))
    second, target, _ = naive_moments(model, cut, batches, 0)
    torch.testing.assert_close(seen[1][1][down(0), "input_second_moment"], second, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen[1][1][down(0), "target_moment"], target, rtol=1e-4, atol=1e-5)


def test_where_nothing_is_cut_the_target_is_what_the_old_weights_give(model, layout, batches):
    found = {}
    RunningBlocks(model, batches, layout).edits(
        ["neurons.0", "neurons.1"], MOMENTS, lambda names, stats: found.update(stats.values) or []
    )
    for i in range(2):
        wanted = model.state_dict()[down(i)] @ found[down(i), "input_second_moment"]
        torch.testing.assert_close(found[down(i), "target_moment"], wanted, rtol=1e-4, atol=1e-5)


def test_keeping_everything_changes_nothing(model, layout, checkpoint, batches):
    plan = planned(model, layout, checkpoint, batches, Budget(keep=1.0))
    assert not [e for e in plan if isinstance(e, Update)]
    torch.testing.assert_close(
        streams(surgery.masked(model, layout, plan), batches), streams(model, batches), rtol=0, atol=0
    )


@pytest.mark.parametrize("axes", ["neurons.*", "neurons.*,heads.*"])
def test_nearer_to_the_dense_model_than_one_shot_and_than_without_drift(model, layout, checkpoint, batches, axes):
    from penjing.calibrate import collect

    dense = streams(model, batches)
    once = Method(axes=axes, multiple=1)
    stats = collect(model, batches, once.wants(layout).statistics)
    plans = {
        "once": once.plan(View(checkpoint, layout, stats, HALF)),
        "blocks": planned(model, layout, checkpoint, batches, axes=axes, drift=False),
        "drift": planned(model, layout, checkpoint, batches, axes=axes),
    }
    error = {
        k: float((streams(surgery.masked(model, layout, p), batches) - dense).square().mean()) for k, p in plans.items()
    }
    assert error["drift"] < 0.97 * error["once"]
    assert error["drift"] < error["blocks"]


def test_a_block_that_is_no_plain_sum_is_fitted_to_what_the_dense_layer_gives(model, layout, batches):
    scaled = copy.deepcopy(model)
    for layer in scaled.model.layers:
        layer.mlp.register_forward_hook(lambda m, a, output: 0.5 * output)
    found = []

    def decide(names, stats):
        found.append(stats)
        return [Keep("neurons.0", (0, 1))] if names == ["neurons.0"] else []

    RunningBlocks(scaled, batches, layout).edits(["neurons.0", "neurons.1"], MOMENTS, decide)
    cut, second, target = copy.deepcopy(scaled), 0.0, 0.0
    with torch.no_grad():
        cut.model.layers[0].mlp.down_proj.weight[:, 2:] = 0
    for batch in batches:
        x, y = (inputs(m, batch) for m in (cut, scaled))
        target = target + (y @ model.state_dict()[down(1)].T).T @ x
        second = second + len(x)
    torch.testing.assert_close(found[1][down(1), "target_moment"], target / second, rtol=1e-4, atol=1e-5)


def inputs(module, batch):
    kept = []
    hook = module.model.layers[1].mlp.down_proj.register_forward_pre_hook(lambda m, a: kept.append(a[0]))
    with torch.no_grad():
        module(batch)
    hook.remove()
    return kept[0].flatten(0, 1)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, None])
def test_the_module_is_left_as_it_was(model, layout, batches, stop):
    module = copy.deepcopy(model).train()
    module.model.layers[1].eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    modes = [m.training for m in module.modules()]

    def decide(names, stats):
        if names == ["neurons.1"] and stop:
            raise stop
        return [Keep(names[0], (0, 5))]

    blocks = RunningBlocks(module, batches, layout)
    if stop:
        with pytest.raises(stop):
            blocks.edits(["neurons.0", "neurons.1"], MOMENTS, decide)
    else:
        blocks.edits(["neurons.0", "neurons.1"], MOMENTS, decide)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert [m.training for m in module.modules()] == modes
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_progress_counts_blocks(model, layout, batches):
    told = []
    blocks = RunningBlocks(model, batches, layout, progress=lambda done, total: told.append((done, total)))
    blocks.edits(["neurons.1"], MOMENTS, lambda names, stats: [])
    assert told == [(1, 2), (2, 2)]


def test_what_cannot_be_gone_through_is_refused(model, layout, batches, monkeypatch):
    blocks = RunningBlocks(model, batches, layout)
    with pytest.raises(UnsupportedError, match="'residual' does not lie within one block"):
        blocks.edits(["residual"], MOMENTS, lambda names, stats: [])
    with pytest.raises(DataError, match="'loss_taylor' cannot be had"):
        blocks.edits(["neurons.0"], frozenset({"loss_taylor"}), lambda names, stats: [])
    with pytest.raises(DataError, match="no calibration data"):
        RunningBlocks(model, [], layout).edits(["neurons.0"], MOMENTS, lambda names, stats: [])
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    with pytest.raises(DataError, match=r"inputs of model.layers.0.mlp.down_proj.weight hold"):
        RunningBlocks(broken, batches, layout).edits(["neurons.0"], MOMENTS, lambda names, stats: [])
    between = copy.deepcopy(model)
    between.model.layers[1].register_forward_pre_hook(lambda m, args: (args[0] + 1, *args[1:]))
    with pytest.raises(UnsupportedError, match="block 1 does not take what the block before it gives"):
        RunningBlocks(between, batches, layout).edits(["neurons.1"], MOMENTS, lambda names, stats: [])


def test_a_method_without_the_blocks_says_where_they_come_from(layout, checkpoint):
    with pytest.raises(DataError, match=r"plan through penjing.plan"):
        Method(**BY_BLOCK).plan(View(checkpoint, layout, Stats(), HALF))


def test_an_order_that_goes_block_by_block_gets_its_plan(model, layout, batches, tmp_path):
    from penjing.io import open_checkpoint
    from penjing.running.source import Source

    config = surgery.memory.stock_config(model)
    source = Source("Llama", open_checkpoint(model, config=config), config, layout)
    said = []
    order = Order(method="activation", budget=HALF, settings=BY_BLOCK, batches=batches)
    plan = planning.make_plan(source, order, cache=tmp_path, module=model, progress=lambda *what: said.append(what))
    assert ("going block by block", 2, 2) in said
    wanted = planned(model, layout, source.weights(), batches)
    assert plan.edits == wanted.edits
    assert plan.made["settings"]["block_by_block"] is True
