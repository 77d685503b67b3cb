"""Features before the final norm: class token and patches with equal weight; norm and head stay."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.healers.conftest import blocks_of, drawn, run_of, states
from tests.world import subject

from penjing.errors import UnsupportedError
from penjing.healers import HEALERS
from penjing.train import Pair, heal


def naive(ours, theirs):
    """Mean squares of the first position, plus mean squares of all others."""
    first, rest = [], []
    for one, other in zip(ours, theirs, strict=True):
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            (rest if place else first).extend(((a - b) ** 2).tolist())
    return sum(first) / len(first) + sum(rest) / len(rest)


@given(st.integers(1, 3), st.integers(2, 5), st.integers(1, 6), st.integers(0, 99))
def test_equals_the_loop(images, positions, width, seed):
    ours, theirs = drawn(images, positions, width, seed=seed), drawn(images, positions, width, seed=seed + 1)
    found = HEALERS.build("amp").loss(run_of("vit"), None, states([ours]), states([theirs]))
    assert float(found) == pytest.approx(naive(ours, theirs), rel=1e-4)


def test_without_a_class_token_all_positions_are_alike():
    ours, theirs = drawn(2, 4, 5), drawn(2, 4, 5, seed=1)
    found = HEALERS.build("amp").loss(run_of("decoder"), None, states([ours]), states([theirs]))
    torch.testing.assert_close(found, (ours - theirs).square().mean())


def test_the_final_norm_and_the_head_stay():
    found = subject("vit")
    run, blocks = run_of("vit", steps=3, weight_decay=0.1), blocks_of("vit")
    with torch.no_grad():
        for parameter in run.module.parameters():
            parameter.mul_(0.9)
    before = {n: p.detach().clone() for n, p in run.module.named_parameters()}
    batches = [{"pixel_values": b["pixel_values"]} for b in found.data]
    heal(HEALERS.build("amp"), run, batches, pair=Pair(blocks=blocks, teacher=found.module, teacher_blocks=blocks))
    stayed = {n for n, p in run.module.named_parameters() if torch.equal(p, before[n])}
    assert stayed == {"vit.layernorm.weight", "vit.layernorm.bias", "classifier.weight", "classifier.bias"}


def test_features_of_another_shape_are_refused():
    with pytest.raises(UnsupportedError, match=r"gives \[2, 4, 5\] and the teacher's \[2, 4, 6\]"):
        HEALERS.build("amp").prepare(run_of("vit"), states([drawn(2, 4, 5)]), states([drawn(2, 4, 6)]))
    with pytest.raises(UnsupportedError, match="0 blocks"):
        HEALERS.build("amp").looks((0, 2))
