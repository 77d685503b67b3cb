"""What every architecture must do, the one in a file that was added a minute ago included."""

import pytest
import torch

from penjing.core.architecture import Architecture
from penjing.errors import PenjingError
from penjing.layouts import from_module
from penjing.layouts.graph.inputs import example as example_of
from penjing.layouts.prove.proofs import prove
from penjing.models import MODELS, create, of_type

NAMES = MODELS.names()


def example(model):
    """Inputs that the model's own config asks for."""
    return example_of(model, device="cpu")


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete_and_there_is_a_tiny_size(name):
    card = MODELS.load(name).CARD
    assert isinstance(card, Architecture)
    assert card.title
    assert card.paper
    assert card.auto
    assert "tiny" in card.sizes
    assert set(card.parameters) | set(card.macs) <= set(card.sizes)


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_have_the_published_counts(name):
    file = MODELS.load(name)
    for size, count in file.CARD.parameters.items():
        with torch.device("meta"):
            model = file.Model(file.Config(**file.CARD.sizes[size]))
        assert sum(p.numel() for p in model.parameters()) == count, size


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_it_opens_with_the_auto_classes_and_computes_the_same(name, tmp_path):
    import transformers

    model = create(name, "tiny")
    inputs = example(model)
    model.save_pretrained(tmp_path)
    for auto in ("AutoModel", *MODELS.load(name).CARD.auto):
        again = getattr(transformers, auto).from_pretrained(tmp_path).eval()
        with torch.no_grad():
            torch.testing.assert_close(again(**inputs)[0], model(**inputs)[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_something_is_free_and_every_free_axis_is_proved(name):
    model = create(name, "tiny")
    example = example_of(model, device="cpu")
    layout = prove(model, example, layout=from_module(model, example))
    free = [axis for axis in layout.axes.values() if axis.state == "free"]
    assert free
    assert all("graph" in axis.proofs for axis in free)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains(name):
    model = create(name, "tiny").train()
    inputs = example(model)
    out = model(**inputs)[0]
    out.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(PenjingError, match="did you mean 'tiny'"):
        create("scaling_mlps", "tinny")


def test_a_type_that_is_not_ours_is_none():
    assert of_type("llama") is None


@pytest.mark.parametrize("name", NAMES)
def test_with_half_of_its_free_axes_it_is_a_folder_that_opens(name, tmp_path):
    import penjing

    model = create(name, "tiny")
    model.save_pretrained(tmp_path / "whole")
    plan = penjing.plan(tmp_path / "whole", method="magnitude", keep=0.5)
    proof = name == NAMES[0]  # opened by a fresh process too, which takes a while
    penjing.apply(tmp_path / "whole", plan, tmp_path / "half", reopening=proof)
    small = penjing.load(tmp_path / "half")
    assert sum(p.numel() for p in small.parameters()) < 0.9 * sum(p.numel() for p in model.parameters())
    with torch.no_grad():
        assert small(**example(small))[0].shape == model(**example(model))[0].shape


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_have_the_published_multiply_adds(name):
    from penjing.layouts.costs import macs

    file = MODELS.load(name)
    for size, count in file.CARD.macs.items():
        with torch.device("meta"):
            model = file.Model(file.Config(**file.CARD.sizes[size])).eval()
        assert macs(from_module(model, example_of(model, device="meta"))) == count, size
