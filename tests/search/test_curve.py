"""A curve of sizes: the method beside random choice, on rows that no plan was made from."""

import math

import pytest
from tests.house.tiny import tiny_model

from penjing.core import Budget, Report
from penjing.errors import PlanError
from penjing.pipeline.request import Measure
from penjing.planning.order import Order
from penjing.report import page
from penjing.report.views import size_curves
from penjing.running.source import resolve
from penjing.search.curve import check_shares, size_curve


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    place = tmp_path_factory.mktemp("curve")
    source = resolve(tiny_model(place / "tiny"))
    order = Order(method="magnitude", budget=Budget(keep=0.75), settings={}, rows=4, length=16)
    return size_curve(source, order, (0.5, 0.75), cache=place / "cache")


def test_each_share_is_tried_by_the_method_and_by_chance(found):
    assert [(p["by"], p["keep"]) for p in found["points"]] == [
        ("magnitude", 0.75), ("magnitude", 0.5), ("random", 0.75), ("random", 0.5),
    ]  # fmt: skip
    large, small = (p["parameters"] for p in found["points"][:2])
    assert small < large < found["parameters"]
    assert all(p["low"] <= p["added"] <= p["high"] for p in found["points"])
    assert math.isfinite(found["dense"])


def test_the_page_draws_it_with_the_original_as_a_level(found):
    report = Report(title="t", subjects=(), provenance={"curve": found})
    (chart,) = size_curves(report)
    assert [s.mark.name for s in chart.series] == ["magnitude", "random"]
    assert chart.level == pytest.approx(math.exp(found["dense"]))
    spot = chart.series[0].spots[0]
    assert spot.y == pytest.approx(math.exp(found["dense"] + found["points"][1]["added"]))
    shown = page(report, charts=False)
    assert "Size and quality" in shown
    assert "dotted: the original" in shown
    assert size_curves(Report(title="t", subjects=(), provenance={"curve": {"points": 3}})) == []


def test_a_curve_that_cannot_be_drawn_is_refused_before_work():
    with pytest.raises(PlanError, match="method 'auto'"):
        check_shares("auto", (0.5,))
    with pytest.raises(PlanError, match="between 0 and 1"):
        check_shares("magnitude", (0.5, 1.5))


def test_shares_are_read_from_one_flag():
    assert Measure(curve=("0.9", "0.5")).curve == (0.9, 0.5)
