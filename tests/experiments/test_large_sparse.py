"""Large and sparse: the same as the method's public way; what is counted; a text in parts; what is refused."""

import numpy as np
import pytest
import torch

import penjing
from penjing import layouts
from penjing.errors import DataError, PlanError, RequestError
from penjing.experiments import EXPERIMENTS
from penjing.experiments.large_sparse import Sets, characters, judge, size
from penjing.train.stacked import convolutional, perceptron, recurrent


@pytest.fixture
def quick(tmp_path):
    draws = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = draws.integers(0, 120, (120, 8, 8), dtype=np.uint8) + (40 * labels)[:, None, None].astype(np.uint8)
    np.savez(tmp_path / "p.npz", x=pixels, y=labels)
    return {
        "images": str(tmp_path / "p.npz"), "hidden": (9,), "steps": 24, "every": 3, "batch": 10,
        "learning_rates": (0.01,),
    }  # fmt: skip


@pytest.fixture
def text(tmp_path):
    (tmp_path / "t.txt").write_text("abcd abce " * 40, encoding="utf-8")
    return {
        "text": str(tmp_path / "t.txt"), "length": 10, "hidden": (4, 6), "steps": 40, "every": 4, "batch": 5,
        "learning_rates": (0.05,),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["perceptron", "convolutional", "recurrent"])
def test_it_is_what_the_method_gives_by_its_public_way(kind, quick, text):
    given = text if kind == "recurrent" else {**quick, "channels": (2,) if kind == "convolutional" else ()}
    one = EXPERIMENTS.build("large_sparse", {**given, "keep": 0.3})
    found = one.run(4)
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        sets = one._sets()
        network = one.network(sets)
    batches = one.batches(sets, 4)
    example = batches[0] if kind == "recurrent" else batches[0][0]
    own = {n: getattr(one, n) for n in ("begin", "end", "every", "exponent", "steps")}
    plan = penjing.plan(
        network, method="gradual_magnitude", keep=0.3, data=batches, example=example, seed=4,
        settings={**own, "learning_rate": one.learning_rates[0]},
    )  # fmt: skip
    done = penjing.apply(network, plan, example=example)
    assert judge(done, sets.test) == pytest.approx((found["loss"], found["accuracy"]))
    assert size(done)["nonzeros"] == found["nonzeros"]
    assert found["least"] == pytest.approx(0.3, abs=0.1)


def test_non_zeros_and_bytes_are_counted():
    network = perceptron((4, 3, 2))
    with torch.no_grad():
        network[1].weight.fill_(1.0)[0, :3] = 0
        network[3].weight.fill_(1.0)
    found = size(network)
    assert found["nonzeros"] == 9 + 6
    assert found["bytes"] == 4 * (9 + 6 + 5) + 12 / 8
    assert found["least"] == 0.75


@torch.no_grad()
def naive_judge(network, rows):
    losses, right = [], []
    for row in rows:
        scores = network(row[None])[0].log_softmax(-1)
        for at in range(len(row) - 1):
            losses.append(-float(scores[at, row[at + 1]]))
            right.append(int(scores[at].argmax()) == int(row[at + 1]))
    return sum(losses) / len(losses), sum(right) / len(right)


def test_the_next_character_is_what_is_judged():
    torch.manual_seed(0)
    network, rows = recurrent(5, 3, 4), torch.randint(5, (503, 6), generator=torch.Generator().manual_seed(1))
    assert judge(network, (rows,)) == pytest.approx(naive_judge(network, rows), abs=1e-5)


def test_a_text_is_cut_in_its_order(tmp_path):
    (tmp_path / "t.txt").write_text("ab" * 25, encoding="utf-8")
    sets = characters(str(tmp_path / "t.txt"), 5, held_out=0.2, tested=0.3)
    assert isinstance(sets, Sets)
    assert [len(p[0]) for p in sets[:3]] == [5, 2, 3]
    assert (sets.train[0][0].tolist(), sets.words) == ([0, 1, 0, 1, 0], 2)
    with pytest.raises(DataError, match="leaves a part empty"):
        characters(str(tmp_path / "t.txt"), 30, held_out=0.2, tested=0.3)


def test_what_is_whole_stays_whole_and_the_best_rate_is_taken(quick):
    whole = EXPERIMENTS.build("large_sparse", quick).run(0)
    assert whole["nonzeros"] == 64 * 9 + 9 * 3
    assert whole["bytes"] == 4 * (64 * 9 + 9 + 9 * 3 + 3)
    two = EXPERIMENTS.build("large_sparse", {**quick, "learning_rates": (1e-6, 0.01)}).run(0)
    assert two == whole, "with the tiny rate nothing is learnt"


def test_another_method_that_trains_and_what_it_protects(quick):
    more = {**quick, "method": "pretrain", "keep": 0.2, "begin": 0.3, "protect": ("3.weight",)}
    found = EXPERIMENTS.build("large_sparse", more).run(0)
    assert found["nonzeros"] == 9 * 3 + 64 * 9 - int(64 * 9 * 0.8)


def test_the_layout_has_the_matrices_of_all_three_networks():
    from penjing.select.weights import matrices

    picture = torch.zeros(2, 1, 8, 8)
    found = [
        [m.tensor for m in matrices(layouts.from_module(network, example))]
        for network, example in (
            (perceptron((64, 5, 3)), picture),
            (convolutional((2, 3), (4,), side=8, classes=3, size=3), picture),
            (recurrent(7, 4, 5), torch.zeros(2, 6, dtype=torch.long)),
        )
    ]
    assert found == [
        ["1.weight", "3.weight"], ["0.weight", "3.weight", "7.weight", "9.weight"],
        ["lstm.weight_ih_l0", "lstm.weight_hh_l0"],
    ]  # fmt: skip


def test_what_means_nothing_is_refused(quick, text):
    for given, said in (
        ({}, "name one of them"),
        ({**quick, "text": text["text"]}, "name one of them"),
        ({**text, "hidden": (4,)}, "of an LSTM two widths"),
        ({**quick, "learning_rates": ()}, "one rate or more"),
        ({**quick, "method": "wanda"}, "does not train"),
    ):
        with pytest.raises(RequestError, match=said):
            EXPERIMENTS.build("large_sparse", given)
    with pytest.raises(PlanError, match="needed 0 <= begin <= end"):
        EXPERIMENTS.build("large_sparse", {**quick, "begin": 0.9})
    with pytest.raises(DataError, match="a batch has 1000"):
        EXPERIMENTS.build("large_sparse", {**quick, "batch": 1000}).run(0)
    with pytest.raises(RequestError, match="needed 1 or more of each"):
        recurrent(3, 0, 2)
