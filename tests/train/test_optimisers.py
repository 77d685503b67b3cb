"""Lion against algorithm 2 of its paper; groups that share a rate and a decay."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from penjing.train.lion import Lion
from penjing.train.optimisers import optimiser
from penjing.train.settings import Settings


def naive(weight, gradients, rate, betas, decay):
    """Each weight by itself, in the paper's order: the sign of the mean, the step, the mean that is kept."""
    mean = [0.0] * len(weight)
    for gradient in gradients:
        for i, g in enumerate(gradient):
            turn = betas[0] * mean[i] + (1 - betas[0]) * g
            sign = (turn > 0) - (turn < 0)
            weight[i] -= rate * (sign + decay * weight[i])
            mean[i] = betas[1] * mean[i] + (1 - betas[1]) * g
    return weight


@given(count=st.integers(1, 5), steps=st.integers(1, 6), decay=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 99))
def test_lion_equals_the_loop(count, steps, decay, seed):
    g = torch.Generator().manual_seed(seed)
    weight = nn.Parameter(torch.randn(count, generator=g, dtype=torch.float64))
    gradients = torch.randn(steps, count, generator=g, dtype=torch.float64)
    expected = naive(weight.tolist(), gradients.tolist(), 0.1, (0.9, 0.99), decay)
    moved = Lion([weight], lr=0.1, weight_decay=decay)
    for gradient in gradients:
        weight.grad = gradient.clone()
        moved.step()
    torch.testing.assert_close(weight.detach(), torch.tensor(expected, dtype=torch.float64))


def test_groups_share_a_rate_and_decay_times_rate_is_one_for_all():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    for name in ("adamw", "lion", "sgd"):
        how = Settings(optimiser=name, weight_decay=0.1)
        found = optimiser(module.named_parameters(), how, 0.5, {"1.weight": 0.25})
        assert {g["factor"]: g["lr"] for g in found.param_groups} == {0.25: 0.125, 1.0: 0.5}
        for group in found.param_groups:
            bare = name != "sgd" and group["params"][0].ndim < 2
            assert group["weight_decay"] * group["lr"] == (0.0 if bare else 0.1 * 0.5)
