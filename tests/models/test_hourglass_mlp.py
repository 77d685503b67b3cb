"""Hourglass MLP: its formula, its fixed projection, and cuts through it."""

import pytest
import torch

import penjing
from penjing.errors import PenjingError
from penjing.layouts import from_module
from penjing.layouts.graph.inputs import example
from penjing.models import MODELS, create

FILE = MODELS.load("hourglass_mlp")
TRAINED = {"input_projection": "trained"}
PIXELS = {"input_projection": "none", "hidden_size": 25}


@pytest.mark.parametrize("settings", [{}, TRAINED, PIXELS, {**PIXELS, "output_projection": False}, {"centre": 0.5}])
def test_it_computes_the_papers_formula(settings):
    model = create("hourglass_mlp", "tiny", **settings).double()
    pixels = torch.rand(3, 1, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        got = model(pixels).reconstruction
        centre = settings.get("centre", 0.0)
        for image, out in zip(pixels, got, strict=True):
            x = image.reshape(-1) - centre
            z = x if "none" in settings.values() else model.inputs.weight @ x
            for block in model.blocks:
                n = (z - z.mean()) / (z.var(correction=0) + 1e-5).sqrt() * block.norm.weight + block.norm.bias
                z = z + block.down.weight @ (block.up.weight @ n + block.up.bias).clamp(min=0) + block.down.bias
            if settings.get("output_projection", True):
                z = model.outputs.weight @ z + model.outputs.bias
            torch.testing.assert_close(out.reshape(-1), z + centre)


def test_the_fixed_projection_comes_from_its_seed_and_is_no_parameter():
    torch.manual_seed(1)
    one = create("hourglass_mlp", "tiny", projection_seed=3)
    torch.manual_seed(2)
    two = create("hourglass_mlp", "tiny", projection_seed=3)
    assert torch.equal(one.inputs.weight, two.inputs.weight)
    assert not torch.equal(one.inputs.weight, create("hourglass_mlp", "tiny", projection_seed=4).inputs.weight)
    assert "inputs.weight" in one.state_dict()
    assert "inputs.weight" not in dict(one.named_parameters())
    assert not torch.equal(one.blocks[0].up.weight, two.blocks[0].up.weight)


def test_both_random_projections_keep_the_norm_on_average():
    x = torch.randn(500, 60, generator=torch.Generator().manual_seed(0))
    for draw in (FILE.drawn, FILE.signed_hadamard):
        y = x @ draw(180, 60, 7).T
        assert y.square().sum() / (3 * x.square().sum()) == pytest.approx(1, abs=0.05)


def test_rows_of_the_structured_projection_are_orthogonal_where_they_are_whole():
    w = FILE.signed_hadamard(9, 16, 0)
    torch.testing.assert_close(w @ w.T, torch.eye(9))
    assert torch.equal(w.abs(), torch.full((9, 16), 0.25))


def test_zero_init_leaves_the_stream_as_it_is():
    model = create("hourglass_mlp", "tiny", zero_init=True)
    pixels = torch.rand(2, 1, 5, 5)
    with torch.no_grad():
        wanted = model.outputs(model.inputs(pixels.flatten(1)))
        torch.testing.assert_close(model(pixels).reconstruction.flatten(1), wanted)


def test_an_image_of_another_size_comes_out_and_the_loss_is_the_mean_square():
    model = create("hourglass_mlp", "tiny", output_image_size=10)
    wanted = torch.rand(2, 1, 10, 10)
    out = model(torch.rand(2, 1, 5, 5), labels=wanted)
    torch.testing.assert_close(out.loss, ((out.reconstruction - wanted) ** 2).mean())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"input_projection": "none"}, "set hidden_size to 25"),
        ({"output_projection": False}, "set output_projection to true"),
        ({"input_projection": "random"}, "needed one of fixed"),
        ({"norm": "batch"}, "needed one of layer"),
        ({"intermediate_size": [3, 4]}, "lists 2 widths"),
    ],
)
def test_entries_that_contradict_each_other_are_refused(settings, says):
    with pytest.raises(PenjingError, match=says):
        create("hourglass_mlp", "tiny", **settings)


@pytest.mark.parametrize("settings", [{}, TRAINED, {"norm": "rms"}, {"norm": "none"}])
def test_the_stream_and_every_inner_width_can_be_cut(settings):
    model = create("hourglass_mlp", "tiny", **settings)
    layout = from_module(model, example(model, device="cpu"))
    free = sorted(axis.size for axis in layout.axes.values() if axis.state == "free")
    stream = layout.axes["residual"]
    if settings.get("norm") == "none":
        assert free == [4, 6, 9, 40]
    else:  # a norm over fewer units gives other outputs than one over all with some at zero
        assert (free, stream.size, stream.state) == ([4, 6, 9], 40, "sensitive")


def test_cut_to_half_the_projection_is_cut_with_the_stream(tmp_path):
    model = create("hourglass_mlp", "tiny", norm="none")
    model.save_pretrained(tmp_path / "whole")
    settings = {"axes": "residual", "multiple": 1}
    penjing.shrink(
        tmp_path / "whole", tmp_path / "half", method="magnitude", keep=0.5, settings=settings, measure=False
    )
    small = penjing.load(tmp_path / "half")
    width = small.config.hidden_size
    assert width < 40
    assert small.inputs.weight.shape == (width, 25)
    rows = {tuple(r.tolist()) for r in model.inputs.weight}
    assert all(tuple(r.tolist()) in rows for r in small.inputs.weight)


def test_it_trains_with_the_trainer(tmp_path):
    from transformers import Trainer, TrainingArguments

    model = create("hourglass_mlp", "tiny")
    before = model.inputs.weight.clone()
    images = torch.rand(32, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    data = [{"pixel_values": i, "labels": i} for i in images]

    def loss():
        with torch.no_grad():
            return float(model(images, labels=images).loss)

    first = loss()
    arguments = TrainingArguments(
        str(tmp_path), max_steps=30, learning_rate=1e-2, report_to=[], use_cpu=True, save_strategy="no"
    )
    Trainer(model, arguments, train_dataset=data).train()
    assert loss() < 0.5 * first
    assert torch.equal(model.inputs.weight, before)
