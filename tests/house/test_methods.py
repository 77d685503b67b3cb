"""Every method's file is complete: a card, a class, a test, and in the test a naive loop."""

import ast
import dataclasses
import importlib
import re
import typing

import pytest
from tests.house import tree

from penjing.core import Card
from penjing.core.method import Promise
from penjing.methods import METHODS

EVERY = pytest.mark.parametrize("path", tree.method_files(), ids=tree.name_of)


def load(path):
    return importlib.import_module("penjing." + tree.name_of(path).removesuffix(".py").replace("/", "."))


def test_there_are_methods():
    assert len(tree.method_files()) >= 4


@EVERY
def test_has_a_complete_card(path):
    card = load(path).CARD
    assert isinstance(card, Card)
    assert all([card.title, card.paper, card.removes, card.opens])
    assert card.promise in typing.get_args(Promise)


@EVERY
def test_has_a_frozen_method_that_builds_with_no_arguments(path):
    method = METHODS.type_of(path.stem)
    assert dataclasses.is_dataclass(method)
    assert method.__dataclass_params__.frozen
    assert all(f.kw_only for f in dataclasses.fields(method))
    method()


@EVERY
def test_its_docstring_names_a_source(path):
    assert "Source:" in (load(path).__doc__ or "")


@EVERY
def test_has_a_test_with_a_naive_loop(path):
    test = tree.ROOT / "tests" / path.relative_to(tree.SRC).with_name(f"test_{path.name}")
    assert test.is_file(), f"write {test.relative_to(tree.ROOT)}"
    names = {f.name for f in tree.functions(test)}
    assert [n for n in names if n.startswith("naive")], f"{test.name} has no naive loop"
    assert [n for n in names if n.startswith("test_")]


@EVERY
def test_names_no_other_method(path):
    imported = [n.module for n in ast.walk(tree.tree(path)) if isinstance(n, ast.ImportFrom) and n.module]
    assert not [m for m in imported if re.match(r"penjing\.methods\b", m)]


def test_names_are_unique_over_families():
    names = [p.stem for p in tree.method_files()]
    assert len(names) == len(set(names))
