"""A linear probe finds the best line, the same each time, and becomes the last layer of a classifier."""

from types import SimpleNamespace

import pytest
import torch
from tests.tasks.images.models import PLAIN, Net, images
from torch import nn

from penjing.errors import DataError, MeasureError
from penjing.tasks.images import ImageAccuracy, WithProbe, features, fit_probe, last_linear
from penjing.tasks.images.probe import pooled
from penjing.tasks.task import Examined


def drawn(n=60, f=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    return torch.randn(n, f, generator=g) + torch.eye(3, f)[labels] * 2, labels


def test_the_slope_of_the_loss_is_nought():
    x, y = drawn()
    ridge = 0.01
    probe = fit_probe(x, y, classes=3, ridge=ridge)
    mean, deviation = x.double().mean(0), x.double().std(0, unbiased=False)
    scaled = (x.double() - mean) / deviation
    weight = (probe.weight.double() * deviation).requires_grad_()
    bias = (probe.bias.double() + probe.weight.double() @ mean).requires_grad_()
    loss = nn.functional.cross_entropy(scaled @ weight.T + bias, y) + ridge * weight.square().sum()
    for slope in torch.autograd.grad(loss, [weight, bias]):
        assert float(slope.abs().max()) < 1e-4


def test_the_same_data_give_the_same_probe():
    one, two = (fit_probe(*drawn(), classes=3) for _ in range(2))
    assert torch.equal(one.weight, two.weight)


def test_a_feature_that_never_changes_does_no_harm():
    x, y = drawn()
    x = torch.cat([x, torch.full((60, 1), 7.0)], dim=1)
    assert bool(fit_probe(x, y, classes=3)(x).isfinite().all())


def test_a_body_with_its_probe_is_a_classifier():
    data = images(60)
    body = Net().body.eval()
    found = features(body, data, PLAIN, batch=7)
    probe = fit_probe(found, data.labels, classes=3)
    model = WithProbe(body, probe)
    assert not model.training
    torch.testing.assert_close(model(PLAIN(data.pixels[torch.arange(60)])), probe(found))
    assert last_linear(model, PLAIN(data.pixels[torch.arange(2)]))[0] == "head"
    assert ImageAccuracy(images=data, prepare=PLAIN).run(Examined(name="p", module=model))[0].value > 0.9


def test_backbones_are_pooled_by_what_they_give():
    tokens = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(pooled(SimpleNamespace(pooler_output=None, last_hidden_state=tokens)), tokens[:, 0])
    assert torch.equal(pooled(SimpleNamespace(pooler_output=tokens[:, 1], last_hidden_state=tokens)), tokens[:, 1])
    torch.testing.assert_close(pooled(tokens.view(2, 3, 2, 2)), tokens.mean(2))
    with pytest.raises(MeasureError, match="needed features"):
        pooled(tokens)


def test_labels_outside_are_refused():
    with pytest.raises(DataError, match="60 labels of 2 classes"):
        fit_probe(*drawn(), classes=2)
