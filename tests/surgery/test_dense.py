"""A factored folder written dense again: stock loaders open it, and it gives what the factors gave."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tests.conformance.conftest import SHAPES, logits, shapes, streamed, trained  # noqa: F401
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

import penjing
from penjing.core import Budget, Plan, Replace, Spec
from penjing.errors import OutputError, PlanError


@pytest.mark.parametrize("method", ["svd", "compactifai"])
@pytest.mark.parametrize(
    "kind", [k if k == "odd sizes" else pytest.param(k, marks=pytest.mark.nightly) for k in SHAPES]
)
def test_stock_loaders_open_it_and_it_gives_the_same(method, kind, shapes, tmp_path):  # noqa: F811
    shape = shapes(kind)
    thin = streamed(shape, shape.plan(method, Budget(keep=0.5)), tmp_path / "thin")
    found = penjing.dense(thin, tmp_path / "out")
    opened, told = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True, dtype="auto")
    assert not any(told[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert found.parameters_after == sum(t.numel() for t in load_file(tmp_path / "out" / "model.safetensors").values())
    assert found.parameters_before < found.parameters_after
    before, after = load_file(shape.folder / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert {n: (t.shape, t.dtype) for n, t in before.items()} == {n: (t.shape, t.dtype) for n, t in after.items()}
    rows = torch.arange(24).view(2, 12)
    wanted = logits(penjing.load(thin).float(), rows)
    near = 1e-4 if next(iter(after.values())).dtype == torch.float32 else 0.03  # products are rounded once more
    assert float((logits(opened.float().eval(), rows) - wanted).abs().max()) < near * float(wanted.abs().max())


def test_each_matrix_is_the_product_that_the_file_holds(trained, tmp_path):  # noqa: F811
    thin = streamed(trained, trained.plan("svd", Budget(keep=0.5)), tmp_path / "thin")
    penjing.dense(thin, tmp_path / "out")
    factors, made = load_file(thin / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    for name in (n for n in factors if n.endswith(".up.weight")):
        path = name.removesuffix(".up.weight")
        product = factors[name] @ factors[f"{path}.down.weight"]
        torch.testing.assert_close(made[f"{path}.weight"], product, rtol=1e-4, atol=1e-5)
    same = [n for n in factors if n in made]
    assert same
    assert all(torch.equal(factors[n], made[n]) for n in same)


def test_the_command_says_what_it_wrote(trained, tmp_path):  # noqa: F811
    from penjing.cli import app

    thin = streamed(trained, trained.plan("svd", Budget(keep=0.5)), tmp_path / "thin")
    done = CliRunner().invoke(app, ["dense", str(thin), "-o", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["modules"] == 14
    assert json.loads((tmp_path / "out" / "penjing.json").read_text())["dense"]
    with pytest.raises(OutputError):
        penjing.dense(thin, tmp_path / "out")


def test_what_cannot_be_written_dense_is_refused_before_anything_is_written(trained, tmp_path):  # noqa: F811
    with pytest.raises(PlanError, match="nothing to write dense"):
        penjing.dense(trained.folder, tmp_path / "out")
    plan = trained.plan("svd", Budget(keep=0.5), protect="*.0.mlp.*")
    out = streamed(trained, plan + Plan((Replace("model.layers.0.mlp", Spec("nothing")),)), tmp_path / "fewer")
    with pytest.raises(PlanError, match=r"model\.layers\.0\.mlp is a 'nothing'"):
        penjing.dense(out, tmp_path / "out")
    assert not (tmp_path / "out").exists()
