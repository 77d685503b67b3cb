"""A rotation keeps the function; a rotation and a cut are one pass over the files."""

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.surgery import tables
from torch import nn

from penjing.core import Keep, Mask, Plan, Rotate, Update
from penjing.errors import PlanError
from penjing.io import load_plan, open_checkpoint, save_plan
from penjing.layouts import from_config, from_module
from penjing.maths.pca import mean_keeping, random_orthogonal
from penjing.running.live import Running
from penjing.surgery import apply, cut, masked, reopen, stream, verify
from penjing.surgery.outputs import run

GPT2 = {
    "vocab_size": 61, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 32, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
OPT = {
    "vocab_size": 61, "hidden_size": 24, "word_embed_proj_dim": 24, "ffn_dim": 37, "num_hidden_layers": 2,
    "num_attention_heads": 3, "max_position_embeddings": 32,
}  # fmt: skip
LLAMA = {**tables.LLAMA, "num_hidden_layers": 2}
GEMMA = {**LLAMA, "tie_word_embeddings": True}
CASES = {
    "llama": ("LlamaForCausalLM", LLAMA),
    "llama, tied": ("LlamaForCausalLM", {**LLAMA, "tie_word_embeddings": True}),
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "opt": ("OPTForCausalLM", OPT),
    "gemma": ("GemmaForCausalLM", GEMMA),
}


def made(case, folder, **more):
    """A model whose gains and biases are no longer those of a new one."""
    name, settings = CASES[case]
    module = tables.make(name, folder, **{**settings, **more})
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    module.save_pretrained(folder)
    return module


def basis(layout, size, *, kept=None, seed=0):
    axes = random_orthogonal(size, torch.Generator().manual_seed(seed))[:, : kept or size]
    return (mean_keeping(axes) if any(n.kind == "layer" for n in layout.norms) else axes).float()


def logits(module):
    with torch.no_grad():
        return module(tables.tokens()).logits


def state(folder):
    return {n: t for path in folder.glob("*.safetensors") for n, t in load_file(path).items()}


def same(folder, module):
    held = module.state_dict()
    return all(torch.equal(t, held[n]) and t.dtype == held[n].dtype for n, t in state(folder).items())


@pytest.mark.parametrize("case", CASES)
def test_a_rotation_keeps_the_function(case, tmp_path):
    module = made(case, tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    size = layout.axes["residual"].size
    save_plan(Plan((Rotate("residual", basis(layout, size)),)), tmp_path / "plan")
    plan = load_plan(tmp_path / "plan")
    verified = verify(checkpoint, layout, plan)
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
    turned = apply(module, layout, plan, verified=verified)
    wanted = logits(module)
    assert (logits(turned) - wanted).abs().max() <= 1e-4
    assert (logits(masked(module, layout, plan)) - wanted).abs().max() <= 1e-4
    assert same(tmp_path / "out", turned)
    embedding = next(n for n in turned.state_dict() if "embed_tokens" in n or "wte" in n)
    assert (turned.state_dict()[embedding] - module.state_dict()[embedding]).abs().max() > 0.1
    head = 61 * size if case != "llama" else 0
    assert verified.after.parameters - verified.before.parameters == head
    assert any("stored apart" in note for note in verified.notes) == bool(head)
    assert "rotate" in " ".join(plan.describe())


def test_the_rotated_model_opens_where_penjing_cannot_be_imported(tmp_path):
    module = made("gemma", tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    stream(checkpoint, layout, Plan((Rotate("residual", basis(layout, 24)),)), tmp_path / "out")
    done = reopen(tmp_path / "out", {"input_ids": tables.tokens()}, logits(module))
    assert (done.missing, done.unexpected, done.mismatched) == ((), (), ())
    assert done.max_abs_difference <= 1e-4


@pytest.mark.parametrize("case", ["llama, tied", "gemma"])
def test_rotated_and_cut_divides_by_the_old_width_as_its_mask_does(case, tmp_path):
    module = made(case, tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    turn = basis(layout, 24)
    plan = Plan((Rotate("residual", turn), Keep("residual", tuple(range(18)))))
    verified = verify(checkpoint, layout, plan)  # no sensitive axis was allowed: none is needed
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
    smaller = apply(module, layout, plan, verified=verified)
    assert same(tmp_path / "out", smaller)
    # The stock norm adds its epsilon to a mean over fewer units.
    torch.testing.assert_close(logits(smaller), logits(masked(module, layout, plan)), rtol=0, atol=1e-4)
    assert (logits(smaller) - logits(module)).abs().max() > 1e-2
    at_once = apply(module, layout, Plan((Rotate("residual", turn[:, :18]),)))
    for name, tensor in smaller.state_dict().items():
        torch.testing.assert_close(tensor, at_once.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("after", [1, 9, 17])
def test_stopped_at_any_tensor_it_goes_on_to_the_same_bytes(after, tmp_path):
    class StopError(Exception):
        pass

    seen = []

    def stopping(_):
        seen.append(1)
        if len(seen) == after:
            raise StopError

    made("llama", tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = Plan((Rotate("residual", basis(layout, 24)), Keep("residual", tuple(range(18)))))
    verified = verify(checkpoint, layout, plan)
    stream(checkpoint, layout, plan, tmp_path / "whole", verified=verified)
    with pytest.raises(StopError):
        stream(checkpoint, layout, plan, tmp_path / "out", verified=verified, progress=stopping)
    assert not (tmp_path / "out").exists()
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "out").iterdir())
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "out" / n).read_bytes() for n in names)


def test_a_cut_before_a_rotation_and_one_after_it_are_one_pass_too(tmp_path):
    module = made("llama", tmp_path / "in", dtype=torch.bfloat16)
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = Plan(
        (
            Keep("residual", tuple(range(2, 22))),
            Rotate("residual", basis(layout, 20)),
            Keep("residual", tuple(range(18))),
            Rotate("residual", basis(layout, 18, seed=2)),
            Keep("neurons.0", tuple(range(0, 36, 2))),
            Keep("neurons.1", tuple(range(0, 36, 2))),
        )
    )
    verified = verify(checkpoint, layout, plan, allow_sensitive=True)
    before, cut.PIECE = cut.PIECE, 100
    try:
        stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
        assert same(tmp_path / "out", apply(module, layout, plan, verified=verified))
    finally:
        cut.PIECE = before


def test_new_values_and_masks_before_a_rotation_turn_with_it(tmp_path):
    module = made("llama", tmp_path / "in")
    _, layout = tables.opened(tmp_path / "in")
    name, gain = "model.layers.0.mlp.down_proj.weight", "model.norm.weight"
    first = Plan(
        (
            Mask(name, torch.rand(24, 37, generator=torch.Generator().manual_seed(3)) > 0.4),
            Update(gain, torch.linspace(0.5, 1.5, 24)),
        )
    )
    turn = Plan((Rotate("residual", basis(layout, 24)),))
    torch.testing.assert_close(
        logits(apply(module, layout, first + turn)), logits(apply(module, layout, first)), rtol=0, atol=1e-4
    )
    values = torch.full((24, 37), 0.25)
    after = apply(module, layout, turn + Plan((Update(name, values),)))
    assert torch.equal(after.state_dict()[name], values)


def test_gpt2_is_cut_where_its_config_holds_it(tmp_path):
    module = made("gpt2", tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    others = [a for a in layout.axes.values() if a.kind in {"neurons", "heads"}]
    keeps = [Keep(a.name, tuple(range(a.size * 2 // 3))) for a in others]
    plan = Plan((Rotate("residual", basis(layout, 24, kept=16)), *keeps))
    verified = verify(checkpoint, layout, plan, allow_sensitive=True)
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
    smaller = apply(module, layout, plan, verified=verified)
    assert same(tmp_path / "out", smaller)
    opened = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(opened.eval()), logits(smaller))


class Stack(nn.Module):
    """A stream of 12 that layer norms read; all that is written lies in 5 directions, which the axes have not."""

    def __init__(self, bias=True):
        super().__init__()
        self.put, self.up, self.down = nn.Linear(4, 12), nn.Linear(12, 9), nn.Linear(9, 12)
        self.head = nn.Linear(12, 3, bias=bias)
        self.norm, self.last = nn.LayerNorm(12, eps=0.0), nn.LayerNorm(12, eps=0.0)

    def forward(self, x):
        h = self.put(x)
        h = h + self.down(torch.relu(self.up(self.norm(h))))
        return self.head(self.last(h))


def stack(bias=True):
    torch.manual_seed(0)
    module = Stack(bias).double()
    span = random_orthogonal(12, torch.Generator().manual_seed(4))[:, :5]
    with torch.no_grad():
        for layer in (module.put, module.down):
            layer.weight.copy_(span @ span.T @ layer.weight)
            layer.bias.copy_(span @ span.T @ layer.bias)
        for norm in (module.norm, module.last):
            norm.weight.copy_(torch.rand(12) + 0.5)
            norm.bias.copy_(torch.randn(12))
    return module, span, from_module(module, torch.randn(2, 7, 4, dtype=torch.float64))


def residual(layout):
    return next(n.axis for n in layout.norms)


def test_a_cut_layer_norm_gives_the_same_when_the_basis_holds_the_stream():
    module, span, layout = stack()
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    turn = mean_keeping(torch.cat([span, span.new_zeros(12, 1)], 1))
    smaller = apply(module, layout, Plan((Rotate(residual(layout), turn),)), example=x, allow_sensitive=True)
    assert smaller.up.weight.shape == (9, 6)
    torch.testing.assert_close(run(smaller, x), run(module, x), rtol=0, atol=1e-10)


def test_a_norms_bias_stays_with_it_where_a_reader_has_none():
    module, _, layout = stack(bias=False)
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    turned = apply(module, layout, Plan((Rotate(residual(layout), basis(layout, 12).double()),)), example=x)
    torch.testing.assert_close(run(turned, x), run(module, x), rtol=0, atol=1e-5)  # the basis is of float32
    assert not turned.norm.bias.any()
    assert turned.last.bias.any()


def test_a_gain_of_zero_with_a_bias_that_stays_cannot_be_folded():
    module, _, layout = stack(bias=False)
    plan = Plan((Rotate(residual(layout), basis(layout, 12)),))
    with torch.no_grad():
        module.last.weight[3] = 0.0
    with pytest.raises(PlanError, match=r"last\.bias is .* at unit 3, where the gain of its norm is 0"):
        verify(open_checkpoint(module), layout, plan)
    with torch.no_grad():
        module.last.bias[3] = 0.0
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    torch.testing.assert_close(run(apply(module, layout, plan, example=x), x), run(module, x), rtol=0, atol=1e-5)
    with torch.no_grad():
        module.last.weight.mul_(1e-4)
    assert any("costs precision" in n for n in verify(open_checkpoint(module), layout, plan).notes)


def test_a_running_model_acts_as_if_it_were_rotated_and_is_put_back(tmp_path):
    module = made("llama, tied", tmp_path / "in")
    _, layout = tables.opened(tmp_path / "in")
    before = {n: t.clone() for n, t in module.state_dict().items()}
    live = Running(module, [tables.tokens()], layout)
    turn = Rotate("residual", basis(layout, 24))
    assert live.value(Plan((turn,)), objective="divergence") == pytest.approx(0, abs=1e-6)
    cut_to = Plan((turn, Keep("residual", tuple(range(18)))))
    with live.edited(cut_to) as acting:
        torch.testing.assert_close(logits(acting), logits(masked(module_of(before), layout, cut_to)), rtol=0, atol=1e-5)
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert module.lm_head.weight is module.model.embed_tokens.weight


def fresh(name, settings):
    kind = getattr(transformers, name)
    return kind._from_config(kind.config_class(**settings)).eval()


def module_of(state):
    module = fresh(*CASES["llama, tied"])
    module.load_state_dict(state)
    return module


REFUSED = {
    "no such axis": (lambda t: Rotate("residuals", t), "no axis is named 'residuals'; did you mean 'residual'"),
    "an axis that meets a function": (lambda t: Rotate("neurons.0", t), "neurons.0 cannot be rotated: it meets"),
    "too small a basis": (lambda t: Rotate("residual", t[:23]), r"\[23, 24\]; floating point \[24, at most 24\]"),
    "whole numbers": (lambda t: Rotate("residual", torch.eye(24).long()), "floating point"),
    "not orthonormal": (lambda t: Rotate("residual", 2 * t), "from orthonormal"),
    "not a number": (lambda t: Rotate("residual", t * float("nan")), "from orthonormal"),
    "gains that are not folded": (lambda t: Rotate("residual", t, fold=False), "fold the gains"),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    made("llama", folder)
    return tables.opened(folder)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_rotation_is_refused_with_what_was_needed(case, llama):
    checkpoint, layout = llama
    edit, reason = REFUSED[case]
    with pytest.raises(PlanError, match=reason):
        verify(checkpoint, layout, Plan((edit(basis(layout, 24)),)))


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("bert", "BertForSequenceClassification", "where a norm follows the sum"),
        ("gemma2", "Gemma2ForCausalLM", "where a norm follows the sum"),
        ("opt", "OPTForCausalLM", "mean_keeping"),
    ],
)
def test_models_that_cannot_be_rotated_are_refused_with_the_reason(kind, name, reason, tmp_path):
    tables.make(name, tmp_path / "in", **(OPT if kind == "opt" else LLAMA))
    checkpoint, layout = tables.opened(tmp_path / "in")
    turn = random_orthogonal(24, torch.Generator().manual_seed(0))
    with pytest.raises(PlanError, match=reason):
        verify(checkpoint, layout, Plan((Rotate("residual", turn),)))


def test_stock_code_that_ties_whatever_its_config_says_is_named():
    config = {
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 24, "d_ff": 30, "num_layers": 2,
        "num_heads": 3, "d_kv": 8, "vocab_size": 61,
    }  # fmt: skip
    layout = from_config(config)
    module = fresh("T5ForConditionalGeneration", {k: config[k] for k in list(config)[2:]})
    turn = random_orthogonal(24, torch.Generator().manual_seed(0))
    with pytest.raises(PlanError, match="ties them whatever its config says"):
        apply(module, layout, Plan((Rotate("residual", turn),)))
