"""A module in the place of another: one pass over the files, cut before or after, opened again by penjing.load."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tests.surgery import tables
from torch import nn

import penjing
from penjing.core import Keep, Layout, Plan, Replace, Rotate, Spec, Update
from penjing.errors import CheckpointError, PenjingError, PlanError
from penjing.io import load_plan, open_checkpoint, save_plan
from penjing.layouts import costs, from_config, from_module
from penjing.maths.pca import random_orthogonal
from penjing.running.live import Running
from penjing.surgery import apply, masked, reopen, stream, verify

RANK = 5
LLAMA = {**tables.LLAMA, "num_hidden_layers": 3}


def thin(module: nn.Module, path: str, rank: int = RANK, *, transposed: bool = False) -> Replace:
    """The best product of two for a linear layer, straight from the decomposition."""
    old = module.get_submodule(path)
    weight = old.weight.detach().T if transposed else old.weight.detach()
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    tensors = {"down.weight": right[:rank].contiguous(), "up.weight": left[:, :rank] * values[:rank]}
    if getattr(old, "bias", None) is not None:
        tensors["up.bias"] = old.bias.detach()
    return Replace(path, Spec("low_rank", {"rank": rank}), tensors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def llama(folder):
    return tables.make("LlamaForCausalLM", folder, **LLAMA)


@pytest.fixture(scope="module")
def layout(llama, folder) -> Layout:
    with open_checkpoint(folder) as checkpoint:
        return from_config(checkpoint.config, stored=checkpoint.shapes)


@pytest.fixture(scope="module")
def plan(llama) -> Plan:
    names = ("mlp.up_proj", "mlp.down_proj", "self_attn.q_proj")
    return Plan(tuple(thin(llama, f"model.layers.{i}.{n}") for i in range(3) for n in names))


def logits(module):
    with torch.no_grad():
        return module.eval()(tables.tokens()).logits


def naive(module, replaced):
    """The logits when each named layer multiplies by the product of its two factors."""
    copied = type(module)(module.config).eval()
    copied.load_state_dict(module.state_dict())
    for edit in replaced:
        copied.get_submodule(edit.module).weight.data = edit.values["up.weight"] @ edit.values["down.weight"]
    return logits(copied)


def written(folder, layout, plan, out):
    with open_checkpoint(folder) as checkpoint:
        return stream(checkpoint, layout, plan, out)


def neurons(layout, keep, start=0):
    axes = layout.match("neurons")
    return Plan(tuple(Keep(a.name, tuple(range(start, start + keep))) for a in axes))


def test_the_result_computes_the_product_of_its_factors(llama, layout, plan):
    torch.testing.assert_close(logits(apply(llama, layout, plan)), naive(llama, plan), rtol=1e-4, atol=1e-5)


def test_the_folder_is_that_in_memory_bit_for_bit_and_opens_by_penjing(llama, layout, plan, folder, tmp_path):
    out = written(folder, layout, plan, tmp_path / "out")
    in_memory = apply(llama, layout, plan)
    opened = penjing.load(out)
    assert type(opened) is type(llama)
    assert all(torch.equal(t, in_memory.state_dict()[n]) for n, t in opened.state_dict().items())
    assert torch.equal(logits(opened), logits(in_memory))
    ids = tables.tokens()[:1, :4]
    settings = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(opened.generate(ids, **settings), in_memory.generate(ids, **settings))
    assert not any("_init_weights" in vars(part) for part in opened.modules())


def test_a_fresh_process_opens_it(llama, layout, plan, folder, tmp_path):
    out = written(folder, layout, plan, tmp_path / "out")
    found = reopen(out, tables.tokens(), logits(apply(llama, layout, plan)))
    assert found.ok
    assert found.loader == "penjing.load"
    assert found.max_abs_difference == 0


CUTS = {
    "neurons after": lambda layout, plan: plan + neurons(layout, 20, 2),
    "ranks after": lambda layout, plan: plan + Plan((Keep("ranks.model.layers.1.mlp.up_proj", (0, 3)),)),
    "blocks after": lambda layout, plan: plan + Plan((Keep("blocks", (0, 2)),)),
    "blocks before": lambda layout, plan: Plan((Keep("blocks", (0, 2)),)) + plan,
    "all": lambda layout, plan: (
        plan + neurons(layout, 20) + Plan((Keep("blocks", (1, 2)), Keep("ranks.model.layers.1.mlp.up_proj", (1,))))
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_cuts_compose_and_equal_their_mask(case, llama, layout, plan, folder, tmp_path):
    both = CUTS[case](layout, plan)
    opened = penjing.load(written(folder, layout, both, tmp_path / "out"))
    torch.testing.assert_close(logits(opened), logits(masked(llama, layout, both)), rtol=1e-5, atol=1e-6)
    live = Running(llama, [tables.tokens()], layout)
    with live.edited(both) as acting:
        torch.testing.assert_close(logits(opened), logits(acting), rtol=1e-5, atol=1e-6)


def test_a_module_of_a_cut_model_is_replaced_in_its_cut_shape(llama, layout, folder, tmp_path):
    before = neurons(layout, 20, 3)
    small = apply(llama, layout, before)
    both = before + Plan((thin(small, "model.layers.0.mlp.up_proj"), thin(small, "model.layers.2.mlp.down_proj")))
    opened = penjing.load(written(folder, layout, both, tmp_path / "out"))
    torch.testing.assert_close(logits(opened), logits(masked(llama, layout, both)), rtol=1e-5, atol=1e-6)
    with pytest.raises(PlanError, match="at this point of the plan it needs"):
        apply(llama, layout, before + Plan((thin(llama, "model.layers.0.mlp.up_proj"),)))


def test_the_residual_may_be_rotated_after(llama, layout, plan, folder):
    basis = random_orthogonal(layout.sizes["residual"], torch.Generator().manual_seed(0)).float()
    both = plan + Plan((Rotate("residual", basis),))
    torch.testing.assert_close(logits(apply(llama, layout, both)), naive(llama, plan), rtol=1e-3, atol=1e-4)


def test_the_running_model_acts_as_if_it_were_done_and_is_put_back(llama, layout, plan):
    before = {n: t.clone() for n, t in llama.state_dict().items()}
    live = Running(llama, [tables.tokens()], layout)
    wanted = naive(llama, plan)
    with live.edited(plan) as acting:
        torch.testing.assert_close(logits(acting), wanted, rtol=1e-4, atol=1e-5)
    assert list(before) == list(llama.state_dict())
    assert all(torch.equal(t, before[n]) for n, t in llama.state_dict().items())


def test_the_costs_that_were_told_are_those_of_the_folder(layout, plan, folder, tmp_path):
    both = plan + neurons(layout, 20)
    with open_checkpoint(folder) as checkpoint:
        told = verify(checkpoint, layout, both)
    out = written(folder, layout, both, tmp_path / "out")
    with open_checkpoint(out) as checkpoint:
        derived = from_config(checkpoint.config, stored=checkpoint.shapes)
        assert sum(t.length for t in checkpoint.tensors.values()) == told.after.bytes
    assert told.after.parameters == sum(p.numel() for p in penjing.load(out).parameters())
    assert told.after.macs == costs.macs(derived)
    assert told.opens_with == "penjing"
    assert any("penjing.load" in note for note in told.notes)
    assert derived.axes["ranks.model.layers.0.mlp.up_proj"].state == "free"
    assert derived.axes["neurons.0"].size == 20


def test_what_was_low_rank_already_is_cut_further(llama, layout, plan, folder, tmp_path):
    out = written(folder, layout, plan, tmp_path / "first")
    with open_checkpoint(out) as checkpoint:
        derived = from_config(checkpoint.config, stored=checkpoint.shapes)
    more = neurons(derived, 20) + Plan((Keep("ranks.model.layers.0.self_attn.q_proj", (0, 1)),))
    second = penjing.load(written(out, derived, more, tmp_path / "second"))
    torch.testing.assert_close(logits(second), logits(masked(penjing.load(out), derived, more)), rtol=1e-5, atol=1e-6)
    assert json.loads((tmp_path / "second/penjing.json").read_text())["modules"][
        "model.layers.0.self_attn.q_proj"]["settings"] == {"rank": 2}  # fmt: skip


def test_plans_with_it_come_back_from_a_file_and_print(plan, tmp_path):
    save_plan(plan, tmp_path / "plan")
    again = load_plan(tmp_path / "plan")
    assert again == Plan(again.edits, plan.made)
    assert all(a == b for a, b in zip(plan, again, strict=True))
    assert again.digest() == plan.digest() != Plan(plan.edits[1:]).digest()
    assert "replace 9 modules by 'low_rank'" in repr(plan)
    assert all(len(repr(edit)) < 2000 for edit in plan)


def own() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Conv2d(8, 12, 3, bias=False)
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(48, 5)).eval(), torch.randn(2, 3, 8, 8)


def test_a_module_of_ones_own_with_convolutions(tmp_path):
    module, x = own()
    layout = from_module(module, x)
    weight = module[2].weight.detach()
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    tensors = {
        "down.weight": right[:6].reshape(6, 8, 3, 3), "up.weight": (left[:, :6] * values[:6]).reshape(12, 6, 1, 1)
    }  # fmt: skip
    plan = Plan((Replace("2", Spec("low_rank", {"rank": 6}), tensors),))
    smaller = apply(module, layout, plan, example=x)
    module[2].weight.data = torch.einsum("or,ricd->oicd", tensors["up.weight"][:, :, 0, 0], tensors["down.weight"])
    torch.testing.assert_close(smaller(x), module(x), rtol=1e-4, atol=1e-5)
    axis = layout.patterns["0.weight"][0].parts[0].name
    both = plan + Plan((Keep(axis, (0, 2, 5)),))
    assert apply(own()[0], layout, both, example=x)[2].down.in_channels == 3
    with open_checkpoint(own()[0]) as checkpoint:
        told = verify(checkpoint, layout, plan)
    assert told.after.parameters == sum(p.numel() for p in smaller.parameters())
    assert told.before.macs - told.after.macs == 2 * 2 * (12 * 8 * 9 - 6 * (8 * 9 + 12))


SPEC = Spec("low_rank", {"rank": 2})
REFUSED = [
    (Replace("model.layers.0.mlp.up_prj", SPEC), "did you mean 'model.layers.0.mlp.up_proj'"),
    (Replace("model.layers.0.mlp.up_proj", Spec("low_rnk", {"rank": 2})), "did you mean 'low_rank'"),
    (Replace("model.layers.0.mlp.up_proj", Spec("low_rank", {"rnk": 2})), "did you mean 'rank'"),
    (Replace("model.layers.0.mlp.up_proj", Spec("low_rank", {"rank": 0})), "a whole number from 1"),
    (Replace("model.layers.0.mlp.up_proj", SPEC), "needs down.weight; give its values"),
    (Replace("model.layers.0.mlp", SPEC), "no tensor 'weight'"),
    (Replace("model.embed_tokens", SPEC), "no matrix that a product reads"),
    (Replace("model.norm", SPEC), "no matrix that a product reads"),
]


@pytest.mark.parametrize(("edit", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_does_not_fit_is_refused_by_name(edit, said, llama, layout):
    with pytest.raises(PenjingError, match=said):
        apply(llama, layout, Plan((edit,)))


def test_an_edit_of_what_has_gone_is_refused(llama, layout, plan):
    gone = "model.layers.0.mlp.up_proj.weight"
    update = Update(gone, llama.state_dict()[gone])
    with pytest.raises(PlanError, match=f"edits {gone}, which"):
        apply(llama, layout, plan + Plan((update,)))
    with pytest.raises(PlanError, match="no tensor 'weight'"):
        apply(llama, layout, plan + plan)


@pytest.fixture(scope="module")
def result(layout, plan, folder, tmp_path_factory):
    return written(folder, layout, plan, tmp_path_factory.mktemp("result") / "out")


def changed(result, tmp_path, change):
    shutil.copytree(result, tmp_path / "copy")
    path = tmp_path / "copy/penjing.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    return tmp_path / "copy"


UP = "model.layers.0.mlp.up_proj"
CHANGES = {
    "a rank": (lambda t: t["modules"][UP]["settings"].update(rank=4), "digest of its 'modules'"),
    "a path": (lambda t: t["modules"].update({"../x": SPEC.table()}), "is no path of a module"),
    "a kind": (lambda t: t["modules"][UP].update(kind="os.system"), "'kind'"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_record_changed_by_hand_is_refused(case, result, tmp_path):
    change, said = CHANGES[case]
    copy = changed(result, tmp_path, change)
    for opens in (penjing.load, penjing.open):
        with pytest.raises(CheckpointError, match=said):
            opens(copy)


def test_a_record_outside_the_folder_is_refused(result, tmp_path):
    copy = changed(result, tmp_path, lambda t: None)
    (copy / "penjing.json").rename(tmp_path / "penjing.json")
    (copy / "penjing.json").symlink_to(tmp_path / "penjing.json")
    with pytest.raises(CheckpointError, match="outside the folder"):
        penjing.load(copy)


def test_without_its_record_it_does_not_pass_for_a_stock_model(result, tmp_path):
    copy = changed(result, tmp_path, lambda t: None)
    (copy / "penjing.json").unlink()
    with pytest.raises(CheckpointError):
        penjing.layout(copy)


def test_files_that_lack_a_factor_are_refused(result, tmp_path):
    from safetensors.torch import save_file

    copy = changed(result, tmp_path, lambda t: None)
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.down.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 of .*: model.layers.0.mlp.up_proj.down.weight; get"):
        penjing.load(copy)


def test_what_transformers_saves_of_it_opens_again(result, tmp_path):
    first = penjing.load(result)
    first.save_pretrained(tmp_path / "saved")
    assert torch.equal(logits(penjing.load(tmp_path / "saved")), logits(first))


@pytest.mark.parametrize("after", [1, 9, 25])
def test_stopped_at_any_tensor_it_goes_on_to_the_same_bytes(after, layout, plan, folder, result, tmp_path):
    class StopError(Exception):
        pass

    told, seen = tmp_path / "out", []

    def stopping(_: int) -> None:
        seen.append(1)
        if len(seen) == after:
            raise StopError

    with open_checkpoint(folder) as checkpoint:
        with pytest.raises(StopError):
            stream(checkpoint, layout, plan, told, progress=stopping)
        assert not told.exists()
        more = []
        stream(checkpoint, layout, plan, told, progress=more.append)
    assert (told / "model.safetensors").read_bytes() == (result / "model.safetensors").read_bytes()
    assert (told / "penjing.json").read_bytes() == (result / "penjing.json").read_bytes()
