"""A basis for each block keeps the function; the streamed result is that in memory, and the bridges are counted."""

import pytest
import torch
from tests.surgery import tables
from tests.surgery.edits.test_rotate import CASES, logits, made, state

import penjing
from penjing.core import Bridge, Keep, Plan
from penjing.errors import PlanError
from penjing.io import load_plan, open_checkpoint, save_plan
from penjing.layouts import from_config
from penjing.maths.pca import mean_keeping, random_orthogonal
from penjing.surgery import apply, stream, verify


def bases(layout, size, count, kept=None):
    """One drawn for each block and one for behind."""
    layer = any(n.kind == "layer" for n in layout.norms)
    drawn = [random_orthogonal(size, torch.Generator().manual_seed(k))[:, : kept or size] for k in range(count)]
    return tuple((mean_keeping(b) if layer else b).float() for b in drawn)


def bridged(checkpoint, kept=None):
    layout = from_config(checkpoint.config, stored=checkpoint.shapes)
    (blocks,) = layout.blocks
    size = layout.axes["residual"].size
    return layout, Plan((Bridge("residual", blocks.axis, bases(layout, size, blocks.size + 1, kept)),))


@pytest.mark.parametrize("case", [c if c == "llama, tied" else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
def test_with_all_units_the_function_stays_what_it_is(case, tmp_path):  # slow: each family is traced anew
    before = logits(made(case, tmp_path / "m").eval())
    with open_checkpoint(tmp_path / "m") as checkpoint:
        layout, plan = bridged(checkpoint)
        stream(checkpoint, layout, plan, tmp_path / "out")
        told = verify(checkpoint, layout, plan)
    after = penjing.load(tmp_path / "out")
    torch.testing.assert_close(logits(after), before, rtol=1e-4, atol=2e-4)
    assert told.opens_with == "penjing"
    assert told.after.parameters == sum(p.numel() for p in after.parameters())


def test_a_cut_is_the_original_on_a_stream_projected_at_every_step(tmp_path):
    """With as many columns as dimensions less: each branch reads, and writes, what lies in its block's span."""
    module = made("llama", tmp_path / "m", head_dim=8).eval().double()
    with open_checkpoint(tmp_path / "m") as checkpoint:
        layout, plan = bridged(checkpoint, kept=12)
        stream(checkpoint, layout, plan, tmp_path / "out")
    found = logits(penjing.load(tmp_path / "out").double())
    model, tokens, width = module.model, tables.tokens(), module.config.hidden_size
    projections = [(b.double() @ b.double().T) for b in plan.edits[0].bases]
    x = model.embed_tokens(tokens) @ projections[0]
    rotary = model.rotary_emb(x, torch.arange(tokens.shape[1])[None])
    mask = torch.full((tokens.shape[1],) * 2, -torch.inf, dtype=x.dtype).triu(1)[None, None]

    def norm(part, x):
        kept = x.square().sum(-1, keepdim=True) / width  # the old width, however much is cut
        return part.weight * x / (kept + part.variance_epsilon * 12 / width).sqrt()

    with torch.no_grad():
        for layer, inside, behind in zip(model.layers, projections, projections[1:], strict=False):
            heads = layer.self_attn(norm(layer.input_layernorm, x), position_embeddings=rotary, attention_mask=mask)
            x = x + heads[0] @ inside
            x = x + layer.mlp(norm(layer.post_attention_layernorm, x)) @ inside
            x = x @ behind
        wanted = module.lm_head(norm(model.norm, x))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_files_and_memory_agree_bit_for_bit_and_a_plan_comes_back(tmp_path):
    module = made("llama, tied", tmp_path / "m", head_dim=8).eval()
    with open_checkpoint(tmp_path / "m") as checkpoint:
        layout, plan = bridged(checkpoint, kept=12)
        save_plan(plan, tmp_path / "plan")
        assert load_plan(tmp_path / "plan").edits == plan.edits
        stream(checkpoint, layout, plan, tmp_path / "out")
    small = apply(module, layout, plan)
    files = state(tmp_path / "out")
    assert all(torch.equal(t, small.state_dict()[n]) for n, t in files.items())
    assert files["model.layers.0.bridge"].shape == (12, 12)
    assert torch.equal(logits(penjing.load(tmp_path / "out")), logits(small))
    opened = penjing.load(tmp_path / "out")
    greedy = opened.generate(tables.tokens()[:1, :4], max_new_tokens=4, do_sample=False)
    assert greedy.shape[1] == 8


def test_a_later_cut_of_the_stream_is_its_mask(tmp_path):
    module = made("llama", tmp_path / "m", head_dim=8).eval().double()
    from penjing.surgery import masked

    with open_checkpoint(tmp_path / "m") as checkpoint:
        layout, plan = bridged(checkpoint)
    cut = plan + Plan((Keep("residual", tuple(range(0, 24, 2))),))
    torch.testing.assert_close(
        logits(apply(module, layout, cut)), logits(masked(module, layout, cut)), rtol=1e-4, atol=1e-4
    )


def test_what_does_not_fit_is_refused(tmp_path):
    made("llama", tmp_path / "m")
    with open_checkpoint(tmp_path / "m") as checkpoint:
        layout, plan = bridged(checkpoint)
        (edit,) = plan.edits
        wrong = {
            "3 bases were given|needed one for each": Bridge("residual", "blocks", edit.bases[:2]),
            "no list of blocks is named": Bridge("residual", "layers", edit.bases),
            "needed as many each": Bridge("residual", "blocks", (*edit.bases[:2], edit.bases[2][:, :8])),
            "from orthonormal": Bridge("residual", "blocks", (*edit.bases[:2], edit.bases[2] * 2)),
            "cannot be rotated": Bridge("neurons.0", "blocks", edit.bases),
        }
        for match, one in wrong.items():
            with pytest.raises(PlanError, match=match):
                verify(checkpoint, layout, Plan((one,)))
        with pytest.raises(PlanError, match="leads from each block into the basis of the next"):
            verify(checkpoint, layout, plan + Plan((Keep("blocks", (0,)),)))
        with pytest.raises(PlanError, match="blocks were dropped before"):
            verify(checkpoint, layout, Plan((Keep("blocks", (0,)),)) + plan)
