"""Blocks by the loss without them, against a loop that leaves each out."""

import copy

import pytest
import torch
from tests.methods.drop import deep
from torch.nn import functional as F


def naive(module, gone):
    """The mean loss of the next token over all examples, without one block."""
    left = copy.deepcopy(module)
    left.model.layers = torch.nn.ModuleList(b for k, b in enumerate(left.model.layers) if k != gone)
    losses = []
    with torch.no_grad():
        for batch in deep.ROWS:
            for ids in batch["input_ids"]:
                logits = left(ids[None], use_cache=False).logits[0]
                losses.append(float(F.cross_entropy(logits[:-1], ids[1:])))
    return sum(losses) / len(losses)


def test_the_blocks_go_without_which_the_loss_is_lowest(tmp_path):
    module = deep.make(tmp_path / "model")
    wanted = {k: naive(module, k) for k in range(5)}
    plan = deep.plan(tmp_path / "model", "blocks_by_loss", 0.6, ends=0)
    assert {int(k): v for k, v in plan.made["losses"].items()} == pytest.approx(wanted, abs=1e-4)
    gone = sorted(wanted, key=lambda k: wanted[k])[:2]
    assert plan.keeps()["blocks"] == tuple(k for k in range(5) if k not in gone)
    inner = deep.plan(tmp_path / "model", "blocks_by_loss", 0.6)
    assert set(inner.made["losses"]) == {"1", "2", "3"}
    assert {0, 4} <= set(inner.keeps()["blocks"])
