"""The sentence that stands first."""

from dataclasses import replace

import pytest
import samples
from samples import _m

from penjing.core import Measurement, Report, Subject
from penjing.report import headline
from penjing.report.build import speeds
from penjing.report.comparison_rows import compared
from penjing.report.figures import DIFFERENCE
from penjing.report.provenance import limits


def test_the_answer_is_built_from_the_figures():
    assert headline(samples.FULL) == (
        "15 % fewer parameters, 15 % less time per generated token, perplexity 21.7 → 34.8 (+60 %)."
    )


def test_a_withheld_figure_is_named_with_its_reason():
    said = headline(samples.WITHHELD)
    assert "Time per generated token: withheld: the A/A null" in said
    assert "Perplexity: not measured: no text was given" in said


def test_worse_is_said_as_worse():
    def one(name, p, s):
        figures = (
            _m("parameters", p, "parameters"),
            _m("decode_seconds_per_token", s, "seconds"),
        )
        return Subject(name=name, source=name, figures=figures)

    said = headline(Report(title="t", subjects=(one("a", 100, 1.0), one("b", 110, 1.2))))
    assert said.startswith("10 % more parameters, 20 % more time per generated token.")


def test_several_models_are_a_range():
    assert headline(samples.FOUR) == (
        "4 models against SmolLM2-135M: parameters −5.9 % to −30 %, perplexity 25.6 to 1466 (the original: 21.7)."
    )


def test_accuracy_moves_in_points():
    assert "accuracy 91.2 % → 89.9 % (−1.3 points)" in headline(samples.CNN)


def test_a_report_of_nothing_says_so():
    assert headline(Report(title="t", subjects=())) == "This report has no models."


def test_what_no_model_has_is_one_limit_and_no_speed():
    report = Report(
        title="t",
        subjects=tuple(
            Subject(
                name=n,
                source=n,
                figures=(_m("joules_per_token", None, "J", note="no counter"),),
            )
            for n in "abc"
        ),
    )
    assert limits(report) == ["Energy per token: not measured: no counter, for every model."]
    assert speeds(report) == []
    one = replace(report.subjects[2], figures=())
    assert len(limits(replace(report, subjects=(*report.subjects[:2], one)))) == 3


def test_a_change_held_back_is_not_called_unmeasured():
    def one(name, seconds):
        return Subject(
            name=name, source=name,
            figures=(
                _m("parameters", 9, "parameters"),
                _m("decode_seconds_per_token", seconds, "seconds"),
            ),
        )  # fmt: skip

    held = Measurement(name="decode_ratio", value=None, unit="ratio", note="withheld: noisy", details={"subject": "b"})
    report = Report(title="t", subjects=(one("a", 1.0), one("b", 0.9), one("c", None)), ratios=(held,))
    said = [{p.label: p.change for p in entry.parts} for entry in compared(report)]
    assert [s["Time per generated token"] for s in said] == ["withheld", "not measured"]


@pytest.mark.parametrize(("verdict", "close"), [("worse", False), ("no difference shown", True)])
def test_a_test_of_the_same_blocks_says_whether_a_figure_moved(verdict, close):
    def perplexity(value):
        return Measurement(name="perplexity", value=value, unit="", spread=5.0, better="lower", group="quality")

    subjects = (
        Subject(name="a", source="a", figures=(perplexity(50.0),)),
        Subject(name="b", source="b", figures=(perplexity(52.0),)),
    )
    tested = Measurement(
        name=f"perplexity{DIFFERENCE}", value=2.0, unit="", details={"subject": "b", "verdict": verdict}
    )
    said = headline(Report(title="", subjects=subjects, ratios=(tested,)))
    assert ("within the spread" in said) is close
