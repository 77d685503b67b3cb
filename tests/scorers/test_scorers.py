"""Scores of examples: against loops, the right way round, and what is kept by them."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from penjing.core import ExampleView, Trained
from penjing.errors import BudgetError, DataError, UnsupportedError
from penjing.maths.clusters import spherical
from penjing.scorers import SCORERS, trains
from penjing.select.examples import kept_examples
from penjing.train.stacked import Course
from penjing.train.stacked.examples import Examples
from penjing.train.stacked.watching import watched

LOOKS = torch.tensor([[[1, 0, 1, 0], [1, 1, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]]]).bool()


def trained():
    error = torch.tensor([[0.1, 0.9, 0.5, 1.2], [0.3, 0.7, 0.5, 1.0]])
    return Trained(right=LOOKS, error=error, margin=torch.tensor([[3.0, 0.5, -1.0, -4.0]]))


def seen(**more):
    return ExampleView(features=torch.eye(4), labels=torch.arange(4) % 2, classes=2, trained=trained(), **more)


def test_forgetting_counts_what_was_right_and_is_not_any_more():
    loop = []
    for i in range(4):
        column = LOOKS[0, :, i].tolist()
        lost = sum(a and not b for a, b in pairwise(column))
        loop.append(float(len(column)) if not any(column) else float(lost))
    assert SCORERS.build("forgetting").score(seen()).tolist() == loop == [1.0, 0.0, 1.0, 4.0]


def test_el2n_is_the_mean_over_networks_and_margin_turns_its_sign():
    assert SCORERS.build("el2n").score(seen()).tolist() == pytest.approx([0.2, 0.8, 0.5, 1.1])
    assert SCORERS.build("margin").score(seen()).tolist() == [-3.0, -0.5, 1.0, 4.0]


def planted():
    """Three tight clusters of 20, copies of one row, and one row that is like none of them."""
    g = torch.Generator().manual_seed(0)
    centres = torch.eye(8)[:3]
    rows = torch.cat([c + 0.1 * torch.randn(20, 8, generator=g) for c in centres])
    copies = centres[:1].repeat(15, 1)
    odd = torch.eye(8)[5:6]
    return torch.cat([rows, copies, odd]), torch.tensor([0] * 20 + [1] * 20 + [2] * 20 + [0] * 15 + [1])


@pytest.mark.parametrize("by_class", [False, True])
def test_copies_score_lowest_and_what_is_like_nothing_highest(by_class):
    rows, labels = planted()
    view = ExampleView(features=rows, labels=labels, classes=3)
    found = SCORERS.build("prototypes", {"by_class": by_class}).score(view)
    assert int(found.argmax()) == 75
    assert float(found[60:75].max()) < float(found[:60].median())


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 14), width=st.integers(1, 4), count=st.integers(1, 5), seed=st.integers(0, 99))
def test_clusters_are_settled_and_none_is_empty(n, width, count, seed):
    rows = normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(seed)).double(), dim=1)
    if count > n:
        with pytest.raises(DataError, match="needed one cluster or more, and as many rows"):
            spherical(rows, count)
        return
    found = spherical(rows, count, restarts=2, seed=seed)
    assert sorted(set(found.member.tolist())) == list(range(count))
    cost = 0.0
    for i, row in enumerate(rows):
        cost += 1 - float(row @ found.centres[found.member[i]])
    assert found.cost == pytest.approx(cost, abs=1e-9)


def naive_kept(scores, keep, end, labels, floor):
    """Quotas first, each class's own best; then the best of what is left."""
    places = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    places = places if end == "hard" else places[::-1]
    wanted, taken = round(keep * len(scores)), []
    for one in sorted(set(labels)):
        own = [i for i in places if labels[i] == one]
        quota = floor * keep * len(own)
        taken += own[: int(quota) + (quota > int(quota) + 1e-9)]
    taken = taken[:wanted]
    for i in places:
        if len(taken) < wanted and i not in taken:
            taken.append(i)
    return sorted(taken)


@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2)), min_size=4, max_size=20),
    keep=st.sampled_from([0.3, 0.5, 0.8, 1.0]), end=st.sampled_from(["hard", "easy"]),
    floor=st.sampled_from([0.0, 0.5, 1.0]),
)  # fmt: skip
def test_what_is_kept_is_what_the_loop_keeps(rows, keep, end, floor):
    scores, labels = [float(s) for s, _ in rows], [c for _, c in rows]
    found = kept_examples(torch.tensor(scores), keep, end=end, labels=torch.tensor(labels), floor=floor)
    assert found.tolist() == naive_kept(scores, keep, end, labels, floor)


def test_the_hardest_can_be_left_out_as_suspects():
    found = kept_examples(torch.arange(10.0), 0.3, trim=0.2)
    assert found.tolist() == [5, 6, 7]
    with pytest.raises(BudgetError, match="leaves none"):
        kept_examples(torch.arange(10.0), 0.01)


def test_networks_are_watched_as_they_learn():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    inputs = torch.nn.functional.one_hot(labels, 4).float() * 3 + 0.3 * torch.randn(60, 4, generator=g)
    wrong = labels.clone()
    wrong[0] = 1
    found = watched(Examples(inputs, wrong), Course(steps=100, batch=20), range(2))
    assert found.right.shape == (2, 20, 60)
    assert found.error.shape == found.margin.shape == (2, 60)
    assert int(found.margin.mean(0).argmin()) == 0, "the example with a wrong label is behind the most"
    assert bool(found.right[:, -1, 1:].all())


def test_scores_that_need_labels_say_so():
    view = ExampleView(features=torch.eye(3))
    for name in SCORERS.names():
        if trains(name):
            with pytest.raises(UnsupportedError, match="needs labels"):
                SCORERS.build(name).score(view)
        else:
            assert SCORERS.build(name).score(view).shape == (3,)
