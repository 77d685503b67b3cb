"""How a measured sensitivity is drawn."""

import pytest

from penjing.report.views.sensitivity import sensitivity


def made(increases):
    """Provenance with one cut for each increase, all at half of the units."""
    cuts = [
        {
            "axis": f"neurons.{i}", "kind": "neurons", "size": 8,
            "points": [
                {
                    "keep": 0.5, "kept": 4, "gone": 4, "parameters": 100, "zeroed": 100, "increase": x, "error": 0.001,
                    "low": x - 0.002, "high": x + 0.002, "note": "",
                }
            ],
        }
        for i, x in enumerate(increases)
    ]  # fmt: skip
    told = {"fractions": [0.5], "method": "magnitude", "objective": "loss", "examples": 8}
    return {"sensitivity": {"cuts": cuts, **told}}


def heights(increases):
    (panel,) = sensitivity(made(increases)).panels
    return panel.drawing, [y for _, y in panel.drawing.lines[0].pins]


def test_increases_alike_are_drawn_to_scale():
    drawing, (a, b, c, _) = heights([0.1, 0.2, 0.3, 0.15])
    assert not drawing.chart.log
    assert a - b == pytest.approx(b - c, abs=0.1)


def test_one_axis_that_dwarfs_the_others_does_not_flatten_them():
    drawing, (_, b, c, least) = heights([2.0, 0.02, 0.04, -0.001])
    assert drawing.chart.log
    assert "0.002 and less at the foot" in drawing.chart.up
    assert b - c > 5
    assert least == max(y for _, y in drawing.lines[0].pins)
    assert min(s.low for s in drawing.chart.series[0].spots) == 0.002
