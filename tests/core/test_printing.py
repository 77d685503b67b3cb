"""Printing an object says what it is in at most 2 kB, whatever the size of the model."""

import pytest
import torch

from penjing.core import Axis, Keep, Layout, Mask, Measurement, Plan, Report, Subject, Update
from penjing.core.printing import bars, table

MANY = 3000


def objects():
    axes = {f"neurons.{i}": Axis(name=f"neurons.{i}", size=64 + i, state="free") for i in range(MANY)}
    figures = tuple(Measurement(name=f"f{i}", value=float(i), unit="<b>") for i in range(MANY))
    keeps = [Keep(a, tuple(range(0, 64, 2))) for a in axes]
    edits = (*keeps, Mask("t", torch.ones(9, 9).bool()), Update("u", torch.ones(99)))
    plan = Plan(edits, {"method": "maw", "settings": "x" * 9000})
    return {
        "layout": Layout(patterns={}, axes=axes),
        "plan": plan,
        "keep": Keep("a", tuple(range(0, 20_000, 2))),
        "mask": plan.edits[-2],
        "update": plan.edits[-1],
        "report": Report(title="t", subjects=(Subject(name="<i>", source="s", figures=figures),) * 9),
    }


@pytest.mark.parametrize("name", list(objects()))
def test_a_repr_stays_small(name):
    assert len(repr(objects()[name])) <= 2048


def test_a_repr_says_what_it_is():
    found = objects()
    assert "3000 free neurons of 64 to 3063" in repr(found["layout"])
    assert "keep 32 units in each of 3000 axes of kind neurons" in repr(found["plan"])
    assert "made by maw" in repr(found["plan"])
    assert repr(Keep("a", (0, 1, 5))) == "Keep('a', 0-1,5)"
    assert repr(found["mask"]) == "Mask('t', [9, 9])"


@pytest.mark.parametrize("name", ["layout", "plan", "report"])
def test_a_notebook_shows_a_small_table_without_markup_of_others(name):
    html = objects()[name]._repr_html_()
    assert "<table" in html
    assert "<svg" in html
    assert len(html) < 16_000
    assert "<b>" not in html
    assert "<i>" not in html


def test_pictures_hold_no_more_than_they_can_show():
    assert bars([], title="x") == ""
    assert bars([0.5] * 999, title="<x>").count("M") == 200
    assert "&lt;x&gt;" in bars([1.0], title="<x>")
    assert "<td>a&amp;b</td>" in table(["h"], [["a&b"]])
