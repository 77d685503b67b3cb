"""The parts of the loop, each against the plain way to compute it."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from penjing import layouts
from penjing.calibrate.objectives import objective
from penjing.core import Budget
from penjing.errors import RequestError
from penjing.io import open_checkpoint
from penjing.train.average import Average
from penjing.train.log import Pace, StepLog
from penjing.train.loop import fit, in_turn, seeded, size_of, unit_of
from penjing.train.run import Run
from penjing.train.schedule import rate
from penjing.train.settings import Settings, settings_from


def run_of(module, steps=8, rate=0.1, **how):
    layout = layouts.from_module(module, torch.zeros(2, 3))
    return Run(module=module, model=open_checkpoint(module), layout=layout, budget=Budget(keep=1.0), steps=steps,
               learning_rate=rate, how=Settings(**how))  # fmt: skip


def line():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def batches(count=4):
    g = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 3, generator=g), torch.randint(2, (6,), generator=g)) for _ in range(count)]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_every_schedule_stays_within_0_and_1_and_ends_low(schedule, steps):
    rates = [rate(s, steps, Settings(schedule=schedule, lowest=0.1)) for s in range(steps)]
    assert all(0 < r <= 1 for r in rates)
    top = rates.index(max(rates))
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[:top] == sorted(rates[:top])
    if steps == 100:
        assert max(rates) > 0.99
        assert rates[-1] == pytest.approx(0.1, abs=0.05)


@given(st.integers(1, 12), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 99))
def test_the_mean_over_the_last_steps_is_the_mean(steps, share, seed):
    g = torch.Generator().manual_seed(seed)
    values = torch.randn(steps, 3, generator=g)
    average = Average(Settings(average=share), steps)
    for i, value in enumerate(values):
        average.take(i + 1, {"x": value})
    count = max(1, round(share * steps))
    assert average.count == count
    torch.testing.assert_close(average.held["x"], values[-count:].mean(0), rtol=1e-5, atol=1e-6)  # order of sums


def test_the_moving_average_is_the_recursion():
    values, average, wanted = torch.randn(9, 4), Average(Settings(ema=0.7), 9), None
    for i, value in enumerate(values):
        average.take(i + 1, {"x": value, "count": torch.tensor(i)})
        wanted = value if wanted is None else 0.7 * wanted + 0.3 * value
    torch.testing.assert_close(average.held["x"], wanted)
    assert set(average.held) == {"x"}


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_gathered_batches_are_one_large_batch(optimiser):
    """Whole numbers of examples in each, so that the mean of means is the mean."""
    small, large, given_ = line(), line(), batches(2)
    one, other = run_of(small, optimiser=optimiser, accumulate=2), run_of(large, optimiser=optimiser)
    for x, y in given_:
        one.gather(F.cross_entropy(small(x), y))
    one.descend()
    other.descend(F.cross_entropy(large(torch.cat([x for x, _ in given_])), torch.cat([y for _, y in given_])))
    for a, b in zip(small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # sums in another order
    assert one.losses[0] == pytest.approx(other.losses[0], rel=1e-5)


def test_sgd_is_the_formula_of_the_text_book():
    module, reference = line(), line()
    run = run_of(module, steps=1, optimiser="sgd", momentum=0.0, warm=0.0, last=0.0, clip=0.0)
    (x, y), *_ = batches()
    F.cross_entropy(reference(x), y).backward()
    run.descend(F.cross_entropy(module(x), y))
    for a, b in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b - 0.1 * b.grad)


def test_gradients_are_scaled_down_to_the_norm():
    module, reference = line(), line()
    run = run_of(module, steps=1, optimiser="sgd", momentum=0.0, warm=0.0, last=0.0, clip=0.01)
    (x, y), *_ = batches()
    F.cross_entropy(reference(x), y).backward()
    norm = torch.cat([p.grad.flatten() for p in reference.parameters()]).norm()
    run.descend(F.cross_entropy(module(x), y))
    assert run.norm == pytest.approx(float(norm), rel=1e-5)
    for a, b in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b - 0.1 * 0.01 * b.grad / norm, rtol=1e-4, atol=1e-7)  # a tiny number beside it


def test_gains_and_biases_do_not_decay():
    module = line()
    before = [p.detach().clone() for p in module.parameters()]
    run = run_of(module, steps=1, weight_decay=0.5, warm=0.0, last=0.0)
    run.descend(sum(p.sum() * 0 for p in module.parameters()))
    for old, new in zip(before, module.parameters(), strict=True):
        torch.testing.assert_close(new, old * (1 - 0.1 * 0.5) if old.ndim > 1 else old)


def test_smoothed_labels_are_shared_by_all_classes():
    logits, targets = torch.randn(5, 7), torch.randint(7, (5,))
    found = objective("loss", smoothing=0.2)(logits, (torch.zeros(5, 1), targets))
    wanted = torch.full((5, 7), 0.2 / 7)
    wanted[torch.arange(5), targets] += 0.8
    torch.testing.assert_close(found, -(wanted * logits.log_softmax(1)).sum(1).mean())
    ids, words = torch.randint(7, (2, 4)), torch.randn(2, 4, 7)
    found = objective("loss", smoothing=0.2)(words, ids)
    each = [-(0.8 * w.log_softmax(0)[i] + 0.2 * w.log_softmax(0).mean()) for row, to in zip(words, ids, strict=True)
            for w, i in zip(row[:-1], to[1:], strict=True)]  # fmt: skip
    torch.testing.assert_close(found, torch.stack(each).mean())


def test_it_stops_early_with_the_best_weights():
    module, given_ = line(), batches()
    run = run_of(module, steps=20, rate=0.0, patience=3)
    losses, seen = iter([5.0, 4.0, 4.5, 4.5, 4.6, 1.0]), []

    def held_out():
        with torch.no_grad():
            module[0].bias += 1.0
        seen.append(module[0].bias.detach().clone())
        return next(losses)

    with seeded(run):
        fit(run, given_, lambda i: F.cross_entropy(module(given_[i][0]), given_[i][1]), held_out=held_out)
    assert [loss for _, loss in run.held_out] == [5.0, 4.0, 4.5, 4.5, 4.6]
    assert run.is_worn
    assert torch.equal(module[0].bias, seen[1])


def test_the_order_takes_every_batch_once_and_then_again():
    turns = in_turn(5, seed=2)
    first, second = ([next(turns) for _ in range(5)] for _ in range(2))
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second


def test_padding_is_not_counted():
    ids = torch.ones(2, 5, dtype=torch.long)
    mask = ids.clone()
    mask[1, 3:] = 0
    assert size_of({"input_ids": ids, "attention_mask": mask}) == 8
    assert unit_of(ids) == "tokens"
    assert (size_of((torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))), unit_of(torch.zeros(3, 2))) == (
        3, "examples",
    )  # fmt: skip


def test_the_log_has_a_line_for_each_step(tmp_path):
    module, given_ = line(), batches()
    run = run_of(module, steps=6)
    with seeded(run):
        log = StepLog(tmp_path / "l.jsonl")
        fit(run, given_, lambda i: F.cross_entropy(module(given_[i][0]), given_[i][1]), log=log)
    lines = [json.loads(text) for text in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert [told["step"] for told in lines] == [1, 2, 3, 4, 5, 6]
    assert [told["loss"] for told in lines] == run.losses
    assert {"norm", "rate", "examples_per_second", "seconds"} <= set(lines[0])


def test_the_pace_is_shown_beside_the_bar(monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr("penjing.train.log.time.monotonic", lambda: now[0])
    pace = Pace(lambda *told: said.append(told), 0, 10, "tokens")
    for step in (1, 2):
        now[0] += 4.0
        told = pace.tell(step, 400)
    assert told == {"tokens_per_second": 100.0, "seconds": 8.0}
    assert said[-1] == ("training · 100 tokens/s, 0:32 left", 2, 10)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"warmth": 1}, "no setting 'warmth'; did you mean 'warm'"),
        ({"optimiser": "adam"}, "one of adamw, sgd"),
        ({"average": 1.5}, "needed 0 up to 1"),
        ({"accumulate": 0}, "needed 1 or more"),
        ({"accumulate": 1.5}, "needed a whole number"),
        ({"ema": 1.0}, "below 1"),
        ({"betas": [0.9]}, "needed two numbers"),
        ({"clip": "no"}, "needed a number"),
        ({"average": 0.5, "ema": 0.5}, "one of the two"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(given_, said):
    with pytest.raises(RequestError, match=said):
        settings_from(given_)
