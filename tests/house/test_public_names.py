"""What users may import is this list, and the reference page shows the same."""

from tests.house import tree

import penjing
from penjing import core

TOP = [
    "Axis", "Budget", "Card", "Checkpoint", "Choice", "Data", "Heal", "Keep", "Layout", "Mask", "Measure",
    "PenjingError", "Plan", "Report", "Request", "Run", "Source", "Stats", "Update", "apply", "compact", "compare",
    "dense", "export", "heal", "layout", "load", "look", "measure", "open", "plan", "profile", "prune_data", "run",
    "search_shapes", "select_data", "sensitivity", "shrink", "study", "table", "train_model",
]  # fmt: skip


def test_the_top_level_is_the_documented_list():
    assert sorted(penjing.__all__) == sorted(TOP)


def test_every_public_name_is_there():
    for name in penjing.__all__:
        assert getattr(penjing, name) is not None


def test_dir_shows_them():
    assert set(TOP) <= set(dir(penjing))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(penjing, "shrnk")


def test_core_offers_what_it_lists():
    assert sorted(core.__all__) == list(core.__all__)
    for name in core.__all__:
        assert hasattr(core, name)


def test_the_reference_page_names_them_all():
    page = (tree.ROOT / "docs" / "look-up" / "python.md").read_text(encoding="utf-8")
    missing = [name for name in TOP if f"## {name}\n" not in page]
    assert not missing
