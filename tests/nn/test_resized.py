"""A layer with other sizes: the same kind of layer, built from what the record says, and what it refuses."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from penjing.core import Spec
from penjing.errors import CheckpointError, PlanError
from penjing.nn import MARK, put_in
from penjing.nn.resized import Settings, build, fit, spec

LAYERS = [
    (nn.Linear(6, 8), {"weight": (5, None), "bias": (5,)}, 0, (2, 6), (2, 5)),
    (nn.Linear(6, 8), {"weight": (None, 4)}, 0, (2, 4), (2, 8)),
    (Conv1D(8, 6), {"weight": (None, 5), "bias": (5,)}, 0, (2, 6), (2, 5)),
    (nn.Conv2d(6, 8, 3), {"weight": (5, 4, None, None), "bias": (5,)}, 0, (2, 4, 5, 5), (2, 5, 3, 3)),
    (nn.Conv2d(6, 6, 3, groups=6), {"weight": (4, None, None, None), "bias": (4,)}, 4, (2, 4, 5, 5), (2, 4, 3, 3)),
    (nn.Conv1d(6, 9, 2, groups=3), {"weight": (6, None, None), "bias": (6,)}, 2, (2, 4, 5), (2, 6, 4)),
    (nn.ConvTranspose2d(6, 8, 2), {"weight": (4, 5, None, None), "bias": (5,)}, 0, (2, 4, 3, 3), (2, 5, 4, 4)),
    (nn.LayerNorm(8), {"weight": (5,), "bias": (5,)}, 0, (2, 5), (2, 5)),
    (nn.GroupNorm(4, 8), {"weight": (6,), "bias": (6,)}, 3, (2, 6, 3), (2, 6, 3)),
    (nn.PReLU(8), {"weight": (5,)}, 0, (2, 5), (2, 5)),
    (nn.Embedding(9, 8), {"weight": (None, 5)}, 0, None, (3, 5)),
    (
        nn.BatchNorm2d(8).eval(), dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (5,)), 0,
        (2, 5, 3, 3), (2, 5, 3, 3),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "shapes", "groups", "given", "made"), LAYERS)
def test_it_computes_with_the_sizes_it_is_told(old, shapes, groups, given, made):
    before = {n: (tuple(t.shape), t.clone()) for n, t in old.state_dict().items()}
    new = build(old, Settings(**spec(shapes, groups).settings))
    assert type(new) is type(old)
    x = torch.arange(3) if given is None else torch.randn(given)
    assert tuple(new(x).shape) == made
    assert all(tuple(t.shape) == before[n][0] and torch.equal(t, before[n][1]) for n, t in old.state_dict().items())


def test_it_is_the_layer_that_torch_would_build():
    new = build(nn.Linear(6, 8), Settings(shapes="weight=5x4 bias=5"))
    other = nn.Linear(4, 5)
    new.load_state_dict(other.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(new(x), other(x))
    assert str(new) == str(other)


def test_a_part_with_a_tensor_of_its_own_keeps_what_is_in_it():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.inner = nn.Parameter(torch.ones(6)), nn.Linear(6, 6)

        def forward(self, x):
            return self.inner(x) * self.scale

    root = nn.Sequential(Block())
    put_in(root, {"0": spec({"scale": (4,)}), "0.inner": spec({"weight": (4, None), "bias": (4,)})})
    assert tuple(root(torch.randn(2, 6)).shape) == (2, 4)
    assert getattr(root[0], MARK).kind == "resized"


@pytest.mark.parametrize("text", ["", "weight", "weight=0x3", "weight=3x", "../weight=3", "weight=-1", "weight=3 x"])
def test_shapes_that_are_none_are_refused(text):
    with pytest.raises(PlanError, match="resized layer has the shapes"):
        Settings(shapes=text)


@pytest.mark.parametrize("shapes", [{"weight": (9, None)}, {"weight": (5,)}, {"gain": (5,)}])
def test_what_does_not_fit_the_place_is_refused(shapes):
    with pytest.raises(CheckpointError, match="Linear has"):
        build(nn.Linear(6, 8), Settings(**spec(shapes).settings))


def test_no_plan_replaces_a_module_by_one():
    from penjing.core.modules import Place
    from penjing.nn.resized import tensors

    with pytest.raises(PlanError, match="resized by cutting axes"):
        tensors(Place(path="fc", shapes={"weight": (3, 3)}), Settings(shapes="weight=2x_"))


def test_a_spec_goes_through_plain_values():
    made = spec({"weight": (24, None), "bias": (24,)}, 3)
    assert made == Spec("resized", {"shapes": "weight=24x_ bias=24", "groups": 3})
    assert Settings(**made.settings).sizes() == {"weight": (24, None), "bias": (24,)}


def test_fitting_reads_what_a_layer_holds():
    layer = nn.Linear(6, 8)
    layer.weight = nn.Parameter(layer.weight[:5])
    fit(layer)
    assert layer.out_features == 5
