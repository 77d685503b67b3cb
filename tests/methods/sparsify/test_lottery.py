"""Lottery tickets against a loop written from the paper, one training after another, masks in the graph and all."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import penjing
from penjing import layouts, surgery
from penjing.core import Budget, Mask, Stats, Update, View
from penjing.errors import BudgetError, LayoutError, PlanError
from penjing.io import open_checkpoint
from penjing.methods.sparsify.lottery import Method, halved
from penjing.train import train
from penjing.train.run import rate

RATE = 2e-2
QUICK = {"steps": 38, "learning_rate": RATE, "rounds": 3}


class Data:
    """Batches that can be had again."""

    def __init__(self, batches):
        self.batches, self.count = batches, len(batches)

    def again(self):
        return self.batches


def perceptron():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


def convolutional():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(5, 3),
    )  # fmt: skip


NETS = {"perceptron": perceptron, "convolutional": convolutional}


@pytest.fixture(scope="module")
def data():
    g = torch.Generator().manual_seed(1)
    drawn = [torch.randn(10, 1, 6, 6, generator=g) for _ in range(4)]
    return Data([(x, (x[:, 0, 0, 0] > 0).long() + (x[:, 0, 1, 1] > 0.5).long()) for x in drawn])


def planned(net, data, keep=0.2, seed=0, **settings):
    layout = layouts.from_module(copy.deepcopy(net).eval(), torch.zeros(2, 1, 6, 6))
    view = View(open_checkpoint(net), layout, Stats(), Budget(keep=keep), seed=seed, data=data)
    return train(Method(**{**QUICK, **settings}), view, net)


def values(plan):
    return {e.tensor: e.values for e in plan if isinstance(e, Update)}


def masks(plan):
    return {e.tensor: e.kept for e in plan if isinstance(e, Mask)}


def order_of(count, batches):
    generator, order = torch.Generator().manual_seed(0), []
    while len(order) < count:
        order += torch.randperm(batches, generator=generator).tolist()
    return order


def naive_cut(weights, left, zeros):
    """The smallest of what is left of all weights go, one by one, until so many are gone; the first of equals."""
    every = sorted((abs(float(w.flatten()[i])), k, i) for k, w in enumerate(weights.values()) for i in range(w.numel()))
    names, out = list(weights), {n: m.clone() for n, m in left.items()}
    gone = sum(int((~m).sum()) for m in out.values())
    for _, k, i in every:
        flat = out[names[k]].view(-1)
        if gone < zeros and flat[i]:
            flat[i] = False
            gone += 1
    return out


def naive(net, data, keep, *, rounds, length, kept_at, last, scope="global", back="values"):
    """The paper's loop: copies of everything, a new optimiser for each training, masks in the graph."""
    net = copy.deepcopy(net).train()
    own = dict(net.named_parameters())
    chosen = [n for n, p in own.items() if p.ndim > 1]
    mask = {n: torch.ones_like(own[n], dtype=torch.bool) for n in chosen}
    order, start = iter(order_of(1000, len(data.batches))), None
    for level in range(rounds + 1):
        begin = kept_at if level else 0
        end = begin + last if level == rounds else length
        adam = torch.optim.Adam(own.values(), lr=RATE)
        for t in range(begin, end):
            if level == 0 and t == kept_at:
                start = copy.deepcopy(net.state_dict())
            x, y = data.batches[next(order)]
            masked = {n: p * mask[n] if n in mask else p for n, p in own.items()}
            adam.zero_grad()
            F.cross_entropy(torch.func.functional_call(net, masked, (x,)), y).backward()
            nn.utils.clip_grad_norm_(own.values(), 1.0)
            for group in adam.param_groups:
                group["lr"] = RATE * rate(t, end)
            adam.step()
        if level == rounds:
            break
        share = keep ** ((level + 1) / rounds)
        groups = [chosen] if scope == "global" else [[n] for n in chosen]
        for group in groups:
            whole = sum(own[n].numel() for n in group)
            cut = naive_cut(
                {n: own[n].detach() for n in group}, {n: mask[n] for n in group},
                math.floor(whole * round(1 - share, 12)),
            )  # fmt: skip
            mask.update(cut)
        if back == "values":
            net.load_state_dict(start)
    return {n: (t * mask[n] if n in mask else t).detach() for n, t in net.state_dict().items()}, mask


@pytest.mark.parametrize(
    ("kind", "rewind", "scope", "back", "length", "kept_at", "last"),
    [
        ("perceptron", 0.0, "global", "values", 9, 0, 11),
        ("perceptron", 0.25, "tensor", "values", 11, 3, 11),
        ("perceptron", 0.25, "global", "rate", 11, 3, 11),
        ("convolutional", 0.0, "tensor", "values", 9, 0, 11),
        ("convolutional", 0.25, "global", "values", 11, 3, 11),
    ],
)
def test_equals_the_loop_from_the_paper(kind, rewind, scope, back, length, kept_at, last, data):
    net = NETS[kind]()
    plan = planned(net, data, rewind=rewind, scope=scope, back=back)
    assert (plan.made["training steps"], plan.made["kept at"]) == (length, kept_at)
    wanted, there = naive(
        net, data, 0.2, rounds=3, length=length, kept_at=kept_at, last=last, scope=scope, back=back
    )  # fmt: skip
    assert {n: m.tolist() for n, m in masks(plan).items()} == {n: m.tolist() for n, m in there.items()}
    for name, found in values(plan).items():
        # The same float32 operations, summed in another order where masks lie in the graph.
        torch.testing.assert_close(found, wanted[name], rtol=1e-3, atol=1e-4)


