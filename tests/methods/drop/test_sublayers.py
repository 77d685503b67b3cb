"""Attention and MLPs left out, against a loop over the stream in each block."""

import pytest
import torch
from tests.methods.drop import deep
from tests.surgery import tables

import penjing
from penjing.errors import BudgetError, PenjingError, UnsupportedError
from penjing.surgery import stream


@torch.no_grad()
def naive(module):
    """cos(x, x + Attn(N1(x))) and cos(h, h + MLP(N2(h))), mean over all positions: path -> similarity."""
    sums, count = {}, 0
    for batch in deep.ROWS:
        h = deep.streams(module, batch["input_ids"])
        positions = module.model.rotary_emb(h[0], torch.arange(h[0].shape[1])[None])
        mask = torch.full((h[0].shape[1],) * 2, -torch.inf).triu(1)[None, None]
        count += h[0].shape[0] * h[0].shape[1]
        for k, block in enumerate(module.model.layers):
            x = h[k]
            a = block.self_attn(block.input_layernorm(x), attention_mask=mask, position_embeddings=positions)[0]
            y = x + a
            m = y + block.mlp(block.post_attention_layernorm(y))
            torch.testing.assert_close(m, h[k + 1])
            for path, before, after in (("self_attn", x, y), ("mlp", y, m)):
                for example in range(x.shape[0]):
                    for p in range(x.shape[1]):
                        u, v = before[example, p], after[example, p]
                        name = f"model.layers.{k}.{path}"
                        sums[name] = sums.get(name, 0.0) + float(u @ v / u.norm() / v.norm())
    return {name: value / count for name, value in sums.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("deep") / "model"


@pytest.fixture(scope="module")
def module(folder):
    return deep.make(folder)


@pytest.mark.parametrize(("part", "keep", "count"), [("attention", 0.6, 2), ("mlp", 0.8, 1), ("both", 0.6, 4)])
def test_the_most_similar_of_the_inner_blocks_go(module, folder, part, keep, count):
    wanted = naive(module)
    plan = deep.plan(folder, "sublayers", keep, part=part)
    assert plan.made["similarities"] == pytest.approx(wanted, abs=1e-4)
    kinds = {"attention": ("self_attn",), "mlp": ("mlp",), "both": ("self_attn", "mlp")}[part]
    names = [n for n in wanted if n.split(".")[2] in "123" and n.endswith(kinds)]
    assert {e.module for e in plan} == set(sorted(names, key=lambda n: -wanted[n])[:count])


def test_it_writes_with_the_cache_what_it_writes_without_though_the_first_attention_has_gone(module, folder, tmp_path):
    plan = deep.plan(folder, "sublayers", 0.2, ends=0)
    checkpoint, layout = tables.opened(folder)
    assert len(plan.edits) == 4
    opened = penjing.load(stream(checkpoint, layout, plan, tmp_path / "out"))
    assert [type(b.self_attn).__name__ == "Nothing" for b in opened.model.layers].count(True) == 4
    ids = tables.tokens()[:1]
    more = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    whole = ids
    for _ in range(12):
        with torch.no_grad():
            whole = torch.cat([whole, opened(whole, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    assert torch.equal(opened.generate(ids, **more), whole)


def test_what_cannot_be_is_refused(module, folder, tmp_path):
    with pytest.raises(BudgetError, match=r"all 5 parts \(mlp\) would go"):
        deep.plan(folder, "sublayers", 0.01, part="mlp", ends=0)
    with pytest.raises(PenjingError, match="takes one of attention, mlp, both"):
        deep.plan(folder, "sublayers", 0.5, part="attn")
    settings = {**tables.LLAMA, "query_pre_attn_scalar": 4, "sliding_window": 8}
    tables.make("Gemma2ForCausalLM", tmp_path / "gemma2", **settings)
    with pytest.raises(UnsupportedError, match="as where a norm follows them; drop whole blocks"):
        deep.plan(tmp_path / "gemma2", "sublayers", 0.7)


def test_attention_goes_where_files_name_the_other_part_otherwise_than_the_code(tmp_path):
    own = {"intermediate_size": 36, "num_hidden_layers": 4, "num_local_experts": 3, "num_experts_per_tok": 2}
    tables.make("MixtralForCausalLM", tmp_path / "mixtral", **{**tables.LLAMA, **own})
    plan = deep.plan(tmp_path / "mixtral", "sublayers", 0.5, ends=0)
    assert {n.rsplit(".", 1)[1] for n in plan.made["similarities"]} == {"self_attn", "block_sparse_moe"}
    assert [e.module.rsplit(".", 1)[1] for e in plan] == ["self_attn"] * 2
    with pytest.raises(UnsupportedError, match="36 of the tensors"):
        deep.plan(tmp_path / "mixtral", "svd", 0.5)
