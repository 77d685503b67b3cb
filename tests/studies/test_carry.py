"""Nothing that is finished is run again or lost; what a folder holds is what the rows say."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from tests.studies.conftest import noted
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.core.experiment import Figure
from penjing.core.study import Curve, Table
from penjing.errors import MissingExtraError, OutputError, RequestError
from penjing.report.study import study_json
from penjing.studies import carry, read_study, shown
from penjing.studies.journal import Journal

GRID = "[grid]\nshift = [0, 10]\n"


def test_a_row_for_each_run_and_none_is_run_twice(counting, tmp_path):
    file = counting(GRID)
    done = penjing.study(file, progress=False)
    assert [(r.setting, r.seed, r.figures["value"]) for r in done.rows] == [
        (f"shift {s}", seed, float(seed + s)) for seed in range(3) for s in (0, 10)
    ]
    assert done.missing == 0
    assert len(noted(tmp_path, "begin")) == 6
    again = penjing.study(file, progress=False)
    assert again.rows == done.rows
    assert len(noted(tmp_path, "begin")) == 6
    assert penjing.study(file, run=False, progress=False).rows == done.rows


def test_a_grown_study_runs_only_what_is_new(counting, tmp_path):
    carry(read_study(counting(GRID, seeds="2")))
    done = carry(read_study(counting("[grid]\nshift = [0, 10, 20]\n", seeds="3")))
    assert len(done.rows) == 9
    assert len(noted(tmp_path, "begin")) == len(set(noted(tmp_path, "begin"))) == 9
    assert len(carry(read_study(counting(GRID, seeds="1"))).rows) == 2


def test_the_columns_are_the_rows(counting, tmp_path):
    done = carry(read_study(counting(GRID + 'fail = ["", "nan"]\n')))
    with np.load(tmp_path / "study-out" / "runs.npz", allow_pickle=False) as held:
        columns = dict(held)
    by_key = {r.key: r for r in done.rows}
    assert sorted(columns["key"]) == sorted(by_key)
    assert columns["curve"].shape == (12, 3)
    for i, key in enumerate(columns["key"]):
        row = by_key[key]
        assert columns["seed"][i] == row.seed
        assert columns["setting"][i] == row.setting
        assert columns["settings.shift"][i] == ("10" if "shift 10" in row.setting else "")
        assert bool(columns["error"][i]) == ("fail nan" in row.setting and row.seed is not None and bool(row.error))
        np.testing.assert_equal(columns["value"][i], row.figures.get("value", np.nan))
        np.testing.assert_equal(columns["curve"][i], np.array(row.figures.get("curve", [np.nan] * 3)))


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ("nan", "value is nan"), ("raise", "TrainingError: it came to no good"),
        ("memory", "RuntimeError: can't allocate memory"),
    ],
)  # fmt: skip
def test_a_failed_run_costs_no_other_and_is_tried_again_when_asked(counting, tmp_path, fail, said):
    study = read_study(counting(f'[settings]\nfail = "{fail}"\n[grid]\nshift = [0, 10]\n', seeds="1"))
    done = carry(study)
    assert [said in r.error for r in done.rows] == [True, True]
    assert len(done.table.failed) == 2
    carry(study)
    assert len(noted(tmp_path, "begin")) == 2
    done = carry(study, again=True)
    assert [r.error for r in done.rows] == ["", ""]
    assert [r.figures["value"] for r in done.rows] == [0.0, 10.0]
    assert len(noted(tmp_path, "begin")) == 4


def test_the_command_ends_otherwise_where_every_run_failed(counting):
    file = counting('[settings]\nfail = "raise"\n[grid]\nshift = [0, 10]\n', seeds="1")
    assert CliRunner().invoke(app, ["study", "run", str(file)]).exit_code == 1
    assert CliRunner().invoke(app, ["study", "resume", str(file)]).exit_code == 0


def test_a_mistake_in_an_experiment_is_raised_and_what_was_finished_stays(counting, tmp_path):
    study = read_study(counting('[[setting]]\nname = "good"\n[[setting]]\nname = "bad"\nfail = "mistake"\n', seeds="1"))
    with pytest.raises(KeyError):
        carry(study)
    assert len(shown(study).rows) == 1


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            {"text": "[settings]\nseconds = 0.001\n" + GRID},
            "there the setting 'shift 0' is {}, here {'seconds': 0.001}",
        ),
        ({"text": "[grid]\nshift = [10, 20]\n"}, "it has the setting 'shift 0'"),
        ({"text": '[settings.source]\nmodel = "here"\n', "experiment": "shrink"}, "its experiment is 'counting'"),
    ],
)
def test_two_studies_in_one_folder_are_refused(counting, other, said, tmp_path):
    carry(read_study(counting(GRID, seeds="1")))
    before = {p.name: p.read_bytes() for p in (tmp_path / "study-out").iterdir()}
    with pytest.raises(OutputError) as caught:
        carry(read_study(counting(**other)))
    assert said in str(caught.value)
    assert "holds another study" in str(caught.value)
    assert {p.name: p.read_bytes() for p in (tmp_path / "study-out").iterdir()} == before


def test_a_folder_of_something_else_is_left_alone(counting, tmp_path):
    (tmp_path / "study-out").mkdir()
    (tmp_path / "study-out" / "letters.txt").write_text("dear")
    with pytest.raises(OutputError, match="is not empty and holds no study"):
        carry(read_study(counting()))
    assert noted(tmp_path, "begin") == []


def test_only_one_process_carries_a_study_out(counting):
    study = read_study(counting(seeds="1"))
    with Journal(study), pytest.raises(OutputError, match="another process carries out the study"):
        carry(study)
    assert carry(study).missing == 0


def test_what_is_shown_or_gone_on_with_must_have_begun(counting, tmp_path):
    study = read_study(counting())
    with pytest.raises(OutputError, match="no study was begun"):
        shown(study)
    with pytest.raises(OutputError, match="no study was begun"):
        carry(study, begun=True)
    assert not (tmp_path / "study-out").exists()


@pytest.mark.parametrize("cut", [1, 20, 10_000])
def test_a_line_that_a_crash_cut_short_counts_for_nothing(counting, tmp_path, cut):
    study = read_study(counting())
    carry(study)
    journal = tmp_path / "study-out" / "runs.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][: max(1, len(lines[2]) - cut)])
    assert len(shown(study).rows) == 2
    assert len(carry(study).rows) == 3
    assert [n for _, n in noted(tmp_path, "begin")] == ["0", "1", "2", "2"]
    assert len(journal.read_bytes().splitlines()) == 3


def test_a_full_disk_loses_nothing_that_was_finished(counting, tmp_path, monkeypatch):
    study, write, written = read_study(counting()), os.write, []

    def full(descriptor, data):
        if len(written) == 1:
            write(descriptor, bytes(data)[:10])
            raise OSError(28, "No space left on device")
        written.append(data)
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutputError, match="no room to write"):
            carry(study)
    assert len(shown(study).rows) == 1
    assert len(carry(study).rows) == 3
    assert [json.loads(line)["seed"] for line in (tmp_path / "study-out" / "runs.jsonl").read_text().splitlines()] == [
        0,
        1,
        2,
    ]


def test_the_page_and_the_table_say_what_rows_say(counting, tmp_path):
    done = carry(read_study(counting('[[setting]]\nname = "<b>"\n[[setting]]\nname = "c"\nshift = 2\n', seeds="4")))
    shown_figure = done.table.figures[0]
    assert shown_figure.name == "value"
    assert [f.name for f in done.table.figures] == ["value"], (
        "what is aside, and what others are drawn over, is not shown"
    )
    assert shown_figure.cells["<b>"].mean == 1.5
    assert shown_figure.cells["<b>"].deviation == pytest.approx((5 / 3) ** 0.5)
    gap = shown_figure.against["c"]
    assert (gap.mean, gap.low, gap.high, gap.n) == (2, 2, 2, 4)
    (curve,) = done.table.curves
    assert [p[:2] for p in curve.points["c"]] == [(0, 3.5), (10, 4.5), (20, 5.5)]
    page = (tmp_path / "study-out" / "study.html").read_text()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.split("</header>")[0]
    assert "src=" not in page


def test_json_has_null_where_a_point_is_missing():
    points = {"a": ((0.0, float("nan"), None, None), (1.0, 2.0, 1.5, 2.5))}
    curve = Curve(name="c", figure=Figure(label="C"), across="x", points=points, n={"a": 2})
    table = Table(
        title="t", experiment="e", settings=("a",), base="a", seeds=2, runs=2, finished=2, curves=(curve,)
    )  # fmt: skip
    told = json.loads(json.dumps(study_json(table), allow_nan=False))
    assert told["curves"][0]["points"]["a"] == [[0.0, None, None, None], [1.0, 2.0, 1.5, 2.5]]


def test_figures_that_are_asked_for_are_shown_and_others_refused(counting):
    done = carry(read_study(counting('[show]\nfigures = ["own"]\n')))
    assert [f.name for f in done.table.figures] == ["own"]
    with pytest.raises(RequestError, match="did you mean 'value'"):
        shown(read_study(counting('[show]\nfigures = ["valu"]\n')))


def test_ray_that_is_not_installed_is_named(counting, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    study = replace(read_study(counting()), executor="ray")
    with pytest.raises(MissingExtraError, match=r"pip install 'penjing\[ray\]'"):
        carry(study)
