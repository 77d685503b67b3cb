"""The page, the card and the terminal table, as text."""

import re
from io import StringIO

import pytest
import samples

from penjing.report import card, page, table
from penjing.report.picture import picture


@pytest.mark.parametrize("name", samples.ALL)
def test_a_page_asks_nothing_of_the_network(name):
    text = page(samples.ALL[name])
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//|url\(|@import", text.split("All data of this page")[0])


def test_hostile_names_stay_text():
    text = page(samples.HOSTILE)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<img" not in card(samples.HOSTILE)


def test_missing_is_missing_and_never_zero():
    text = page(samples.WITHHELD)
    assert "not measured: no text was given" in text
    assert "withheld: the A/A null" in text
    assert not re.search(r">\s*0(\.0+)?\s*<", text.split("Widths as a table")[0])


def test_prediction_and_null_stand_beside_the_measured_ratio():
    text = page(samples.FULL)
    for shown in (
        "0.853\u00a0± 0.008",
        "0.861",
        "bytes read per token",
        "1.001\u00a0± 0.006",
        "0.852",
        "multiply-adds",
    ):
        assert shown.replace("\u00a0", " ") in text.replace("\u00a0", " ")


def test_several_models_are_drawn_against_the_original():
    text = page(samples.FOUR)
    assert text.count('class="spot"') == 4
    assert 'class="guide"' in text
    assert 'class="spot"' not in page(samples.WITHHELD)


def test_the_picture_has_a_bar_for_each_block():
    drawn = picture(samples.DEEP)
    assert drawn is not None
    neurons = next(p for p in drawn.panels if p.label == "Neurons")
    assert neurons.strips[0].before.count("M") == 120
    assert neurons.strips[0].after.count("M") == 112


def test_the_card_leaves_out_what_is_not_known():
    text = card(samples.FULL)
    assert "license:" not in text
    assert "base_model:" not in text
    assert "licence was not stated" in text
    full = card(samples.FULL, model_id="me/small", base="them/big", licence="Apache-2.0")
    assert 'license: "apache-2.0"\nlibrary_name: "transformers"\nbase_model: "them/big"' in full
    assert "4-bit once" in full
    assert 'folder = "me/small"' in full


@pytest.mark.parametrize("name", samples.ALL)
def test_every_report_fits_a_terminal(name):
    from rich.console import Console

    out = StringIO()
    Console(file=out, width=100).print(table(samples.ALL[name]))
    assert len(out.getvalue().splitlines()) > 3
