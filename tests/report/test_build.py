"""From a report to rows, ratios and speeds."""

import samples

from penjing.core import Measurement, Report, Subject
from penjing.report.build import figure_ratio, margin, rows, speeds
from penjing.report.headline import headline
from penjing.report.older import labelled


def pair(before, after, ratios=()):
    subjects = tuple(Subject(name=n, source=n, figures=f) for n, f in (("a", before), ("b", after)))
    return Report(title="t", subjects=subjects, ratios=ratios)


def number(name, value, unit="", **more):
    return labelled(Measurement(name=name, value=value, unit=unit, **more))


def test_a_measured_ratio_goes_before_the_quotient():
    report = pair(
        (number("prefill_seconds", 2.0, "seconds"),),
        (number("prefill_seconds", 1.0, "seconds"),),
        (number("prefill_ratio", 0.6, details={"subject": "b"}),),
    )
    found = figure_ratio(report, report.subjects[1], "prefill_seconds")
    assert found is not None
    assert found.value == 0.6


def test_a_withheld_ratio_is_not_replaced_by_the_quotient():
    report = pair(
        (number("prefill_seconds", 2.0, "seconds"),),
        (number("prefill_seconds", 1.0, "seconds"),),
        (number("prefill_ratio", None, note="too noisy", details={"subject": "b"}),),
    )
    cell = rows(report)[0].cells[1]
    assert (cell.change, cell.withheld) == ("", "withheld: too noisy")
    assert speeds(report)[0].value is None
    assert "50 %" not in headline(report)


def test_a_ratio_of_another_model_is_not_taken():
    report = pair(
        (number("parameters", 4, "parameters"),),
        (number("parameters", 2, "parameters"),),
        (number("parameters_ratio", 0.9, details={"subject": "c"}),),
    )
    assert rows(report)[0].cells[1].change == "−50 %"


def test_widths_are_halved_for_plus_minus():
    assert margin(number("x", 1.0, spread=0.4, spread_kind="inter-quartile range"))[0] == 0.2
    assert margin(number("x", 1.0, spread=0.4, spread_kind="standard error"))[0] == 0.4


def test_a_paired_ratio_decides_whether_the_spread_hides_a_change():
    figures = [(number("perplexity", v, "perplexity per token", spread=1.0),) for v in (20.0, 20.4)]
    assert "within the spread" in headline(pair(*figures))
    clear = number(
        "perplexity_ratio", 1.02, spread=0.001, spread_kind="standard error, paired", details={"subject": "b"}
    )
    assert "within the spread" not in headline(pair(*figures, (clear,)))


def test_a_base_of_zero_has_no_ratio():
    report = pair((number("parameters", 0, "parameters"),), (number("parameters", 2, "parameters"),))
    assert rows(report)[0].cells[1].change == ""


def test_sizes_predict_times():
    found = {s.label: s for s in speeds(samples.FULL)}
    assert found["Time per generated token"].predicted == 0.861
    prefill = found["Time to read the prompt"]
    assert prefill.predicted is not None
    assert abs(prefill.predicted - 114.6 / 134.5) < 1e-6
