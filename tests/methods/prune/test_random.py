"""Random choice: seeded, even, and different from axis to axis."""

import torch
from tests.methods.tiny import llama

from penjing.core import Budget, Stats, View
from penjing.methods import METHODS
from penjing.methods.prune.random import score

Method = METHODS.type_of("random")


def naive(units, generator):
    """One draw a unit, in order."""
    return torch.cat([torch.rand(1, generator=generator, dtype=torch.float64) for _ in range(units)])


def test_equals_the_loop():
    drawn = score(7, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, naive(7, torch.Generator().manual_seed(3)))


def test_a_seed_decides_and_another_seed_differs():
    model, layout = llama(neurons=40)
    first, again, other = (Method(seed=s).plan(View(model, layout, Stats(), Budget(keep=0.5))) for s in (1, 1, 2))
    assert first.edits == again.edits
    assert first.edits != other.edits


def test_blocks_are_drawn_apart():
    model, layout = llama(neurons=40)
    keeps = Method().plan(View(model, layout, Stats(), Budget(keep=0.5))).keeps()
    assert keeps["neurons.0"] != keeps["neurons.1"]


def test_every_unit_has_the_same_chance():
    model, layout = llama(neurons=8, blocks=1)
    kept = torch.zeros(8)
    for seed in range(400):
        kept[list(Method(seed=seed).plan(View(model, layout, Stats(), Budget(keep=0.5))).keeps()["neurons.0"])] += 1
    assert (kept - 200).abs().max() < 50  # five standard deviations of a binomial with n = 400
