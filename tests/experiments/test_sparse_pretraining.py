"""Sparse pre-training of a small network against the plain loop; and the moments of what was masked move nothing."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from penjing.errors import BudgetError
from penjing.experiments import EXPERIMENTS
from penjing.experiments.sparse_pretraining import fewest
from penjing.maths.compute_window import window
from penjing.train.schedule import rate
from penjing.train.stacked import Course, Examples, Stack, draw, fit, perceptron


def some(count, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Examples(torch.randn(count, width, generator=generator), torch.randint(3, (count,), generator=generator))


def naive(network, values, examples, course, plan, seed):
    """One network: torch's AdamW, after each step the smallest of all weights go when the plan says so."""
    with torch.no_grad():
        for p, part in zip(network.parameters(), values.split([p.numel() for p in network.parameters()]), strict=True):
            p.copy_(part.view(p.shape))
    matrices = [p for p in network.parameters() if p.ndim > 1]
    masks = [torch.ones_like(p, dtype=torch.bool) for p in matrices]
    optimiser = torch.optim.AdamW(network.parameters(), lr=course.learning_rate, weight_decay=0.0)
    generator, batches = torch.Generator().manual_seed(seed), []
    while len(batches) < course.steps:
        order = torch.randperm(len(examples), generator=generator)
        batches += [b for b in order.split(course.batch) if len(b) == course.batch]

    def prune(step):
        if plan.due(step):
            flat = [(float(v.abs()) if m else -1.0, i, j) for i, p in enumerate(matrices)
                    for j, (v, m) in enumerate(zip(p.detach().flatten(), masks[i].flatten(), strict=True))]  # fmt: skip
            gone = sorted(flat)[: int(len(flat) * round(1 - plan.density(step), 12))]
            for _, i, j in gone:
                masks[i].view(-1)[j] = False
        with torch.no_grad():
            for p, m in zip(matrices, masks, strict=True):
                p.mul_(m)

    prune(0)
    for step in range(course.steps):
        loss = cross_entropy(network(examples.inputs[batches[step]]), examples.labels[batches[step]])
        optimiser.zero_grad()
        loss.backward()
        for p, m in zip(matrices, masks, strict=True):
            p.grad.mul_(m)
        optimiser.param_groups[0]["lr"] = course.learning_rate * rate(step, course.steps, course.how())
        optimiser.step()
        prune(step + 1)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("ends", [(0.25, 0.75), (0.0, 0.5), (0.5, 1.0)])
def test_each_network_is_the_one_of_the_loop(ends):
    plan, network, examples = window(12, 0.3, begin=ends[0], end=ends[1], every=2), perceptron((5, 6, 3)), some(23, 5)
    course = Course(steps=plan.steps, batch=7, learning_rate=0.02, schedule="cosine")
    values = draw(network, (0, 1))
    stack = Stack(network, values)

    def prune(step):
        if plan.due(step):
            stack.mask(fewest(stack, plan.density(step)))

    prune(0)
    fit(stack, examples, course, (3, 4), after=prune)
    for i, seed in enumerate((3, 4)):
        row = naive(network, values[i], examples, course, plan, seed)
        torch.testing.assert_close(stack.values[i].detach(), row, rtol=1e-4, atol=1e-5)
        assert not stack.values[i][~stack.masks[i]].any(), "the moments of masked weights move nothing"


@pytest.fixture
def quick(tmp_path):
    labels = np.arange(150) % 3
    draws = np.random.default_rng(0).integers(0, 120, (150, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "p.npz", x=draws + (40 * labels)[:, None, None].astype(np.uint8), y=labels)
    quick = {"hidden": (8,), "compute": 60, "batch": 10, "every": 5, "learning_rate": 0.01}
    return {"images": str(tmp_path / "p.npz"), **quick}


def test_figures_are_those_of_the_plan(quick):
    found = EXPERIMENTS.build("sparse_pretraining", {**quick, "keep": 0.4}).run(0)
    plan = window(60, 0.4, every=5)
    assert (found["steps"], found["average"]) == (plan.steps, plan.average)
    assert 0 < found["least"] <= 0.4
    assert found["accuracy"] > 0.8
    whole = EXPERIMENTS.build("sparse_pretraining", {**quick, "keep": 1.0}).run(0)
    assert (whole["steps"], whole["average"], whole["least"]) == (60, 1.0, 1.0)


def test_seeds_side_by_side_are_as_alone(quick):
    one = EXPERIMENTS.build("sparse_pretraining", quick)
    both = type(one).together([(one, 0), (one, 1)])
    assert both[1] == pytest.approx(one.run(1), abs=1e-4)
    with pytest.raises(BudgetError, match="above 0 up to 1"):
        EXPERIMENTS.build("sparse_pretraining", {**quick, "keep": 0.0})
