"""Objectives against sums written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from penjing.calibrate import objective, per_example
from penjing.errors import DataError


def test_the_loss_of_tokens_is_that_of_the_next_one():
    logits, ids = torch.randn(3, 5, 7), torch.randint(7, (3, 5))
    each = []
    for b in range(3):
        each.append(-sum(float(logits[b, t].log_softmax(0)[ids[b, t + 1]]) for t in range(4)) / 4)
    torch.testing.assert_close(per_example("loss")(logits, ids), torch.tensor(each))
    assert float(objective("loss")(logits, ids)) == pytest.approx(sum(each) / 3, rel=1e-5)


def test_padding_is_left_out_of_the_loss():
    logits, ids = torch.randn(1, 5, 7), torch.randint(7, (1, 5))
    padded = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 1, 0, 0]])}
    torch.testing.assert_close(objective("loss")(logits, padded), objective("loss")(logits[:, :3], ids[:, :3]))


def test_labels_that_repeat_the_input_are_next_tokens_and_others_are_not():
    logits, ids = torch.randn(2, 4, 7), torch.randint(7, (2, 4))
    same = objective("loss")(logits, {"input_ids": ids, "labels": ids})
    torch.testing.assert_close(same, objective("loss")(logits, ids))
    masked = torch.full((2, 4), -100)
    masked[:, 1] = (ids[:, 1] + 1) % 7
    found = objective("loss")(logits, {"input_ids": ids, "labels": masked})
    torch.testing.assert_close(found, F.cross_entropy(logits[:, 1], masked[:, 1]))


def test_the_loss_of_a_classifier_needs_its_labels():
    logits, x, y = torch.randn(3, 4), torch.randn(3, 2), torch.tensor([0, 3, 1])
    torch.testing.assert_close(objective("loss")(logits, (x, y)), F.cross_entropy(logits, y))
    torch.testing.assert_close(objective("loss")(logits, {"x": x, "labels": y}), F.cross_entropy(logits, y))
    with pytest.raises(DataError, match=r"needs labels, and the batch \(float32 \[3, 2\]\) has none"):
        objective("loss")(logits, x)
    with pytest.raises(DataError, match="found label 4, and the model has 4 outputs"):
        objective("loss")(logits, (x, y + 1))


def test_a_single_token_has_nothing_to_predict():
    with pytest.raises(DataError, match="no token to predict"):
        objective("loss")(torch.randn(2, 1, 7), torch.zeros(2, 1, dtype=torch.long))


def test_the_output_is_each_entrys_largest_logit_over_the_sequence():
    logits = torch.randn(2, 3, 4)
    want = sum(max(float(logits[b, t, v]) for t in range(3)) for b in range(2) for v in range(4)) / 8
    assert float(objective("output")(logits, torch.zeros(2, 3, dtype=torch.long))) == pytest.approx(want, rel=1e-5)


def test_the_entropy_is_that_of_similarities_with_the_diagonal():
    z, x = torch.randn(4, 6), torch.zeros(4, 1)
    unit = [row / row.norm() for row in z]
    total = 0.0
    for i in range(4):
        e = [math.exp(15 * float(unit[i] @ unit[j])) for j in range(4)]
        total -= sum(v / sum(e) * math.log(v / sum(e)) for v in e) / 4
    assert float(objective("entropy")(z, x)) == pytest.approx(total, rel=1e-4)


def test_features_that_are_all_alike_have_the_largest_entropy():
    assert float(objective("entropy")(torch.ones(5, 3), torch.ones(5, 1))) == pytest.approx(math.log(5), rel=1e-5)


def test_the_temperature_can_be_set():
    z = torch.randn(4, 6)
    low, high = (float(objective("entropy", inverse_temperature=t)(z, z)) for t in (1.0, 30.0))
    assert high < low


def test_the_entropy_needs_two_examples():
    with pytest.raises(DataError, match="a batch has 1"):
        objective("entropy")(torch.randn(1, 3), torch.randn(1, 3))


def test_unknown_objectives_suggest_the_nearest():
    with pytest.raises(DataError, match="'los' is not known; did you mean 'loss'"):
        objective("los")
