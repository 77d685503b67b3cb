"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.report import formats


@pytest.mark.parametrize(
    ("value", "unit", "spread", "text"),
    [
        (134_515_008, "parameters", None, "134.5 M"),
        (269e6, "bytes", None, "269 MB"),
        (23040, "bytes", None, "23.0 kB"),
        (0.0123, "seconds", None, "12.3 ms"),
        (0.0412, "seconds", 0.0008, "41.2 ± 0.8 ms"),
        (23040, "bytes per token", None, "23.0 kB per token"),
        (21.7, "perplexity per token", 0.46, "21.7 ± 0.5"),
        (1536, "units", None, "1536"),
        (0.912, "fraction", 0.003, "91.2 ± 0.3 %"),
        (0.5, "share of positions", None, "50.0 %"),
        (999_999, "parameters", None, "1.000 M"),
        (0, "bytes", None, "0 B"),
        (float("inf"), "perplexity", None, "∞"),
        (float("nan"), "perplexity", None, "not a number"),
    ],
)
def test_a_quantity_reads_as_people_write_it(value, unit, spread, text):
    assert formats.quantity(value, unit, spread) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.75, "−25 %"), (1.6, "+60 %"), (8.48, "8.5×"), (1, "unchanged"), (0.9999, "−0.01 %")]
)
def test_a_change_is_per_cent_until_three_times(ratio, text):
    assert formats.change(ratio) == text


@given(st.floats(1e-12, 1e17), st.sampled_from(["parameters", "bytes", "seconds", ""]))
def test_a_quantity_says_the_value_to_half_a_per_cent(value, unit):
    text = formats.quantity(value, unit)
    number, _, mark = text.partition(" ")
    power = {
        "n": 1e-9,
        "µ": 1e-6,
        "m": 1e-3,
        "k": 1e3,
        "M": 1e6,
        "G": 1e9,
        "B": 1e9 if unit == "parameters" else 1,
        "T": 1e12,
        "P": 1e15,
    }
    scale = power.get(mark[:1], 1)
    least = 5e-12 if unit == "seconds" else 5e-13
    assert abs(float(number) * scale - value) <= max(0.00501 * value, least)


@pytest.mark.parametrize("unit", ["share right (acc)", "share of positions", "fraction", "Accuracy"])
def test_shares_are_told_in_per_cent_whatever_they_are_shares_of(unit):
    assert formats.is_share(unit)
    assert formats.quantity(0.325, unit) == "32.5 %"


def test_what_is_no_share_stays_as_it_is():
    assert not formats.is_share("")
    assert not formats.is_share("shares")