@given(steps=st.integers(4, 90), rounds=st.integers(1, 9), rewind=st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99]))
def test_the_trainings_fill_the_steps(steps, rounds, rewind):
    if steps <= rounds:
        with pytest.raises(PlanError, match="fewer than the"):
            Method(steps=steps, rounds=rounds, rewind=rewind)
        return
    method = Method(steps=steps, rounds=rounds, rewind=rewind)
    each = method.length - method.kept_at
    assert each >= 1
    assert method.length + rounds * each <= steps


@given(
    sizes=st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=4), rounds=st.integers(1, 9),
    keep=st.sampled_from([0.6, 0.8, 1.0]),
)  # fmt: skip
def test_slow_ones_lose_half_as_much_and_the_budget_is_met(sizes, rounds, keep):
    counts, slow = [n for n, _ in sizes], [s for _, s in sizes]
    shares = halved(counts, slow, rounds, keep)
    if all(slow) and keep < 0.5**rounds:
        return
    assert sum(n * s**rounds for n, s in zip(counts, shares, strict=True)) == pytest.approx(keep * sum(counts))
    for share, is_slow in zip(shares, slow, strict=True):
        for other, other_slow in zip(shares, slow, strict=True):
            if is_slow and not other_slow:
                assert 1 - share == pytest.approx((1 - other) / 2)


def test_the_last_layer_may_lose_less(data):
    found = masks(planned(perceptron(), data, scope="tensor", slow=("5.weight",)))
    kept = {n: float(m.float().mean()) for n, m in found.items()}
    assert kept["5.weight"] > 2 * kept["1.weight"]
    assert kept["1.weight"] == pytest.approx(kept["3.weight"], abs=0.01)
    assert sum(int(m.sum()) for m in found.values()) == pytest.approx(
        0.2 * sum(m.numel() for m in found.values()), abs=3
    )


class Untrained(Method):
    """Nothing moves in the last training, so that what it began with is seen."""

    def loss(self, run, batch, output):
        found = super().loss(run, batch, output)
        return found * 0 if run.step >= run.steps - 11 else found


def began(net, data, **settings):
    layout = layouts.from_module(net, torch.zeros(2, 1, 6, 6))
    view = View(open_checkpoint(net), layout, Stats(), Budget(keep=0.2), data=data)
    plan = train(Untrained(**{**QUICK, **settings}), view, net)
    done = surgery.apply(net, layout, plan)
    return dict(done.named_parameters()), masks(plan)


def test_tickets_and_controls_begin_as_they_should(data):
    net = perceptron()
    own = {n: p.detach() for n, p in net.named_parameters()}
    ticket, kept = began(net, data)
    for name, value in ticket.items():
        assert torch.equal(value, own[name] * kept.get(name, True)), name
    again, same = began(net, data, kind="reinit")
    other, drawn = began(net, data, kind="random")
    for name, mask in kept.items():
        assert torch.equal(same[name], mask)
        assert int(drawn[name].sum()) == int(mask.sum())
        assert not torch.equal(drawn[name], mask)
        assert torch.equal(other[name], own[name] * drawn[name])
        left = again[name][mask]
        assert set(left.tolist()) <= set(own[name].flatten().tolist())
        assert not torch.equal(left, own[name][mask])
    assert all(torch.equal(again[n], v) for n, v in own.items() if n not in kept)


def test_the_result_is_compacted_and_exported(data, tmp_path):
    net = perceptron()
    plan = planned(net, data, keep=0.05, rounds=2)
    example = torch.randn(4, 1, 6, 6)
    done = penjing.apply(net, plan, example=example)
    small = penjing.compact(done, example=example)
    torch.testing.assert_close(small(example), done(example), rtol=1e-5, atol=1e-6)
    assert small[3].out_features < 12
    exported = torch.export.export(small, (example,)).module()
    torch.testing.assert_close(exported(example), small(example))


def test_what_cannot_be_met_is_refused(data):
    for settings, said in (
        ({"rounds": 0}, "needed 1 or more"), ({"rewind": 1.0}, "up to below 1"), ({"steps": 3}, "fewer than the 4"),
        ({"scope": "gobal"}, "did you mean 'global'"), ({"slow": ("a",)}, "give scope 'tensor'"),
        ({"kind": "reinit", "back": "rate"}, "needs back 'values'"),
    ):  # fmt: skip
        with pytest.raises(PlanError, match=said):
            Method(**{**QUICK, **settings})
    with pytest.raises(LayoutError, match="which is to be slow"):
        planned(perceptron(), data, scope="tensor", slow=("9.weight",))
    layout = layouts.from_module(perceptron(), torch.zeros(2, 1, 6, 6))
    view = View(open_checkpoint(perceptron()), layout, Stats(), Budget(bytes=9), data=data)
    with pytest.raises(BudgetError, match="leaves every shape as it is"):
        train(Method(**QUICK), view, perceptron())
