"""What a report itself says of its figures is followed: the better way, the verdict, what is of the original only."""

from penjing.core import Measurement, Report, Subject
from penjing.evaluate.figures import figure_to_json
from penjing.report.build import rows
from penjing.report.facts import said, verdict_tone
from penjing.report.page import page
from penjing.report.views import correlations, grids, reasons, sweep, withheld


def figure(name, value, unit="score", **more):
    group = "quality" if "better" in more else "other"
    return Measurement(name=name, value=value, unit=unit, **{"group": group, **more})


def report(*figures, ratios=()):
    subjects = tuple(Subject(name=f"m{i}", source="", figures=f) for i, f in enumerate(figures))
    return Report(title="t", subjects=subjects, ratios=tuple(ratios))


def test_the_figure_says_which_way_is_better():
    both = [(figure("x:nll", v, "nats per image", better="lower"),) for v in (1.0, 2.0)]
    spoken = said(report(*both), "x:nll")
    assert (spoken.better, spoken.group) == ("lower", "quality")
    assert rows(report(*both))[0].cells[1].tone == "worse"


def test_colours_follow_the_verdict_and_not_the_bare_change():
    told = {"subject": "m1", "figure": "x", "verdict": "no difference shown"}
    both = [(figure("x", v, "share right", better="higher"),) for v in (0.8, 0.7)]
    plain, judged = report(*both), report(*both, ratios=[figure("x_difference", -0.1, details=told)])
    assert rows(plain)[0].cells[1].tone == "worse"
    assert rows(judged)[0].cells[1].tone == "even"
    assert verdict_tone(plain, plain.subjects[1], "x") is None


def test_the_original_has_a_dash_where_others_are_held_against_it():
    found = report((figure("perplexity", 9.0),), (figure("perplexity", 9.5), figure("divergence", 0.1, "nats")))
    cell = next(r for r in rows(found) if r.name == "divergence").cells[0]
    assert (cell.text, cell.aside, cell.missing) == ("–", "this is the original", "")
    assert "this is the original" in page(found, charts=False)


def test_rows_with_one_label_are_told_apart():
    names = ("accuracy.pets", "accuracy.pets:top5")
    found = rows(report(tuple(figure(n, 0.5, "share of images") for n in names)))
    assert len({r.label for r in found}) == 2


def test_a_grid_of_the_corruption_task_is_drawn():
    grid = {"names": ["fog", "snow *"], "severities": [1, 5], "values": [[0.9, 0.5], [0.8, 0.4]]}
    (found,) = grids(report((figure("c", 0.6, "share of images", details={"grid": grid}),)))
    assert found.corruptions == ("fog", "snow *")
    assert found.blocks[0].cells[1][1].text == "40"


def test_classes_come_with_evidence_and_correlations_with_intervals():
    sizes = [figure("parameters", v, "parameters") for v in (100, 80, 50)]
    models = [
        (s, figure("a", v, "share right", better="higher"), figure("b", v, "share right", better="higher"))
        for s, v in zip(sizes, (0.9, 0.8, 0.6), strict=True)
    ]
    kind = {"figure": "a", "class": "undecided", "relative_interval": [-0.5, 0.1], "p_holm": 0.2, "evidence": "items"}
    pair = {"one": "a", "two": "b", "pearson_interval": [0.2, 1.0], "pearson_p_holm": 0.01, "without_dense": None}
    found = report(
        *models, ratios=[figure("a_class", -0.3, details=kind), figure("a~b_correlation", 0.99, details=pair)]
    )
    assert [s.sort for s in sweep(found).smalls] == ["undecided", ""]
    (why,) = reasons(found)
    assert (why.sort, why.evidence, why.interval) == ("undecided", "items", "\u221250 to +10 %")
    (rows_of, count) = correlations(found)
    assert (rows_of[0].r, rows_of[0].interval, rows_of[0].tone, count) == ("0.99", "0.20 to 1.00", "clear", 1)
    text = page(found, charts=False)
    assert "too little to tell" in text
    assert "What moves together: 1" in text
    assert withheld(report(*models, ratios=[figure("models_sweep", None, note="why")])) == "why"


def test_json_of_a_figure_keeps_its_chance_level():
    assert figure_to_json(figure("x", 0.5, chance=0.25))["chance"] == 0.25
