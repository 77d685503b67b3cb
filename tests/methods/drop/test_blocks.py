"""Blocks by cosine similarity, against a loop over positions."""

import pytest
import torch
import transformers
from tests.methods.drop import deep
from tests.surgery import tables

import penjing
from penjing.core import Keep, Plan
from penjing.errors import BudgetError
from penjing.io.checkpoint import OpenCheckpoint
from penjing.surgery import stream


def naive(module, count):
    """Mean over all tokens of all samples of cos(h_i, h_{i+count}), for every start i."""
    found = []
    for i in range(deep.BLOCKS - count + 1):
        values = []
        for batch in deep.ROWS:
            h = deep.streams(module, batch["input_ids"])
            for example in range(h[0].shape[0]):
                for position in range(h[0].shape[1]):
                    a, b = h[i][example, position], h[i + count][example, position]
                    values.append(float(a @ b / a.norm() / b.norm()))
        found.append(sum(values) / len(values))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deep") / "model"


@pytest.fixture(scope="module")
def module(folder):
    return deep.make(folder)


def kept(plan):
    return plan.keeps()["blocks"]


def test_one_by_one_the_most_similar_go(module, folder):
    similar = naive(module, 1)
    plan = deep.plan(folder, "blocks", 0.6)
    assert plan.made["similarities"] == pytest.approx(similar, abs=1e-4)
    gone = sorted(sorted(range(1, 4), key=lambda k: -similar[k])[:2])
    assert kept(plan) == tuple(k for k in range(5) if k not in gone)


@pytest.mark.parametrize(("ends", "count"), [(0, 1), (0, 3), (1, 2), (0, 4)])
def test_the_stretch_is_the_most_similar_of_its_own_length(module, folder, ends, count):
    similar = naive(module, count)
    starts = range(ends, deep.BLOCKS - ends - count + 1)
    best = max(starts, key=lambda i: similar[i])
    plan = deep.plan(folder, "blocks", (5 - count) / 5, consecutive=True, ends=ends)
    assert kept(plan) == tuple(k for k in range(5) if not best <= k < best + count)


def test_a_limit_takes_as_few_as_meet_it(module, folder):
    whole = sum(p.numel() for p in module.parameters())
    one = sum(p.numel() for p in module.model.layers[0].parameters())
    from penjing.pipeline.request import Data

    plan = penjing.plan(folder, method="blocks", limit_parameters=whole - one - 1, data=Data(batches=deep.ROWS))
    assert len(kept(plan)) == 3


@pytest.mark.parametrize(
    ("keep", "settings", "said"),
    [
        (0.2, {}, "4 of 5 blocks would go, and 3 may: the first blocks turn tokens .* keep 0.4 or more, or set ends"),
        (0.01, {"ends": 0}, "all 5 blocks would go, and one has to stay"),
    ],
)
def test_more_than_may_go_is_refused_with_the_reason(module, folder, keep, settings, said):
    with pytest.raises(BudgetError, match=said):
        deep.plan(folder, "blocks", keep, **settings)


def test_what_is_left_is_a_stock_checkpoint_whose_tensors_were_copied_and_not_read(
    module, folder, tmp_path, monkeypatch
):
    checkpoint, layout = tables.opened(folder)

    def read(self, name):
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr(OpenCheckpoint, "__getitem__", read)
    out = stream(checkpoint, layout, Plan((Keep("blocks", (0, 2, 4)),)), tmp_path / "out")
    monkeypatch.undo()
    opened = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert opened.config.num_hidden_layers == 3
    module.model.layers, whole = torch.nn.ModuleList(module.model.layers[k] for k in (0, 2, 4)), module.model.layers
    for place, layer in enumerate(module.model.layers):
        layer.self_attn.layer_idx = place
    try:
        ids = tables.tokens()
        with torch.no_grad():
            assert torch.equal(opened(ids).logits, module(ids, use_cache=False).logits)
    finally:
        module.model.layers = whole
        for place, layer in enumerate(whole):
            layer.self_attn.layer_idx = place


def test_lists_with_an_item_per_block_are_cut_with_them(tmp_path):
    kinds = ["sliding_attention", "full_attention", "full_attention"]
    settings = {**tables.LLAMA, "layer_types": kinds, "sliding_window": 8, "use_sliding_window": True}
    tables.make("Qwen2ForCausalLM", tmp_path / "model", **{k: v for k, v in settings.items() if k != "head_dim"})
    checkpoint, layout = tables.opened(tmp_path / "model")
    out = stream(checkpoint, layout, Plan((Keep("blocks", (0, 2)),)), tmp_path / "out")
    opened = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert opened.config.layer_types == ["sliding_attention", "full_attention"]
