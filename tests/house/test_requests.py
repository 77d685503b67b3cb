"""An option's default and its name stand in the request's classes; what users call has the same."""

import inspect
from dataclasses import fields

import pytest

import penjing
from penjing.api.keywords import Everyday, home
from penjing.pipeline import asking
from penjing.pipeline import request as asked
from penjing.pipeline.option import default_of, options

CLASSES = [
    c for room in (asked, asking) for c in vars(room).values() if inspect.isclass(c) and c.__module__ == room.__name__
]
DATA = {"select_data": asking.SelectedData, "sensitivity": asking.AxisData}
OWN = {
    "profile": (asking.Profiling,),
    "look": (asking.Looking,),
    "measure": (asked.Measure,),
    "compare": (asked.Measure,),
    "select_data": (asking.Selecting,),
    "sensitivity": (asking.Sensing,),
    "heal": (asked.Heal,),
    "search_shapes": (asking.Shaping, asked.Heal),
    "prune_data": (asking.Pruning,),
}
"""Function -> classes whose options come before those that every function has."""
WIDER = {"measure", "data", "model", "settings"}
"""Keywords that are no option of the name: a switch, batches, the model, which has no default, None for no settings."""
OPENS_ONLY = {"load"}
"""Functions that ask for nothing: `load` opens a result as its stock loader does, on the processor."""
ASKING = [n for n in penjing.__all__ if inspect.isfunction(getattr(penjing, n)) and n not in OPENS_ONLY]


@pytest.mark.parametrize("name", ASKING)
def test_keywords_have_the_defaults_of_the_options(name):
    homes = [*OWN.get(name, ()), asked.Source, asked.Choice, DATA.get(name, asked.Data), asked.Run]
    for key, parameter in inspect.signature(getattr(penjing, name)).parameters.items():
        cls = next((c for c in homes if key in options(c)), None)
        if cls is None or parameter.default is parameter.empty or key in WIDER:
            continue
        assert parameter.default == default_of(options(cls)[key][0]), f"{name}({key}=)"


def test_the_everyday_keywords_are_options():
    for name in set(Everyday.__annotations__) - {"budget"}:
        assert home(name)[1].name == name


def test_an_option_that_two_classes_have_is_described_alike():
    said = {}
    for cls in CLASSES:
        for name, (one, told) in options(cls).items():
            if issubclass(cls, asked.Data):
                assert said.setdefault(name, (told.help, told.flag)) == (told.help, told.flag), name
                assert one.type is options(asked.Data)[name][0].type


def test_every_class_is_frozen_and_keyword_only():
    for cls in CLASSES:
        assert cls.__dataclass_params__.frozen, cls
        assert all(f.kw_only for f in fields(cls)), cls


def test_no_room_below_the_pipeline_knows_a_request():
    from tests.house import tree

    below = ("core", "maths", "io", "layouts", "data", "select", "calibrate", "surgery", "running", "evaluate", "tasks")
    rooms = (*below, "methods", "profiling", "planning", "search")
    found = [
        tree.name_of(p)
        for p in tree.modules()
        if tree.name_of(p).startswith(rooms) and "pipeline.request" in p.read_text(encoding="utf-8")
    ]
    assert found == []
