"""The law is found again in data that it made, with and without noise."""

import pytest
import torch

from penjing.errors import DataError
from penjing.maths.scaling_law import Law, fit_law

TRUE = Law(E=1.7, A=400.0, alpha=0.34, B=410.0, beta=0.28)


def runs():
    n, d = torch.meshgrid(torch.logspace(5, 8, 5), torch.logspace(6, 9, 4), indexing="ij")
    return n.flatten(), d.flatten()


def naive(law, n, d):
    return [law.E + law.A / float(a) ** law.alpha + law.B / float(b) ** law.beta for a, b in zip(n, d, strict=True)]


def test_a_law_is_what_its_formula_says():
    n, d = runs()
    assert TRUE(n, d).tolist() == pytest.approx(naive(TRUE, n, d), rel=1e-6)


def test_constants_come_back_from_data_without_noise():
    n, d = runs()
    found = fit_law(n, d, TRUE(n, d), draws=5)
    assert (found.law.E, found.law.alpha, found.law.beta) == pytest.approx((1.7, 0.34, 0.28), rel=0.03)
    assert found.explained > 0.9999
    assert found.error < 1e-3
    assert found.left_out < 3e-3


def test_with_noise_the_interval_holds_the_exponent_and_the_rest_is_foretold():
    n, d = runs()
    noise = torch.randn(len(n), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = fit_law(n, d, TRUE(n, d) * (1 + 0.003 * noise), draws=20)
    low, high = found.intervals["alpha"]
    assert low < 0.34 < high
    assert high - low < 0.2
    assert found.left_out < 0.01


def test_of_runs_of_one_length_only_parameters_are_fitted():
    n = torch.logspace(4, 7, 8)
    law = Law(E=2.0, A=30.0, alpha=0.4)
    d = torch.full((8,), 1e6)
    found = fit_law(n, d, law(n, d), draws=5)
    assert (found.law.E, found.law.alpha, found.law.B) == pytest.approx((2.0, 0.4, 0.0), rel=0.02)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(DataError, match="found 3 runs; the law needs 4 or more"):
        fit_law(torch.ones(3), torch.ones(3), torch.ones(3))
    with pytest.raises(DataError, match="not above 0"):
        fit_law(torch.arange(9.0), torch.ones(9), torch.ones(9))
