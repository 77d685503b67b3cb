"""How a tournament is shown: a tie is called a tie, names are escaped, and nothing is shown where there was none."""

import pytest

from penjing.core import Measurement, Report, Subject
from penjing.report.auto import tournament_lines
from penjing.report.page import page
from penjing.report.views import tournament


def standing(name, increase, verdict, **more):
    return {
        "name": name, "loss": 3 + increase, "increase": [increase, increase - 0.1, increase + 0.1], "behind": None,
        "behind_p": None, "over": [-0.2, -0.3, -0.1], "over_p": 0.001, "verdict": verdict,
        "against": "better than random", "seconds": 1.5, **more,
    }  # fmt: skip


@pytest.fixture
def made():
    return {
        "method": "maw",
        "tournament": {
            "objective": "loss",
            "unpruned": 3.0,
            "random": [3.8, 3.9],
            "held out": {"rows": 24, "length": 512},
            "standings": [
                standing("maw", 0.2, "best"),
                standing("vow<b>", 0.21, "tie", behind=[0.01, -0.02, 0.04], behind_p=0.5),
                standing("pon", 0.9, "worse", behind=[0.7, 0.6, 0.8], behind_p=0.0002, against="worse than random"),
            ],
            "left out": {"taylor": "the time was over before its turn"},
        },
    }


def test_a_tie_is_called_a_tie(made):
    found = tournament(made)
    assert "ties with vow<b>" in found.said
    assert [r.verdict for r in found.rows] == ["lowest loss", "tie with the best", "worse than the best"]
    assert found.rows[2].behind_p == "< 0.001"


def test_places_lie_in_the_drawing_and_in_order(made):
    found = tournament(made)
    for row in found.rows:
        assert 0 <= row.left < row.middle < row.right <= 100
    assert 0 <= found.zero < found.rows[0].middle
    assert len(found.random) == 2
    assert found.rows[0].middle < found.random[0] < found.random[1]


def test_a_winner_that_is_no_better_than_chance_is_said_to_be_so(made):
    made["tournament"]["standings"][0]["against"] = "tie with random"
    assert "not clearly better than random choice" in tournament(made).said


def test_the_page_shows_it_once_and_escapes_names(made):
    subjects = tuple(
        Subject(name=n, source=n, figures=(Measurement(name="parameters", value=v, unit="parameters"),))
        for n, v in (("a", 100), ("b", 50))
    )
    text = page(Report(title="t", subjects=subjects, provenance=made), charts=False)
    assert text.count('<h2 id="tournament">') == 1
    assert "vow&lt;b&gt;" in text.split("<script")[1]
    assert "the time was over before its turn" in text
    assert "<dt>Tournament</dt>" not in text
    without = page(Report(title="t", subjects=subjects, provenance={"method": "maw"}), charts=False)
    assert 'id="tournament"' not in without


def test_the_terminal_names_all(made):
    from rich.console import Console, Group

    console = Console(width=140)
    with console.capture() as caught:
        console.print(Group(*tournament_lines(made)))
    text = caught.get()
    assert all(word in text for word in ("maw", "vow<b>", "pon", "tie with the best", "taylor had no turn"))
    assert not list(tournament_lines({"method": "maw"}))
