"""The page of stock families says what their results say."""

import json

from benchmarks import stock_families
from benchmarks.tiny_configs import number, several, small
from tests.house import tree

RESULTS = {
    "a": {"class": "A", "parameters": 9000, "after": 6000, "cut": "neurons (2 axes)", "difference": 0.0},
    "b": {"class": "B", "parameters": 9000, "refused": "no entry | holds it", "stage": "plan"},
    "c": {"fault": "boom", "stage": "crash"},
    "d": {"fault": "needs a package", "stage": "none"},
}


def test_the_share_is_of_those_that_have_a_tiny_config():
    page = stock_families.page(RESULTS)
    assert "3 families" in page
    assert "**66.7% pass or are refused" in page
    assert "| a | A | 9,000 | 6,000 | neurons (2 axes) | 0 |" in page
    assert r"| b | plan | no entry \| holds it |" in page
    assert "| c | crash | boom |" in page


def test_the_page_that_is_kept_is_that_of_the_results_that_are_kept():
    kept = json.loads(stock_families.KEPT.read_text(encoding="utf-8"))
    assert stock_families.PAGE.read_text(encoding="utf-8") == stock_families.page(kept)
    assert stock_families.PAGE.name in (tree.ROOT / "docs" / "index.md").read_text(encoding="utf-8")


def test_entries_get_small_numbers_by_their_names():
    assert [number(k, 4096) for k in ("hidden_size", "intermediate_size", "vocab_size", "unheard_of")] == [
        32, 48, 99, 4096,
    ]  # fmt: skip
    assert number("num_key_value_heads", 8) == 2
    assert number("pad_token_id", 0) == 0
    assert several("hidden_sizes", [96, 192], 0) == [16, 32]


def test_a_list_with_an_item_per_layer_is_as_short_as_the_model():
    found = small({"num_hidden_layers": 12, "rates": list(range(12)), "layer_types": ["a", "b"] * 6})
    assert (found["num_hidden_layers"], found["rates"], found["layer_types"]) == (2, [0, 1], ["a", "b"])
