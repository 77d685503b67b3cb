"""A stack against the same networks trained one by one with torch's own optimisers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from penjing.errors import DataError, RequestError, UnsupportedError
from penjing.train.schedule import rate
from penjing.train.stacked import (
    Course,
    Examples,
    Orders,
    Stack,
    convolutional,
    draw,
    evaluate,
    fit,
    perceptron,
)


def some(count, *shape, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    return Examples(torch.randn(count, *shape, generator=generator), labels)


def naive(network, values, examples, course, seed, *, learning_rate=None, mask=None, start=0):
    """One network in a plain loop: torch's optimiser, the seed's order, its mask put on after each step."""
    put(network, values)
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": course.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    base = learning_rate or course.learning_rate
    if course.optimiser == "sgd":
        optimiser = torch.optim.SGD(groups, lr=base, momentum=course.momentum)
    else:
        optimiser = torch.optim.AdamW(groups, lr=base, betas=course.betas)
    masked(network, mask)
    generator, batches = torch.Generator().manual_seed(seed), []
    while len(batches) < course.steps:
        order = torch.randperm(len(examples), generator=generator)
        batches += [b for b in order.split(course.batch) if len(b) == course.batch]
    losses = []
    for step in range(start, course.steps):
        places = batches[step]
        loss = cross_entropy(network(examples.inputs[places]), examples.labels[places])
        optimiser.zero_grad()
        loss.backward()
        for p, m in zip(network.parameters(), split(network, mask), strict=True):
            p.grad.mul_(m)
        for group in optimiser.param_groups:
            group["lr"] = base * rate(step, course.steps, course.how())
        optimiser.step()
        masked(network, mask)
        losses.append(loss.detach())
    return torch.cat([p.detach().flatten() for p in network.parameters()]), torch.stack(losses)


def put(network, values):
    with torch.no_grad():
        for p, part in zip(network.parameters(), split(network, values), strict=True):
            p.copy_(part)


def split(network, row):
    shapes = [p.shape for p in network.parameters()]
    if row is None:
        return [torch.ones(s) for s in shapes]
    return [part.view(s) for part, s in zip(row.split([s.numel() for s in shapes]), shapes, strict=True)]


def masked(network, mask):
    with torch.no_grad():
        for p, m in zip(network.parameters(), split(network, mask), strict=True):
            p.mul_(m)


@given(
    optimiser=st.sampled_from(["adamw", "sgd"]), schedule=st.sampled_from(["constant", "linear", "cosine"]),
    decay=st.sampled_from([0.0, 0.05]), hidden=st.integers(1, 9),
    seeds=st.lists(st.integers(0, 3), min_size=1, max_size=4), is_masked=st.booleans(), start=st.sampled_from([0, 3]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_each_network_is_the_one_trained_alone(optimiser, schedule, decay, hidden, seeds, is_masked, start):
    course = Course(
        steps=12, batch=7, optimiser=optimiser, schedule=schedule, weight_decay=decay, learning_rate=0.01, warm=0.2
    )
    examples, network = some(23, 5), perceptron((5, hidden, 4))
    values = draw(network, range(len(seeds)), "usual")
    masks = torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) < 0.6 if is_masked else None
    rates = [0.01 * (i + 1) for i in range(len(seeds))]
    stack = Stack(network, values, masks)
    losses = fit(stack, examples, course, seeds, rates=rates, start=start)
    for i, seed in enumerate(seeds):
        mask = None if masks is None else masks[i]
        row, own = naive(network, values[i], examples, course, seed, learning_rate=rates[i], mask=mask, start=start)
        torch.testing.assert_close(stack.values[i].detach(), row, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(losses[:, i], own, rtol=1e-5, atol=1e-5)
        if mask is not None:
            assert not stack.values[i][~mask].any()


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 0)])
def test_convolutions_too(seeds):
    course = Course(steps=5, batch=6, learning_rate=0.01)
    examples, network = some(20, 1, 8, 8), convolutional((3, 4), (5,), side=8, classes=4)
    values = draw(network, range(3))
    stack = Stack(network, values)
    fit(stack, examples, course, seeds)
    for i, seed in enumerate(seeds):
        row, _ = naive(network, values[i], examples, course, seed)
        torch.testing.assert_close(stack.values[i].detach(), row, rtol=1e-5, atol=1e-5)


def test_what_is_found_is_what_each_network_gives():
    examples, network = some(31, 6), perceptron((6, 3, 4))
    values = draw(network, range(5))
    loss, right = evaluate(Stack(network, values), examples)
    for i in range(5):
        put(network, values[i])
        outputs = network(examples.inputs).detach()
        assert float(loss[i]) == pytest.approx(float(cross_entropy(outputs, examples.labels)), rel=1e-5)
        assert float(right[i]) == float((outputs.argmax(1) == examples.labels).double().mean())


def test_first_values_are_drawn_by_the_seed_alone_and_as_asked():
    network = perceptron((400, 300, 10))
    rows = draw(network, (3, 4, 3))
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[1])
    places = Stack(network, rows).places()
    deviation = float(rows[0][places["1.weight"]].std())
    assert deviation == pytest.approx((2 / 700) ** 0.5, rel=0.02)
    assert not rows[0][places["1.bias"]].any()
    kaiming = draw(network, (0,), "kaiming")[0][places["1.weight"]]
    assert float(kaiming.std()) == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    state = torch.get_rng_state()
    draw(network, (0,))
    assert torch.equal(torch.get_rng_state(), state)


def test_networks_of_one_seed_see_the_same_order():
    orders = Orders((5, 7, 5), 10, 4)
    for _ in range(6):
        found = orders()
        assert torch.equal(found[0], found[2])
        assert len(set(found[1].tolist())) == 4


def test_tensors_and_density():
    network = perceptron((3, 2))
    values = torch.arange(8.0)[None].repeat(2, 1)
    masks = torch.ones(2, 8, dtype=torch.bool)
    masks[1, :3] = False
    stack = Stack(network, values, masks)
    assert stack.tensors()["1.weight"].shape == (2, 2, 3)
    assert stack.tensors()["1.bias"].tolist() == [[6, 7], [6, 7]]
    assert stack.density().tolist() == [1.0, 0.5]
    assert stack.values[1, :3].tolist() == [0, 0, 0]


def test_what_a_stack_cannot_do_is_refused():
    with pytest.raises(UnsupportedError, match="no buffers"):
        Stack(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), torch.zeros(1, 10))
    with pytest.raises(DataError, match=r"needed \[networks 6\]"):
        Stack(nn.Linear(2, 2), torch.zeros(1, 5))
    with pytest.raises(DataError, match="needed \\[1, 6\\]"):
        Stack(nn.Linear(2, 2), torch.zeros(1, 6), torch.ones(2, 6, dtype=torch.bool))
    with pytest.raises(DataError, match="a batch has 60"):
        fit(Stack(nn.Linear(2, 2), torch.zeros(1, 6)), some(9, 2), Course(), (0,))
    with pytest.raises(DataError, match="for 1 networks"):
        fit(Stack(nn.Linear(2, 2), torch.zeros(1, 6)), some(90, 2), Course(), (0, 1))
    with pytest.raises(DataError, match="as many of both"):
        Examples(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(RequestError, match="did you mean 'adamw'"):
        Course(optimiser="adam")
    with pytest.raises(RequestError, match="above 0"):
        Course(learning_rate=0.0)
    with pytest.raises(RequestError, match="it is one of"):
        draw(nn.Linear(2, 2), (0,), "zeros")
    with pytest.raises(RequestError, match="needed inputs and classes"):
        perceptron((3,))
    with pytest.raises(RequestError, match="halvings leave 0"):
        convolutional((2, 2, 2), (), side=4)
