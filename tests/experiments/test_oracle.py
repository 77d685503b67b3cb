"""The oracle study: cuts are counted, masks are cuts, and what must hold at no retraining and for noise holds."""

from math import comb

import numpy as np
import pytest
import torch
from torch import nn

from penjing.errors import RequestError
from penjing.experiments import EXPERIMENTS
from penjing.experiments.oracle import summarise
from penjing.train.stacked import Course, Stack, draw, fit, perceptron
from penjing.train.stacked.cuts import cuts, masks_of, rows_of
from penjing.train.stacked.examples import Examples


def test_all_ways_are_counted_and_a_sample_is_distinct_and_repeatable():
    assert len(cuts((10, 10), (2, 0), 500, 0)) == len(set(cuts((10, 10), (2, 0), 500, 0))) == comb(10, 2)
    assert len(cuts((5, 4), (2, 1), 500, 0)) == comb(5, 2) * 4
    drawn = cuts((10, 10), (5, 5), 60, 3)
    assert len(set(drawn)) == 60
    assert drawn == cuts((10, 10), (5, 5), 60, 3) != cuts((10, 10), (5, 5), 60, 4)
    assert all(len(a) == len(b) == 5 and list(a) == sorted(set(a)) for a, b in drawn)
    with pytest.raises(RequestError, match="needed some, and some left"):
        cuts((4,), (4,), 10, 0)


def sliced(values, widths, way):
    """The network that is really smaller, made from the rows and columns that stay."""
    network = perceptron(widths)
    with torch.no_grad():
        at = 0
        for p in network.parameters():
            p.copy_(values[at : at + p.numel()].view(p.shape))
            at += p.numel()
    layers = [m for m in network if isinstance(m, nn.Linear)]
    kept = [
        list(range(widths[0])),
        *([u for u in range(w) if u not in gone] for w, gone in zip(widths[1:], way, strict=False)),
    ]
    kept.append(list(range(widths[-1])))
    small = perceptron([len(k) for k in kept])
    with torch.no_grad():
        for new, old, into, out in zip(
            [m for m in small if isinstance(m, nn.Linear)], layers, kept, kept[1:], strict=False
        ):
            new.weight.copy_(old.weight[out][:, into])
            new.bias.copy_(old.bias[out])
    return small


def test_a_mask_is_the_cut_before_and_after_retraining():
    widths, generator = (6, 5, 4, 3), torch.Generator().manual_seed(0)
    network = perceptron(widths)
    values = draw(network, (0,), "usual")[0]
    ways = [((1, 3), (0,)), ((0, 4), (3,)), ((), (1, 2))]
    stack = Stack(network, values.expand(3, -1), masks_of(network, ways))
    examples = Examples(torch.randn(20, 6, generator=generator), torch.randint(3, (20,), generator=generator))
    before = stack(examples.inputs, shared=True).detach()
    fit(stack, examples, Course(steps=5, batch=5, learning_rate=0.01), (7, 7, 7))
    after = stack(examples.inputs, shared=True).detach()
    for i, way in enumerate(ways):
        small = sliced(values, widths, way)
        torch.testing.assert_close(small(examples.inputs).detach(), before[i])
        rows = torch.cat([p.detach().flatten() for p in small.parameters()])
        own = Stack(small, rows[None])
        fit(own, examples, Course(steps=5, batch=5, learning_rate=0.01), (7,))
        torch.testing.assert_close(own(examples.inputs, shared=True)[0].detach(), after[i], rtol=1e-5, atol=1e-5)


def test_rows_are_those_of_the_units():
    network = perceptron((3, 2, 4))
    values = torch.arange(20.0)
    written, bias, read = rows_of(network, values, 0, every=True)
    assert written.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert bias.tolist() == [[6], [7]]
    assert read.tolist() == [[8, 10, 12, 14], [9, 11, 13, 15]]
    assert len(rows_of(network, values, 0, every=False)) == 2


def test_of_noise_the_anomaly_is_a_half_and_tau_near_none():
    generator, found = torch.Generator().manual_seed(0), []
    for seed in range(30):
        score = torch.randn(60, generator=generator)
        said = summarise(score, torch.rand(2, 1, 3, 60, generator=generator), seed)
        found.append(said["anomaly"][0])
        assert abs(said["tau_accuracy"][0]) < 3 / 60**0.5
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)


def naive_anomaly(score, right):
    best = min(range(len(score)), key=lambda i: score[i])
    return sum(r > right[best] for r in right) / len(right)


@pytest.fixture
def quick(tmp_path):
    draws = np.random.default_rng(0)
    labels = np.arange(150) % 3
    pixels = draws.integers(0, 120, (150, 4, 4), dtype=np.uint8) + (40 * labels)[:, None, None].astype(np.uint8)
    np.savez(tmp_path / "p.npz", x=pixels, y=labels)
    return {
        "images": str(tmp_path / "p.npz"), "hidden": (6,), "gone": 0.34, "pretrain": 60, "steps": (0, 20), "batch": 10,
    }  # fmt: skip


def test_before_retraining_the_oracle_is_always_right_of_the_training_loss(quick):
    found = EXPERIMENTS.build("oracle", quick).run(0)
    assert found["models"] == 2 * comb(6, 2)
    assert found["tau_train_loss"][0] == pytest.approx(1.0)
    assert found["ceiling"][0] == pytest.approx(1.0)
    assert found["proxy"][-1] == pytest.approx(1.0)
    assert found["anomaly"][-1] == naive_anomaly(found["score"], found["accuracy"])


@pytest.mark.parametrize("score", ["l2_rows", "magnitude", "random"])
def test_any_criterion_of_weights_can_be_asked(quick, score):
    found = EXPERIMENTS.build("oracle", {**quick, "score": score}).run(0)
    assert len(found["score"]) == comb(6, 2)
    assert -1 <= found["tau_accuracy"][1] <= 1


def test_what_means_nothing_is_refused(quick):
    for more, said in (
        ({"score": "wanda"}, "one that reads units' weights"), ({"gone": 0.01}, "needed some, not all"),
        ({"repeats": 1}, "needed 2 or more"),
        ({"steps": (5, 5)}, "rising steps"), ({"layers": (1,)}, "count from 0"),
    ):  # fmt: skip
        with pytest.raises(RequestError, match=said):
            EXPERIMENTS.build("oracle", {**quick, **more})
