"""Two models on the same items."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core import Measurement, Subject
from penjing.errors import MeasureError
from penjing.evaluate.statistics import (
    Draws,
    at_chance,
    both,
    compare_figures,
    compared_to_json,
    difference,
    differences,
    flips,
    mcnemar,
    own_interval,
    ratio,
    records,
    recovery,
)
from penjing.maths.mcnemar import exact_p

QUICK = Draws(draws=1000)


def answers(correct, *, name="quiz", ids=None, chance=None, protocol="quiz/1", clusters=None):
    correct = [int(c) for c in correct]
    items = {"id": list(range(len(correct))) if ids is None else ids, "correct": correct}
    if clusters is not None:
        items["cluster"] = clusters
    value, n = sum(correct) / len(correct), len(correct)
    return Measurement(
        name=name, value=value, unit="accuracy", better="higher", n=n, chance=chance, protocol=protocol, items=items,
        spread=math.sqrt(value * (1 - value) / max(1, n - 1)), spread_kind="standard error",
    )  # fmt: skip


def text(nll, tokens, *, summed=False):
    total = sum(n * t for n, t in zip(nll, tokens, strict=True))
    column = [n * t for n, t in zip(nll, tokens, strict=True)] if summed else list(nll)
    items = {"id": list(range(len(nll))), "nll": column, "tokens": list(tokens)}
    value = math.exp(total / sum(tokens))
    unit = "perplexity per token"
    return Measurement(name="perplexity", value=value, unit=unit, better="lower", protocol="p/1", items=items)


def subject(*figures, name="m"):
    return Subject(name=name, source="", figures=figures)


def coins(n, share, seed):
    return (torch.rand(n, generator=torch.Generator().manual_seed(seed)) < share).tolist()


columns = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=25)


@settings(max_examples=25)
@given(columns)
def test_flips_and_mcnemar_equal_counting(pairs):
    one, two = zip(*pairs, strict=True)
    pair = both(answers(one), answers(two))
    lost = sum(a and not b for a, b in pairs)
    gained = sum(b and not a for a, b in pairs)
    found = flips(pair)
    assert (found.lost, found.gained, found.n) == (lost, gained, len(pairs))
    assert found.share == pytest.approx((lost + gained) / len(pairs))
    assert found.agreement == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert mcnemar(pair)[0] == exact_p(lost, gained)
    assert difference(pair, Draws(draws=50)).value == pytest.approx((gained - lost) / len(pairs))


@settings(max_examples=15)
@given(columns, st.randoms())
def test_the_order_of_items_does_not_matter(pairs, random):
    one, two = zip(*pairs, strict=True)
    order = list(range(len(two)))
    random.shuffle(order)
    mixed = answers([two[i] for i in order], ids=order)
    assert flips(both(answers(one), mixed)) == flips(both(answers(one), answers(two)))


def test_accuracy_can_stay_while_items_flip():
    found = flips(both(answers([1, 1, 0, 0]), answers([0, 1, 1, 0])))
    assert (found.share, found.agreement) == (0.5, 0.5)


@pytest.mark.parametrize("summed", [False, True])
def test_the_ratio_of_perplexities_equals_the_loop(summed):
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 50, (30,), generator=g).tolist()
    base = (2 + torch.rand(30, generator=g, dtype=torch.float64)).tolist()
    gaps = (0.1 + 0.05 * torch.randn(30, generator=g, dtype=torch.float64)).tolist()
    other = [b + d for b, d in zip(base, gaps, strict=True)]
    found = ratio(both(text(base, tokens, summed=summed), text(other, tokens, summed=summed)), QUICK)
    mean = sum(d * t for d, t in zip(gaps, tokens, strict=True)) / sum(tokens)
    assert found.value == pytest.approx(math.exp(mean))
    assert found.interval.low < found.value < found.interval.high
    # what both find hard cancels: the interval is that of the gaps, not of the texts
    assert found.interval.high / found.interval.low < 1.06
    assert found.p < 0.01


def test_losses_in_details_stand_in_for_items():
    made = text([2.0, 2.5], [10, 20])
    told = Measurement(
        name="perplexity", value=made.value, unit="perplexity per token", protocol="p/1",
        details={"nll": [2.0, 2.5], "tokens": [10, 20]},
    )  # fmt: skip
    assert torch.equal(records(told).rows, records(made).rows)


def test_the_intervals_of_both_figures_cover_the_truth():
    g, hits = torch.Generator().manual_seed(0), 0
    for i in range(200):
        one = torch.rand(80, generator=g) < 0.6
        # of the right ones a sixth is lost, of the wrong ones an eighth gained: 0.6 becomes 0.55
        luck = torch.rand(80, generator=g)
        two = torch.where(one, luck > 1 / 6, luck < 1 / 8)
        pair = both(answers(one.tolist()), answers(two.tolist()))
        hits += difference(pair, Draws(draws=400, seed=i)).interval.holds(-0.05)
    assert 0.88 <= hits / 200 <= 0.99


def test_clusters_are_drawn_whole():
    flat = [1, 0] * 20
    clustered = both(
        answers([1] * 200, clusters=[i // 5 for i in range(200)]),
        answers([flat[i // 5] for i in range(200)], clusters=[i // 5 for i in range(200)]),
    )
    plain = both(answers([1] * 200), answers([flat[i // 5] for i in range(200)]))
    wide, narrow = difference(clustered, QUICK), difference(plain, QUICK)
    assert (wide.units, narrow.units) == (40, 200)
    widths = [d.interval.high - d.interval.low for d in (wide, narrow)]
    assert widths[0] / widths[1] == pytest.approx(5**0.5, rel=0.2)
    with pytest.raises(MeasureError, match="items come in clusters"):
        mcnemar(clustered)


def test_recovery_counts_from_chance():
    base, other = answers(coins(400, 0.75, 0), chance=0.25), answers(coins(400, 0.5, 1), chance=0.25)
    found = recovery(both(base, other), 0.25, QUICK)
    assert found.value == pytest.approx((other.value - 0.25) / (base.value - 0.25))
    assert found.interval.low < 0.5 < found.interval.high
    assert found.p < 0.01
    with pytest.raises(MeasureError, match="nothing to recover"):
        recovery(both(answers([1, 0, 0, 0] * 10), answers([1, 0] * 20)), 0.25, QUICK)


def test_other_items_are_refused_with_their_counts():
    with pytest.raises(MeasureError, match=r"1 items only in the first, 2 only in the second and 2 in both"):
        both(answers([1, 0, 1], ids=["a", "b", "c"]), answers([1, 0, 1, 0], ids=["b", "c", "d", "e"]))


def test_other_protocols_are_refused():
    with pytest.raises(MeasureError, match="needs the same protocol"):
        both(answers([1, 0]), answers([1, 0], protocol="quiz/2"))


def test_broken_items_are_refused():
    with pytest.raises(MeasureError, match="3 ids, only 2 of them different"):
        records(answers([1, 0, 1], ids=["a", "a", "b"]))
    with pytest.raises(MeasureError, match="2 ids, but 3 entries of 'correct'"):
        records(answers([1, 0, 1], ids=["a", "b"]))


def test_a_column_that_does_not_give_the_figure_is_not_taken_for_it():
    wrong = Measurement(name="ece", value=0.2, unit="", items={"id": [1, 2], "correct": [1, 0], "score": [0.3, 0.9]})
    assert records(wrong) is None
    other = Measurement(name="acc_norm", value=0.5, unit="", items={"id": [1, 2], "correct": [1, 1], "normed": [1, 0]})
    assert records(other).sums.tolist() == [1, 0]
    bits = Measurement(
        name="bits_per_byte", value=3 / 4 / math.log(2), unit="", items={"id": [1, 2], "nll": [1, 2], "bytes": [2, 2]}
    )
    assert records(bits).kind == "mean"


def test_a_table_of_all_figures():
    base = subject(
        answers(coins(300, 0.8, 0), name="good", chance=0.25),
        answers(coins(300, 0.25, 1), name="noise", chance=0.25),
        text([2.0 + i % 3 / 10 for i in range(40)], [20] * 40),
        answers(coins(300, 0.6, 2), name="same"),
        answers([1, 0], name="absent"),
        Measurement(name="bytes", value=100, unit="bytes", n=1),
    )
    other = subject(
        answers(coins(300, 0.5, 5), name="good", chance=0.25),
        answers(coins(300, 0.25, 6), name="noise", chance=0.25),
        text([1.9 + i % 3 / 10 + i % 2 / 100 for i in range(40)], [20] * 40),
        answers(coins(300, 0.6, 2), name="same"),
    )
    rows = {r.name: r for r in compare_figures(base, other, how=QUICK)}
    assert {n: r.verdict for n, r in rows.items()} == {
        "good": "worse", "noise": "at chance", "perplexity": "better", "same": "no difference shown",
        "absent": "not compared",
    }  # fmt: skip
    assert rows["good"].test == "McNemar, exact"
    assert rows["good"].p <= rows["good"].p_holm <= 4 * rows["good"].p
    assert rows["good"].flips.share > 0.3
    assert 0 < rows["good"].recovery < 1
    assert rows["noise"].recovery is None
    assert "nothing to recover" in rows["noise"].note
    assert rows["perplexity"].ratio == pytest.approx(math.exp(-0.095))
    assert rows["same"].p == 1
    assert rows["same"].interval == (0, 0)
    assert rows["absent"].note == "the other model has no such figure"
    told = json.loads(json.dumps(compared_to_json(list(rows.values())), allow_nan=False))
    assert told[0]["flips"]["agreement"] == pytest.approx(1 - rows["good"].flips.share)


def test_the_same_answers_under_two_names_are_one_test():
    base = subject(
        answers(coins(100, 0.9, 0)),
        answers(coins(100, 0.9, 0), name="more:clean"),
        answers(coins(100, 0.8, 2), name="more"),
    )
    other = subject(
        answers(coins(100, 0.6, 1)),
        answers(coins(100, 0.6, 1), name="more:clean"),
        answers(coins(100, 0.6, 3), name="more"),
    )
    first, again, more = compare_figures(base, other, how=QUICK)
    assert (again.p, again.p_holm, again.verdict) == (None, None, "not compared")
    assert again.note == "the same answers as quiz, which is tested"
    # Holm over two tests, not three
    assert min(first.p_holm, more.p_holm) == pytest.approx(2 * min(first.p, more.p))


def test_a_figure_of_other_items_does_not_cost_the_table():
    base = subject(answers([1, 0, 1], ids=["a", "b", "c"]), answers(coins(90, 0.9, 0), name="more"))
    other = subject(answers([1, 0, 1], ids=["b", "c", "d"]), answers(coins(90, 0.5, 1), name="more"))
    first, second = compare_figures(base, other, how=QUICK)
    assert (first.verdict, first.p) == ("not compared", None)
    assert "1 items only in the first" in first.note
    assert second.verdict == "worse"


def test_the_rows_become_figures_of_a_report():
    base, other = subject(answers(coins(100, 0.9, 0))), subject(answers(coins(100, 0.5, 1)))
    (row,) = compare_figures(base, other, how=QUICK)
    (told,) = differences([row], base="a", other="b", how=QUICK)
    assert (told.name, told.value, told.unit, told.n) == ("quiz_difference", row.difference, "accuracy", 100)
    assert told.details["flips"] == {"lost": row.flips.lost, "won": row.flips.gained}
    assert told.details["subject"] == "b"
    assert told.details["verdict"] == "worse"
    assert "McNemar" in told.protocol
    assert "draws=1000" in told.protocol
    (absent,) = differences(compare_figures(base, subject()), base="a", other="b")
    assert (absent.value, absent.details["interval"], absent.note) == (None, None, "the other model has no such figure")


def test_pairs_as_ids_survive_json():
    lists = answers([1, 0], ids=[["fog", 1], ["fog", 2]])
    tuples = answers([1, 1], ids=[("fog", 2), ("fog", 1)])
    assert flips(both(lists, tuples)).gained == 1


def test_without_items_the_standard_errors_are_used_as_of_two_samples():
    def figure(value, spread, kind="standard error"):
        return Measurement(
            name="accuracy", value=value, unit="accuracy", better="higher", spread=spread, spread_kind=kind, chance=0.0
        )

    (row,) = compare_figures(subject(figure(0.6, 0.03)), subject(figure(0.5, 0.04)))
    # z = 0.1 / 0.05 = 2
    assert row.p == pytest.approx(0.0455, abs=1e-4)
    assert row.interval == pytest.approx((-0.1 - 1.96 * 0.05, -0.1 + 1.96 * 0.05), abs=1e-4)
    assert (row.verdict, row.test) == ("worse", "two standard errors, unpaired")
    assert "not be paired" in row.note
    (row,) = compare_figures(subject(figure(0.6, 0.03)), subject(figure(0.5, 0.04, kind="")))
    assert (row.verdict, row.p) == ("not compared", None)


def test_many_comparisons_make_each_more_cautious():
    lost = [0] * 7 + [1] * 93
    (alone,) = compare_figures(subject(answers([1] * 100)), subject(answers(lost)), how=QUICK)
    assert (alone.p, alone.verdict) == (2 / 2**7, "worse")
    names = [f"q{i}" for i in range(10)]
    many = compare_figures(
        subject(*(answers([1] * 100, name=n) for n in names)),
        subject(answers(lost, name="q0"), *(answers([1] * 100, name=n) for n in names[1:])),
        how=QUICK,
    )
    assert many[0].p_holm == pytest.approx(10 * alone.p)
    assert {r.verdict for r in many} == {"no difference shown"}


def test_other_protocols_are_a_row_that_says_so():
    (row,) = compare_figures(subject(answers([1, 0])), subject(answers([1, 0], protocol="quiz/2")))
    assert row.verdict == "not compared"
    assert "quiz/2" in row.note


def test_one_window_has_no_interval():
    (row,) = compare_figures(subject(text([2.0], [9])), subject(text([2.5], [9])))
    assert (row.interval, row.p, row.verdict) == (None, None, "not compared")
    assert row.ratio == pytest.approx(math.exp(0.5))
    assert own_interval(records(text([2.0], [9]))) is None


def test_at_chance_needs_a_chance_level_and_an_interval():
    assert at_chance(answers([1, 0] * 50)) is None
    assert at_chance(answers([1, 0] * 50, chance=0.5))
    assert not at_chance(answers([1, 0] * 50, chance=0.25))
    assert at_chance(Measurement(name="a", value=0.5, unit="", chance=0.5)) is None


def test_the_same_seed_gives_the_same_interval():
    pair = both(answers(coins(50, 0.8, 0)), answers(coins(50, 0.6, 1)))
    assert difference(pair, QUICK) == difference(pair, QUICK)
    assert difference(pair, QUICK) != difference(pair, Draws(draws=1000, seed=1))
