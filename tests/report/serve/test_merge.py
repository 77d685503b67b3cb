"""Several runs' reports as one."""

from dataclasses import replace

import samples

from penjing.core import Measurement, Report, Subject
from penjing.report import from_json, page, to_json
from penjing.report.build import figure_ratio, known
from penjing.report.serve.merge import merged


def names(report):
    return [s.name for s in report.subjects]


def small(result, *, source="models/base", base="base", seconds=1.0, protocol="p/1", ratios=()):
    def figures(scale):
        return (
            Measurement(name="perplexity", value=20 * scale, unit="", group="quality", protocol=protocol),
            Measurement(name="prefill_seconds", value=seconds * scale, unit="seconds", group="time"),
        )

    return Report(
        title=result,
        subjects=(
            Subject(name=base, source=source, figures=figures(1)),
            Subject(name=result, source=f"models/{result}", figures=figures(2)),
        ),
        ratios=tuple(ratios),
    )


def test_the_original_stands_once():
    whole = merged([("one", small("a")), ("two", small("b")), ("three", small("c"))])
    assert names(whole) == ["base", "a", "b", "c"]


def test_results_of_one_name_get_their_run_behind_them():
    whole = merged([("one", small("a")), ("two", small("a")), ("two", small("a"))])
    assert names(whole) == ["base", "a", "a (two)", "a (two, 2)"]


def test_another_original_stands_too_and_is_told():
    whole = merged([("one", small("a")), ("two", small("b", source="models/other", base="other")),
                    ("three", small("c", source="models/other", base="other"))])  # fmt: skip
    assert names(whole) == ["base", "a", "other", "b", "c"]
    assert any("two and three: made from another original than base" in n for n in whole.notes)


def test_models_without_a_source_are_not_taken_for_one():
    assert names(merged([("one", small("a", source="")), ("two", small("b", source=""))])) == [
        "base", "a", "base (two)", "b"
    ]  # fmt: skip


def test_the_original_gains_figures_that_only_another_run_took():
    first = small("a")
    bare = replace(first, subjects=tuple(replace(s, figures=s.figures[:1]) for s in first.subjects))
    whole = merged([("one", bare), ("two", small("b"))])
    assert [f.name for f in whole.subjects[0].figures] == ["perplexity", "prefill_seconds"]


def test_a_measured_ratio_follows_its_subject_under_its_new_name():
    ratio = Measurement(name="prefill_ratio", value=0.8, unit="ratio", details={"null": 1.0})
    whole = merged([("one", small("a")), ("two", small("a", ratios=[ratio]))])
    found = figure_ratio(whole, whole.subjects[2], "prefill_seconds")
    assert (found.value, found.details["null"]) == (0.8, 1.0)


def test_times_of_different_runs_give_no_ratio():
    whole = merged([("one", small("a")), ("two", small("b", seconds=9.0))])
    assert known(figure_ratio(whole, whole.subjects[1], "prefill_seconds")) == 2
    withheld = figure_ratio(whole, whole.subjects[2], "prefill_seconds")
    assert withheld.value is None
    assert "different runs" in withheld.note
    assert known(figure_ratio(whole, whole.subjects[2], "perplexity")) == 2


def test_different_protocols_are_told():
    assert not [n for n in merged([("one", small("a")), ("two", small("b"))]).notes if "protocol" in n]
    whole = merged([("one", small("a")), ("two", small("b", protocol="p/2"))])
    assert [n for n in whole.notes if "Perplexity was taken by 2 protocols" in n]


def test_what_is_the_same_of_all_runs_is_said_once():
    whole = merged([("one", samples.FULL), ("two", samples.FOUR)])
    assert whole.provenance["seed"] == 0
    assert whole.provenance["run two"]["method"] == "several"


def test_every_sample_merges_into_a_page():
    whole = merged(list(samples.ALL.items()))
    assert to_json(from_json(to_json(whole))) == to_json(whole)
    assert "<script>alert" not in page(whole)


def test_runs_without_models_give_an_empty_report():
    assert merged([("one", Report(title="t", subjects=()))]).subjects == ()
