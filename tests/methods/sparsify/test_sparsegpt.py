"""SparseGPT's reconstruction, which must beat masks alone; its maths are held to a loop in tests/maths."""

import pytest
import torch
from tests.methods.tiny import llama

from penjing import layouts
from penjing.core import Budget, Mask, Stats, Update, View
from penjing.errors import UnsupportedError
from penjing.methods.sparsify.sparsegpt import MOMENT, Method
from penjing.select.weights import by_rows


def naive_error(new, old, inputs):
    """The mean squared change of the layer's outputs, input by input."""
    return sum(float(((new - old) @ x).square().sum()) for x in inputs) / len(inputs)


@pytest.fixture(scope="module")
def measured():
    model, layout = llama(blocks=1)
    inputs, values = {}, {}
    for seed, tensor in enumerate(Method().wants(layout).statistics):
        g, n = torch.Generator().manual_seed(seed), model.shapes[tensor][1]
        inputs[tensor] = torch.randn(60, n, generator=g) @ torch.randn(n, n, generator=g) * torch.linspace(0.2, 2, n)
        values[tensor, MOMENT] = inputs[tensor].T @ inputs[tensor] / 60
    return model, layout, inputs, Stats(values, samples=60)


@pytest.mark.parametrize("pattern", ["", "2:4"])
def test_outputs_change_less_than_with_masks_alone(measured, pattern):
    model, layout, inputs, stats = measured
    plan = Method(pattern=pattern).plan(View(model, layout, stats, Budget(keep=0.5)))
    new = {e.tensor: e.values for e in plan if isinstance(e, Update)}
    kept = {e.tensor: e.kept for e in plan if isinstance(e, Mask)}
    group = (2, 4) if pattern else None
    for tensor, x in inputs.items():
        old = model[tensor]
        assert int((~kept[tensor]).sum()) == old.numel() // 2
        assert (new[tensor][~kept[tensor]] == 0).all()
        ours = naive_error(new[tensor], old, x)
        for scores in (old.abs(), old.abs() * x.norm(dim=0)):
            assert ours < naive_error(old * by_rows(scores, 0.5, group), old, x)


def test_dead_inputs_lose_their_weights_and_are_told(measured):
    model, layout, _, stats = measured
    tensor = next(iter(Method().wants(layout).statistics))
    moment = stats[tensor, MOMENT].clone()
    moment[3], moment[:, 3] = 0.0, 0.0
    plan = Method(tensors=tensor).plan(View(model, layout, Stats({(tensor, MOMENT): moment}, 60), Budget(keep=0.75)))
    update = next(e for e in plan if isinstance(e, Update))
    assert (update.values[:, 3] == 0).all()
    assert "1 inputs were always zero" in plan.made["notes"][0]


def test_windows_are_refused_by_name():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(36, 3))
    layout = layouts.from_module(net, torch.randn(2, 2, 5, 5))
    with pytest.raises(UnsupportedError, match=r"0\.weight is a convolution with a window"):
        Method().wants(layout)
