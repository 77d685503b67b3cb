"""An option is written once, and what follows from it: values read, budgets that exclude each other, the command."""

import shlex
from dataclasses import fields
from importlib import import_module

import pytest
import torch
from typer.testing import CliRunner

from penjing.cli import app
from penjing.errors import BudgetError, RequestError
from penjing.pipeline.command import shrink_command
from penjing.pipeline.option import amount, flag_of, options
from penjing.pipeline.request import BUDGETS, TABLES, Choice, Data, Measure, Request, Run, Source

MODEL = Source(model="model")


@pytest.mark.parametrize("cls", TABLES.values(), ids=list(TABLES))
def test_every_field_is_an_option_with_help(cls):
    assert {f.name for f in fields(cls)} == set(options(cls))
    for name, (_, told) in options(cls).items():
        assert told.help.endswith("."), name
        assert told.help[0].isupper(), name


def test_no_two_options_have_one_flag():
    flags = [flag_of(one) for cls in TABLES.values() for one, told in options(cls).values() if not told.argument]
    typed = [f for f in flags if f is not None]
    assert len(typed) == len(set(typed))


def test_lists_become_tuples_and_paths_text(tmp_path):
    data = Data(texts=[tmp_path / "a.txt", "b.txt"])
    assert data.texts == (str(tmp_path / "a.txt"), "b.txt")
    assert Data(texts="one.txt").texts == ("one.txt",)


@pytest.mark.parametrize(("text", "found"), [("100M", 10**8), ("1.5G", 15 * 10**8), ("2T", 2 * 10**12), (1e6, 10**6)])
def test_counts_are_read_from_text(text, found):
    assert Choice(limit_parameters=text).limit_parameters == found


@pytest.mark.parametrize(("text", "found"), [("2GB", 2 * 10**9), ("500MB", 5 * 10**8), ("12", 12)])
def test_sizes_are_read_from_text(text, found):
    assert Run(memory=text).memory == found
    assert amount(text, size=True) == found


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Data(rows="many"), "rows is 'many'; needed a whole number"),
        (lambda: Data(rows=0), "rows is 0; needed 1 or more"),
        (lambda: Data(rows=True), "rows is True"),
        (lambda: Data(texts=[3]), "texts holds 3; needed text"),
        (lambda: Choice(keep="half"), "keep is 'half'; needed a number"),
        (lambda: Choice(limit_bytes="large"), "needed a count such as 200MB"),
        (lambda: Choice(allow_sensitive="yes"), "needed true or false"),
        (lambda: Choice(settings=["a"]), "needed a table"),
        (lambda: Request(source=MODEL, heal=5), "needed a Heal"),
    ],
)
def test_a_value_of_another_kind_is_refused_where_it_is_given(made, said):
    with pytest.raises(RequestError, match=said):
        made()


def test_two_budgets_are_refused_with_both_named():
    with pytest.raises(BudgetError, match=r"keep 0.5 and limit_bytes 1e\+06"):
        Choice(keep=0.5, limit_bytes="1MB")


def test_each_budget_is_a_limit_in_its_unit():
    for name, unit in BUDGETS.items():
        budget = Choice(**{name: 1}).budget()
        assert (budget.unit, budget.limit) == (unit, 1.0)
    assert Choice().budget() is None


def test_options_of_their_own_are_settings_of_the_method():
    own = {"walk": "at once"}
    choice = Choice(axes="heads.*", protect=("heads.0",), multiple=4, allow_sensitive=True, settings=own)
    assert choice.all_settings() == {
        "axes": "heads.*", "protect": ("heads.0",), "multiple": 4, "allow": ("sensitive",), "walk": "at once",
    }  # fmt: skip
    assert Choice().all_settings() == {}


def test_the_command_holds_what_is_not_the_default_and_is_read_back(monkeypatch):
    request = Request(
        source=Source(model="my model", table="t.json"),
        choice=Choice(method="maw", limit_bytes="1MB", protect=("a", "b"), settings={"x": "1", "y": [1, 2]}),
        data=Data(texts=("a b.txt", "c.txt"), rows=8), measure=Measure(speed=False, length=64, tasks=("arc:f.jsonl",)),
        run=Run(threads=2), out="out folder",
    )  # fmt: skip
    words = shlex.split(shrink_command(request))
    assert words[:3] == ["penjing", "shrink", "my model"]
    assert "--method" in words
    assert "--seed" not in words
    seen = []
    monkeypatch.setattr(import_module("penjing.api.shrink"), "carry", lambda request, **more: seen.append(request))
    monkeypatch.setattr("penjing.cli.output.show_shrunk", lambda done, as_json: None)
    done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert seen == [request]


def test_what_only_python_can_give_has_no_command():
    assert shrink_command(Request(source=MODEL, data=Data(batches=[torch.zeros(1)]), out="o")) == ""
    assert shrink_command(Request(source=Source(model=torch.nn.Linear(1, 1)), out="o")) == ""


def test_a_device_that_is_not_there_is_refused_before_any_work(tmp_path):
    words = ["shrink", "nowhere", "-o", str(tmp_path / "out"), "--device", "cuda:99"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "DeviceError" in done.stderr
    assert "cuda:99" in done.stderr
    assert not (tmp_path / "out").exists()


def test_threads_reach_the_processes_that_time(tmp_path):
    from penjing.pipeline.side_by_side import SideBySide
    from penjing.pipeline.values import lender_of

    taken = object.__new__(SideBySide)
    taken._models, taken._lender = {}, lender_of(Run(device="cpu", threads=3))
    assert taken._speed_settings(True).threads == 3
