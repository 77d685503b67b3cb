"""A model whose matrices are chains or products is healed as it stands, and stays written so."""

import json

import pytest
import torch
from safetensors.torch import load_file
from tests.house.tiny import tiny_model

import penjing
from penjing.nn.low_rank import LowRank
from penjing.nn.mpo import Mpo
from penjing.pipeline import carry_out
from penjing.surgery import ReopenResult

KINDS = {"compactifai": Mpo, "svd": LowRank}
SETTINGS = {"compactifai": {}, "svd": {"whiten": False}}


@pytest.fixture(autouse=True)
def no_fresh_process(monkeypatch):
    found = ReopenResult(loader="none", versions={}, ok=True, max_abs_difference=0.0)
    monkeypatch.setattr(carry_out, "reopen", lambda *given, **how: found)


@pytest.mark.parametrize("method", KINDS)
def test_a_factored_model_is_healed_in_its_factors(method, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    tiny_model(tmp_path / "tiny")
    (tmp_path / "text.txt").write_text("the tide comes in and the tide goes out again; " * 60, encoding="utf-8")
    how = {"measure": False, "progress": False}
    penjing.shrink(
        tmp_path / "tiny", tmp_path / "cut", method=method, keep=0.6, settings=SETTINGS[method],
        **how,
    )  # fmt: skip
    done = penjing.heal(
        tmp_path / "cut", tmp_path / "out", teacher=tmp_path / "tiny", texts=[tmp_path / "text.txt"],
        how=penjing.Heal(tokens=320, length=32, learning_rate=1e-3), **how,
    )  # fmt: skip
    before, after = (load_file(tmp_path / n / "model.safetensors") for n in ("cut", "out"))
    assert {n: t.shape for n, t in before.items()} == {n: t.shape for n, t in after.items()}
    factors = {n for n in before if n.rpartition(".")[2] not in ("weight", "bias") or ".mlp." in n}
    assert factors
    assert all(not torch.equal(before[n], after[n]) for n in factors)
    specs = [json.loads((tmp_path / n / "config.json").read_text()).get("penjing_modules") for n in ("cut", "out")]
    assert specs[0] == specs[1]
    inside = [m for m in penjing.load(tmp_path / "out").modules() if isinstance(m, KINDS[method])]
    assert len(inside) == sum(isinstance(m, KINDS[method]) for m in penjing.load(tmp_path / "cut").modules()) > 0
    losses = [json.loads(line)["loss"] for line in (tmp_path / "out" / "training.jsonl").read_text().splitlines()]
    assert done.plan.made["healing"]["tokens"] == 320
    assert losses[-1] < losses[0]
