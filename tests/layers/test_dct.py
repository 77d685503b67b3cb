"""The cosine transform."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.layers.dct import dct, inverse, matrix, rings


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9))
def test_it_is_the_formula_and_comes_back(height, width, seed):
    x = torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    got = dct(x)
    for k in range(height):
        for m in range(width):
            want = sum(
                x[0, i, j] * math.cos(math.pi * (i + 0.5) * k / height) * math.cos(math.pi * (j + 0.5) * m / width)
                for i in range(height)
                for j in range(width)
            )
            scale = math.sqrt((2 if k else 1) / height) * math.sqrt((2 if m else 1) / width)
            assert abs(float(got[0, k, m]) - float(scale * want)) < 1e-5
    torch.testing.assert_close(inverse(got), x, atol=1e-5, rtol=0)


def test_the_energy_of_what_is_dropped_is_what_the_map_loses():
    x = torch.randn(3, 8, 6)
    spectrum = dct(x)
    kept = spectrum * (rings(8, 6, 4, x).sum(0) * (rings(8, 6, 4, x)[:2].sum(0)))
    torch.testing.assert_close((inverse(kept) - x).square().sum(), (kept - spectrum).square().sum())


def test_every_coefficient_is_in_one_ring():
    masks = rings(7, 5, 8, torch.zeros(()))
    assert torch.equal(masks.sum(0), torch.ones(7, 5))
    torch.testing.assert_close(matrix(6, masks) @ matrix(6, masks).T, torch.eye(6), atol=1e-6, rtol=0)
