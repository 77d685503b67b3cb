"""Wanda against algorithm 1 in its own order, on inputs themselves."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Budget, Stats, View
from penjing.methods.sparsify.wanda import ENERGY, Method, score
from penjing.select.weights import by_rows


def naive_wanda(weight, inputs, keep):
    """For each row, |w_ij| * ||x_j||, and the lowest share goes."""
    kept = torch.ones_like(weight, dtype=torch.bool)
    for i, row in enumerate(weight):
        scores = [float(row[j].abs() * inputs[:, j].norm()) for j in range(len(row))]
        for j in sorted(range(len(row)), key=lambda j: scores[j])[: int(len(row) * round(1 - keep, 9))]:
            kept[i, j] = False
    return kept


@settings(max_examples=25)
@given(rows=st.integers(1, 5), columns=st.integers(1, 9), keep=st.sampled_from([0.2, 0.5, 0.9, 1.0]),
       seed=st.integers(0, 99))  # fmt: skip
def test_equals_the_loop(rows, columns, keep, seed):
    g = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(rows, columns, generator=g), torch.randn(7, columns, generator=g)
    scores = score(weight, x.square().mean(0)[None])
    assert torch.equal(by_rows(scores, keep, None), naive_wanda(weight, x, keep))


def test_the_plan_masks_by_inputs_and_patterns_are_exact():
    model, layout = llama(blocks=1)
    wanted = Method().wants(layout).statistics
    energies = {(t, ENERGY): torch.zeros(model.shapes[t][1]) for t in wanted}
    for energy in energies.values():
        energy[: len(energy) // 2] = 1.0
    stats = Stats(energies, samples=3)
    for edit in Method().plan(View(model, layout, stats, Budget(keep=0.5))):
        half = edit.kept.shape[1] // 2
        assert edit.kept[:, :half].all()
        assert not edit.kept[:, half:].any()
    for edit in Method(pattern="1:4").plan(View(model, layout, stats, Budget(keep=0.25))):
        assert (edit.kept.reshape(-1, 4).sum(1) == 1).all()
