"""What one block's cut alone adds to the loss."""

import copy

import pytest
import torch
from tests.evaluate.models import llama, tokens

from penjing.errors import MeasureError
from penjing.evaluate import Blocks
from penjing.evaluate.block_losses import block_losses

TEXT, WINDOW = tokens(60), Blocks(window=20)


def cut(model, seed=3):
    """A copy whose MLPs lost some of their neurons, as masks; each block loses others."""
    out = copy.deepcopy(model)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for block in out.model.layers:
            gone = torch.randperm(block.mlp.down_proj.in_features, generator=g)[:7]
            block.mlp.down_proj.weight[:, gone] = 0
    return out


def naive(original, smaller, kept=None):
    """For each block, a copy of the original with that one block exchanged, or taken out, run whole."""
    def losses(model):
        out = []
        for row in TEXT.view(-1, 20):
            with torch.inference_mode():
                found = model(row[None, :], use_cache=False).logits[0, :-1].double()
            out.append(torch.nn.functional.cross_entropy(found, row[1:]))
        return torch.stack(out)

    whole, added = losses(original), []
    places = {p: i for i, p in enumerate(kept or range(len(smaller.model.layers)))}
    for place in range(len(original.model.layers)):
        mixed = copy.deepcopy(original)
        if place in places:
            mixed.model.layers[place] = smaller.model.layers[places[place]]
        else:
            del mixed.model.layers[place]
            mixed.config.num_hidden_layers -= 1
        added.append(float((losses(mixed) - whole).mean()))
    return added


def test_equals_exchanging_blocks_by_hand():
    original = llama(layers=4)
    smaller = cut(original)
    found = block_losses(original, smaller, TEXT, protocol=WINDOW)
    expected = naive(original, smaller)
    assert found.details["increase"] == pytest.approx(expected, abs=1e-6)
    assert found.value == pytest.approx(max(expected), abs=1e-6)
    assert found.note == f"by model.layers.{expected.index(max(expected))} alone"
    low, middle, high = (found.details[k] for k in ("low", "increase", "high"))
    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))


def test_nothing_cut_adds_exactly_nothing():
    original = llama(layers=3)
    found = block_losses(original, copy.deepcopy(original), TEXT, protocol=WINDOW)
    assert found.details["increase"] == [0.0, 0.0, 0.0]


def test_a_dropped_block_is_left_out():
    original = llama(layers=3)
    smaller = cut(original)
    del smaller.model.layers[1]
    found = block_losses(original, smaller, TEXT, protocol=WINDOW, kept=[0, 2])
    assert found.details["increase"] == pytest.approx(naive(original, smaller, [0, 2]), abs=1e-6)
    assert found.details["dropped"] == [False, True, False]


def test_the_models_are_left_as_they_were():
    original, text = llama(layers=3), TEXT[None, :20]
    with torch.inference_mode():
        before = original(text, use_cache=False).logits
        block_losses(original, cut(original), TEXT, protocol=WINDOW)
        assert torch.equal(original(text, use_cache=False).logits, before)
    assert not any("forward" in vars(m) for m in original.modules())


def test_a_block_that_writes_into_its_input_changes_no_other_trial():
    original = llama(layers=3)
    smaller = cut(original)

    def writing(forward):
        def run(hidden, *args, **kwargs):
            given = forward(hidden.clone(), *args, **kwargs)
            hidden.zero_()
            return given
        return run

    expected = block_losses(original, smaller, TEXT, protocol=WINDOW).details["increase"]
    for block in smaller.model.layers:
        block.forward = writing(block.forward)
    assert block_losses(original, smaller, TEXT, protocol=WINDOW).details["increase"] == pytest.approx(expected)


def test_without_knowing_what_is_left_it_is_refused():
    with pytest.raises(MeasureError, match="3 blocks and the other 2"):
        block_losses(llama(layers=3), llama(layers=2), TEXT, protocol=WINDOW)


def test_another_residual_width_is_refused():
    import transformers

    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **{**llama(layers=3).config.to_dict(), "hidden_size": 36, "head_dim": 12, "num_attention_heads": 3}
        )
    ).eval()
    with pytest.raises(MeasureError, match="cannot stand in the original"):
        block_losses(llama(layers=3), other, TEXT, protocol=WINDOW)
