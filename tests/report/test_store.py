"""Reports as JSON."""

import json

import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from penjing.core import Measurement, Report
from penjing.errors import DataError, OutputError
from penjing.report import check_page, figures_json, from_json, load, save, to_json

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", samples.ALL)
def test_a_report_survives_json(name, tmp_path):
    report = samples.ALL[name]
    save(report, tmp_path)
    assert to_json(load(tmp_path)) == to_json(report)
    assert load(tmp_path / "report.json").subjects[0].figures == report.subjects[0].figures


@given(st.floats(allow_nan=False) | st.none(), st.dictionaries(st.text(), DATA, max_size=3))
def test_any_figure_survives_json(value, details):
    figure = Measurement(name="x", value=value, unit="u", details=details)
    report = Report(title="t", subjects=(), ratios=(figure,), provenance=details)
    assert from_json(json.loads(json.dumps(to_json(report), allow_nan=False))) == report


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.pop("schema"), "schema None"),
        (lambda d: d.update(schema=99), "schema 99"),
        (lambda d: d.pop("subjects"), "report has no 'subjects'"),
        (lambda d: d.update(note=[]), "did you mean 'notes'"),
        (lambda d: d["subjects"][0].update(figures=[{"name": "x"}]), r"subjects\[0\].figures\[0\] has no 'value'"),
        (lambda d: d["subjects"][0]["widths"].update(x="8"), r"subjects\[0\].widths\['x'\]"),
        (lambda d: d["subjects"][0]["figures"][0].update(value="8"), r"figures\[0\].value is '8'"),
    ],
)
def test_a_wrong_file_is_told_where(spoil, said):
    data = json.loads(json.dumps(to_json(samples.FULL)))
    spoil(data)
    with pytest.raises(DataError, match=said):
        from_json(data)


def test_a_file_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        load(tmp_path)


def test_a_page_that_cannot_be_written_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a folder"):
        check_page(tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        check_page(tmp_path / "file" / "x.html")


def test_the_result_is_at_the_top_of_the_short_json():
    told = figures_json(samples.FULL)
    assert told["parameters"] == 114_608_448
    assert told["models"][0]["parameters"] == 134_515_008
    assert figures_json(samples.WITHHELD)["perplexity"] is None
