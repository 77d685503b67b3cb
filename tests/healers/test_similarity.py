"""How alike examples are to one another, to the student and to the teacher."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.healers.conftest import drawn, run_of, states

from penjing.errors import RequestError, UnsupportedError
from penjing.healers import HEALERS


def naive(ours, theirs, inverse):
    """Half of both divergences of the softmaxes over cosines, the mean over examples."""

    def rows(features):
        found = []
        for a in features:
            cosines = [float(a @ b) / float(a.norm() * b.norm()) for b in features]
            powers = [math.exp(inverse * c) for c in cosines]
            found.append([p / sum(powers) for p in powers])
        return found

    total = 0.0
    for p, q in zip(rows(theirs), rows(ours), strict=True):
        total += sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    return total / len(ours)


@given(st.integers(2, 4), st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
def test_equals_the_loop_of_models_of_other_widths(examples, width, other, seed):
    ours, theirs = drawn(examples, width, seed=seed), drawn(examples, other, seed=seed + 1)
    found = HEALERS.build("similarity", {"inverse_temperature": 3.0}).loss(
        run_of("decoder"), None, states([ours]), states([theirs])
    )
    assert float(found) == pytest.approx(naive(ours, theirs, 3.0), rel=1e-3, abs=1e-6)


def test_the_class_token_stands_for_an_image_and_the_mean_for_a_text():
    ours, theirs = drawn(3, 4, 6), drawn(3, 4, 6, seed=1)
    counts = torch.tensor([[True] * 4, [True] * 3 + [False], [True] * 2 + [False] * 2])
    one, other = (torch.nn.functional.layer_norm(x, (6,)) for x in (ours, theirs))
    healer = HEALERS.build("similarity")
    found = float(healer.loss(run_of("vit"), None, states([ours]), states([theirs])))
    assert found == pytest.approx(naive(one[:, 0], other[:, 0], 15.0), rel=1e-3)
    found = float(healer.loss(run_of("decoder"), None, states([ours], counts), states([theirs])))
    means = [torch.stack([x[i][counts[i]].mean(0) for i in range(3)]) for x in (one, other)]
    assert found == pytest.approx(naive(*means, 15.0), rel=1e-3)


def test_one_example_is_alike_to_nothing():
    with pytest.raises(UnsupportedError, match="holds 1 example"):
        HEALERS.build("similarity").prepare(run_of("vit"), states([drawn(1, 4, 5)]), states([drawn(1, 4, 5)]))
    with pytest.raises(UnsupportedError, match="0 blocks"):
        HEALERS.build("similarity").looks((0, 0))
    with pytest.raises(RequestError, match="needed more than 0"):
        HEALERS.build("similarity", {"inverse_temperature": 0.0})
