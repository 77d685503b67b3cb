"""Tickets against the plain loop of one network; what rewinding restores; what each control changes and what not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.stacked.test_stack import naive, some

from penjing.errors import DataError, RequestError
from penjing.maths.sparse_masks import fewer_of_rows
from penjing.train.stacked import Course, Stack, draw, perceptron
from penjing.train.stacked.pictures import Parts
from penjing.train.stacked.tickets import Bench, Levels, fewer, one_shot, rankings, reinit, shuffled, tickets

SEEDS = (0, 5)


def bench(**more):
    course = Course(steps=12, batch=7, learning_rate=0.01)
    parts = Parts(some(30, 5), some(20, 5, seed=1), some(20, 5, seed=2), 4)
    return Bench(network=perceptron((5, 6, 4)), parts=parts, course=course, **{"early": 3, "every": 4, **more})


def naive_fewer(row, kept, rate):
    """Sort what is left by size, take the smallest away one by one."""
    left = sorted((abs(float(row[i])), i) for i in range(len(row)) if kept[i])
    out = list(kept)
    for _, i in left[: round(rate * len(left))]:
        out[i] = False
    return out


@given(
    rows=st.integers(1, 4), columns=st.integers(1, 12), rate=st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    seed=st.integers(0, 99), share=st.sampled_from([0.3, 1.0]),
)  # fmt: skip
def test_fewer_equals_the_loop_with_ties_too(rows, columns, rate, seed, share):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (rows, columns), generator=generator).float()
    order = torch.rand(rows, columns, generator=generator).argsort(1)
    kept = order < max(1, round(share * columns))
    found = fewer_of_rows(scores, kept, rate)
    for i in range(rows):
        assert found[i].tolist() == naive_fewer(scores[i], kept[i].tolist(), rate)


def test_rows_that_keep_different_numbers_are_refused():
    with pytest.raises(DataError, match="rows keep 1 to 2 weights"):
        fewer_of_rows(torch.zeros(2, 2), torch.tensor([[True, True], [True, False]]), 0.5)


def naive_tickets(of, levels, seed):
    """The algorithm for one network: train, prune what is left, rewind."""
    network, examples, course = of.network, of.parts.train, of.course
    first = draw(network, (seed,), of.first)[0]
    at = Course(**{**vars(course)})
    begin = first
    if levels.rewind:
        begin = early_values(network, first, examples, at, seed, levels.rewind)
    mask, masks = torch.ones_like(first, dtype=torch.bool), []
    values, _ = naive(network, first, examples, course, seed)
    for _ in range(levels.count):
        mask = mask.clone()
        for columns, rate in rankings(network, levels):
            mask[columns] = torch.tensor(naive_fewer(values[columns], mask[columns].tolist(), rate))
        masks.append(mask)
        values, _ = naive(network, begin, examples, course, seed, mask=mask, start=levels.rewind)
    return masks, values


def early_values(network, first, examples, course, seed, steps):
    stack = Stack(network, first[None])
    from penjing.train.stacked import fit

    fit(stack, examples, course, (seed,), until=steps)
    return stack.values[0].detach()


@pytest.mark.parametrize(
    "levels",
    [Levels(count=4), Levels(count=3, rate=0.5, last_rate=0, rewind=2), Levels(count=3, rate=0.4, is_global=True)],
    ids=["by layer", "late, last whole", "global"],
)
def test_tickets_are_those_of_the_loop(levels):
    of = bench()
    masks, found = tickets(of, levels, SEEDS)
    assert len(masks) == len(found) == levels.count + 1
    for i, seed in enumerate(SEEDS):
        own, values = naive_tickets(of, levels, seed)
        assert [torch.equal(m[i], o) for m, o in zip(masks[1:], own, strict=True)] == [True] * levels.count
        torch.testing.assert_close(found[-1].values[i], values, rtol=1e-5, atol=1e-5)


def test_rewinding_restores_the_first_values_exactly():
    of = bench()
    seen = []
    train = Bench.train

    def spied(self, values, masks, seeds, start=0):
        seen.append(values.clone())
        return train(self, values, masks, seeds, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "train", spied)
        tickets(of, Levels(count=3), SEEDS)
    assert all(torch.equal(values, draw(of.network, SEEDS)) for values in seen)


@settings(deadline=None, max_examples=10)
@given(count=st.integers(1, 5), is_global=st.booleans())
def test_controls_keep_as_much_and_something_else(count, is_global):
    of, levels = bench(), Levels(count=count, rate=0.3, is_global=is_global)
    masks, found = tickets(of, levels, SEEDS)
    used = {}
    train = Bench.train

    def spied(self, values, given, seeds, start=0):
        used[name] = (values, given, start)
        return train(self, values, given, seeds, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bench, "train", spied)
        name = "reinit"
        reinit(of, masks[1:], SEEDS)
        name = "random"
        shuffled(of, levels, masks[1:], SEEDS)
        name = "one shot"
        one_shot(of, levels, masks[1:], found[0].values, SEEDS)
    wanted, first = torch.cat(masks[1:]), draw(of.network, SEEDS).repeat(count, 1)
    assert torch.equal(used["reinit"][1], wanted)
    assert not (used["reinit"][0] == first)[:, :30].any()
    places = Stack(of.network, first).places()
    for kind in ("random", "one shot"):
        values, given, _ = used[kind]
        assert torch.equal(values, first)
        assert torch.equal(given.sum(1), wanted.sum(1))
    for part in places.values():
        assert torch.equal(used["random"][1][:, part].sum(1), wanted[:, part].sum(1))
    assert torch.equal(used["one shot"][1][: len(SEEDS)], masks[1]), "the first level is chosen by the same training"


def test_what_is_looked_at_on_the_way():
    of = bench()
    _, (whole, *_) = tickets(of, Levels(count=0), SEEDS)
    assert set(whole.stop.tolist()) <= {4.0, 8.0, 12.0}
    end = whole.stop == 12
    assert torch.equal(whole.at_stop[end], whole.accuracy[end])
    assert whole.early.shape == (2,)


def test_density_falls_by_the_rates():
    network = perceptron((50, 40, 10))
    values = draw(network, (0,))
    masks = torch.ones_like(values, dtype=torch.bool)
    for _ in range(3):
        masks = fewer(network, values, masks, Levels())
    places = Stack(network, values).places()
    assert int(masks[0, places["1.weight"]].sum()) == 1024
    assert int(masks[0, places["3.weight"]].sum()) == 292  # 400, 360, 324, 292 after rounding
    assert masks[0, places["1.bias"]].all()
    with pytest.raises(RequestError, match="between 0 and 1"):
        Levels(rate=1.0)
