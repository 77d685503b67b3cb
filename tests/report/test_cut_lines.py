"""The first line says what is cut, and whether somebody chose the axes."""

import pytest

from penjing.core import Keep, Plan
from penjing.report.plan import cut_lines

EDITS = (Keep("neurons.0", (0, 1)), Keep("neurons.1", (1, 2)))


@pytest.mark.parametrize(
    ("settings", "end"),
    [({"axes": None}, "(the usual ones of this kind of model; --axes names others)"), ({"axes": "neurons"}, "neurons")],
)
def test_axes_that_nobody_named_are_called_the_usual_ones(settings, end):
    (line,) = cut_lines(Plan(EDITS, made={"settings": settings}))
    assert line.startswith("keep 2 units in each of 2 axes of kind neurons")
    assert line.endswith(end)


def test_a_plan_that_cuts_nothing_has_no_line():
    assert cut_lines(Plan()) == []
