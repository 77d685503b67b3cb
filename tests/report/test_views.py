"""What a battery adds to the page, as data."""

import sys
from dataclasses import replace

import pytest
from battery import BATTERY, NAMES

from penjing.core import Measurement, Report, Subject
from penjing.errors import PenjingError
from penjing.report import card, page
from penjing.report.charts import figures_data, safe_json
from penjing.report.views import (
    block_bars,
    classes,
    curves,
    depths,
    differences,
    flips,
    grids,
    kinds,
    lines,
    reliability,
    sweep,
    zeros,
)  # fmt: skip
from penjing.report.views.differences import p_value
from penjing.report.views.lines import tick_texts


def only(**details):
    figure = Measurement(name="x", value=0.5, unit="accuracy", details=details)
    return Report(title="t", subjects=(Subject(name="a", source="a", figures=(figure,)),))


def test_bars_of_blocks_have_one_scale_over_all_models():
    found = block_bars(BATTERY)
    by_name = {one.mark.name: one for one in found.models}
    assert max(b.height for b in by_name["keep 0.5"].bars) == 100
    assert max(b.height for b in by_name["keep 0.9"].bars) == pytest.approx(100 / 3, abs=0.1)
    assert [b.block for b in by_name["keep 0.5"].bars if b.dropped] == ["24", "25"]
    assert by_name["keep 0.9"].text == "block 0 costs most: +0.0857 nats per token; 4 of 30 show no clear loss"
    assert by_name["keep 0.9"].bars[3].height == 0, "less loss than the original's is no bar"


def test_nothing_is_drawn_where_no_block_was_tried():
    assert block_bars(only()) is None


def test_ticks_that_lie_close_have_the_digits_that_tell_them_apart():
    assert tick_texts([0.99985, 0.9999, 0.99995], False) == ["0.99985", "0.9999", "0.99995"]
    assert tick_texts([0.5, 1.0], True) == ["50 %", "100 %"]
    assert tick_texts([], False) == []


def test_a_difference_says_value_interval_p_and_verdict():
    found = {c.name: c for c in differences(BATTERY)}["arithmetic"].differences[0]
    assert (found.value, found.p, found.p_holm, found.verdict) == ("−11.1 points", "< 0.001", "0.006", "worse")
    assert found.left is not None
    assert found.left < 50
    assert found.tone == "worse"


def test_a_verdict_decides_the_tone_and_not_the_interval():
    details = {"subject": "b", "interval": [-0.2, -0.1], "verdict": "no difference shown"}
    one = Measurement(name="x_difference", value=-0.15, unit="accuracy", details=details)
    subjects = tuple(Subject(name=n, source=n, figures=only().subjects[0].figures) for n in "ab")
    assert differences(Report(title="t", subjects=subjects, ratios=(one,)))[0].differences[0].tone == "even"


def test_a_class_is_no_withheld_ratio():
    assert classes(BATTERY)["strategyqa"] == "at chance"
    assert "no reason was recorded" not in page(BATTERY, charts=False)


def test_a_heat_map_has_a_cell_for_each_model_corruption_and_severity():
    (grid,) = grids(BATTERY)
    assert len(grid.blocks) == 4
    assert all(len(b.cells) == 15 and all(len(row) == 5 for row in b.cells) for b in grid.blocks)
    shades = [c.shade for b in grid.blocks for row in b.cells for c in row]
    assert (min(shades), max(shades)) == (0, 7)


@pytest.mark.parametrize(
    "grid", [3, {}, {"corruptions": ["a"], "severities": [1], "values": None}, {"corruptions": []}]
)
def test_a_grid_that_is_none_is_left_out(grid):
    assert grids(only(grid=grid)) == []


def test_empty_bins_are_left_out():
    found = reliability(only(bins={"confidence": [0.1, 0.9], "accuracy": [float("nan"), 0.7], "count": [0, 5]}))
    assert [s.x for s in found[0].series[0].spots] == [0.9]


def test_a_curve_without_bounds_has_no_band():
    drawn = lines(curves(only(curve={"x": [0, 1], "y": [1, 2]}))[0])
    assert drawn.lines[0].path.startswith("M")
    assert drawn.lines[0].band == ""


def test_kinds_are_counts_or_shares():
    table = kinds(only(kinds={"a": {"n": 4, "strict": 1, "loose": 2}, "b": {"n": 4, "strict": 1.0, "loose": 1.0}}))[0]
    assert [row.cells[0].text for row in table.rows] == ["25.0 % (50.0 %)", "100 %"]


def test_flips_show_what_most_models_lost():
    found = {f.name: f for f in flips(BATTERY)}["arithmetic"]
    assert found.all_lost > len(found.lost) == 6
    assert all(item.right[0] and sum(not r for r in item.right[1:]) >= 2 for item in found.lost)


def test_dropped_blocks_and_zeros_are_drawn():
    (depth,) = depths(BATTERY)
    assert [i for i, kept in enumerate(depth.kept) if not kept] == [24, 25]
    assert [z.mark.name for z in zeros(BATTERY)] == list(NAMES[1:])


def test_blocks_without_axes_count_as_dropped():
    subjects = [replace(s, figures=tuple(f for f in s.figures if f.name != "depth")) for s in BATTERY.subjects]
    assert depths(replace(BATTERY, subjects=tuple(subjects)))[0].text.startswith("28 of 30")


def test_a_sweep_groups_by_class():
    found = sweep(BATTERY)
    assert found is not None
    assert [s.sort for s in found.smalls][:5] == ["fragile", "fragile", "fragile", "robust", "rising"]
    assert sweep(replace(BATTERY, subjects=BATTERY.subjects[:2])) is None


def test_json_in_the_page_ends_no_script():
    assert "<" not in safe_json({"</script><!--": "</SCRIPT>\u2028"})


def test_the_script_gets_text_and_bounds():
    point = figures_data(BATTERY)["figures"]["piqa"]["points"][0]
    assert point[1] < point[0] < point[2]
    assert point[3] == "67.1 ± 1.5 %"


def test_without_the_extra_the_page_says_what_it_would_add(monkeypatch):
    text = page(BATTERY, charts=False)
    assert "penjing[charts]" in text
    assert "charts-data" not in text
    monkeypatch.setattr(sys.modules["penjing.report.page"], "there", lambda: False)
    with pytest.raises(PenjingError, match="install penjing"):
        page(BATTERY, charts=True)


def test_p_values_are_short():
    assert [p_value(v) for v in (0.0004, 0.0213, 0.4, 1.0, None)] == ["< 0.001", "0.021", "0.40", "1.00", ""]


def test_the_card_has_results_and_differences():
    text = card(BATTERY, model_id="me/small")
    front = text.split("---")[1]
    assert "model-index:" in front
    assert 'name: "strategyqa"' in front
    assert "item by item" in text


def test_axes_of_charts_have_digits_enough():
    from penjing.report.charts.specs import _digits

    assert _digits([0.0, 1.0]) == _digits([]) == _digits([2.0]) == 3
    assert _digits([0.99985, 0.9999]) == 7
