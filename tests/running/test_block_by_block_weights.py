"""Single weights pruned block by block: each block, still whole, is measured behind pruned ones, as a loop has it."""

import copy

import pytest
import torch
import transformers

from penjing import surgery
from penjing.core import Budget, Mask, Plan, Stats, Update, View
from penjing.errors import DataError, UnsupportedError
from penjing.methods.sparsify import sparsegpt, wanda
from penjing.planning import plans as planning
from penjing.planning.order import Order
from penjing.running.block_by_block import RunningBlocks

HALF = Budget(keep=0.5)
BY_BLOCK = {"block_by_block": True}
SECOND, ENERGY = "input_second_moment", "input_energy"
NAMES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
         "mlp.down_proj")  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def inputs(module, path, batches):
    """All that a layer takes in, [rows in], by a hook."""
    kept = []
    hook = module.get_submodule(path).register_forward_pre_hook(lambda m, a: kept.append(a[0].flatten(0, -2)))
    with torch.no_grad():
        for batch in batches:
            module(batch)
    hook.remove()
    return torch.cat(kept).double()


def naive_wanda(model, batches, keep):
    """Block after block: every row's smallest |w| * |x| of each matrix to zero, on what the pruned blocks give."""
    pruned, masks = copy.deepcopy(model), {}
    for i in range(len(model.model.layers)):
        paths = [f"model.layers.{i}.{n}" for n in NAMES]
        seen = {p: inputs(pruned, p, batches) for p in paths}
        for path in paths:
            weight = pruned.get_submodule(path).weight.data
            mask = torch.ones_like(weight, dtype=torch.bool)
            for row in range(len(weight)):
                scores = [abs(float(w)) * float(x.norm()) for w, x in zip(weight[row], seen[path].T, strict=True)]
                for column in sorted(range(len(scores)), key=scores.__getitem__)[: round(len(scores) * (1 - keep))]:
                    mask[row, column] = False
            masks[f"{path}.weight"] = mask
            weight[~mask] = 0
    return masks


def test_wanda_block_by_block_is_a_loop_by_hand(model, layout, checkpoint, batches):
    wanted = naive_wanda(model, batches, 0.5)
    view = View(checkpoint, layout, Stats(), HALF, blocks=RunningBlocks(model, batches, layout))
    plan = wanda.Method(**BY_BLOCK).plan(view)
    assert {e.tensor for e in plan} == set(wanted)
    for edit in plan:
        assert torch.equal(edit.kept, wanted[edit.tensor]), edit.tensor
    assert plan.made["samples"] == sum(b.numel() for b in batches)
    assert plan.made["weights"] == sum(m.numel() for m in wanted.values())
    once = wanda.Method()
    from penjing.calibrate import collect

    stats = collect(model, batches, once.wants(layout).statistics)
    at_once = once.plan(View(checkpoint, layout, stats, HALF))
    same = {e.tensor: torch.equal(e.kept, wanted[e.tensor]) for e in at_once}
    assert all(same[t] for t in same if ".layers.0." in t)  # nothing lies before the first block
    assert not all(same.values())


def test_moments_are_those_behind_the_pruned_blocks_with_the_block_itself_whole(model, layout, batches):
    seen, edits = [], []

    def decide(names, stats):
        seen.append((names, stats))
        state = model.state_dict()
        made = [Update(n, state[n] * 0.9) for n in names]
        made += [Mask(n, torch.arange(state[n].numel()).view(state[n].shape) % 2 == 0) for n in names]
        edits.extend(made)
        return made

    tensors = [f"model.layers.{i}.{n}.weight" for i in (0, 2) for n in NAMES]
    got = RunningBlocks(model, batches, layout).weights(tensors, frozenset({SECOND, ENERGY}), decide)
    assert got == edits
    assert [len(names) for names, _ in seen] == [7, 7]
    behind = surgery.masked(model, layout, Plan(tuple(e for e in edits if ".layers.0." in e.tensor)))
    for (names, stats), reference in zip(seen, (model, behind), strict=True):
        for name in names:
            x = inputs(reference, name.removesuffix(".weight"), batches)
            torch.testing.assert_close(stats[name, SECOND].double(), x.T @ x / len(x), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(stats[name, ENERGY].double(), x.square().mean(0), rtol=1e-4, atol=1e-5)
            assert stats.samples == len(x)


@pytest.mark.parametrize("pattern", ["", "2:4"])
def test_sparsegpt_block_by_block_is_nearer_to_the_dense_model(model, layout, checkpoint, batches, pattern):
    """What the repair was fitted to are the inputs that come; the outputs of the model change less."""
    from penjing.calibrate import collect

    once = sparsegpt.Method(pattern=pattern)
    stats = collect(model, batches, once.wants(layout).statistics)
    blocks = RunningBlocks(model, batches, layout)
    plans = {
        "once": once.plan(View(checkpoint, layout, stats, HALF)),
        "blocks": sparsegpt.Method(pattern=pattern, **BY_BLOCK).plan(
            View(checkpoint, layout, Stats(), HALF, blocks=blocks)
        ),
    }
    with torch.no_grad():
        dense = torch.cat([model(b).logits.flatten(0, 1) for b in batches])
        error = {}
        for name, plan in plans.items():
            module = surgery.masked(model, layout, plan)
            error[name] = float((torch.cat([module(b).logits.flatten(0, 1) for b in batches]) - dense).square().mean())
    assert error["blocks"] < error["once"]
    for edit in plans["blocks"]:
        if isinstance(edit, Mask):
            assert int((~edit.kept).sum()) == edit.kept.numel() // 2


def test_an_order_that_goes_block_by_block_gets_its_plan_and_leaves_no_trace(model, layout, batches, tmp_path):
    from penjing.io import open_checkpoint
    from penjing.running.source import Source

    before = {n: t.clone() for n, t in model.state_dict().items()}
    config = surgery.memory.stock_config(model)
    source = Source("Llama", open_checkpoint(model, config=config), config, layout)
    said = []
    order = Order(method="wanda", budget=HALF, settings=BY_BLOCK, batches=batches)
    plan = planning.make_plan(source, order, cache=tmp_path, module=model, progress=lambda *what: said.append(what))
    assert ("going block by block", 3, 3) in said
    assert plan.made["settings"]["block_by_block"] is True
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_what_cannot_be_gone_through_is_refused(model, layout, batches):
    blocks = RunningBlocks(model, batches, layout)
    with pytest.raises(UnsupportedError, match=r"model\.embed_tokens\.weight does not lie within one block"):
        blocks.weights(["model.embed_tokens.weight"], frozenset({ENERGY}), lambda names, stats: [])
    with pytest.raises(DataError, match="'target_moment' cannot be had"):
        blocks.weights(["model.layers.0.mlp.up_proj.weight"], frozenset({"target_moment"}), lambda names, stats: [])
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.model.layers[0].self_attn.v_proj.weight[0, 0] = torch.inf
    with pytest.raises(DataError, match=r"inputs of model.layers.0.self_attn.o_proj.weight hold"):
        RunningBlocks(broken, batches, layout).weights(
            ["model.layers.0.self_attn.o_proj.weight"], frozenset({ENERGY}), lambda names, stats: []
        )
