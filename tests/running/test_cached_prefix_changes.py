"""What was kept of earlier blocks is used no more once weights, parts, batches, edits, hooks or casts have changed."""

import pytest
import torch
from tests.running.prefixed import blocks, fresh, masks, model
from torch import Tensor, nn

from penjing.running import live as live_file
from penjing.running.live import Running


def _in_place(weight: Tensor) -> None:
    with torch.no_grad():
        weight.mul_(1.5)


def _by_data(weight: Tensor) -> None:
    weight.data.mul_(1.5)


def _by_numpy(weight: Tensor) -> None:
    weight.detach().numpy()[:] *= 1.5


def _exchanged(weight: Tensor) -> None:
    weight.data.copy_(weight.data.flip(1))


@pytest.mark.parametrize("change", [_in_place, _by_data, _by_numpy, _exchanged])
@pytest.mark.parametrize("of", ["model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight"])
def test_after_a_change_of_the_weights_all_is_run_again(change, of):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    weight = module.get_parameter(of)
    before, old = weight.detach().clone(), [live.values(last) for _ in range(3)][-1]
    try:
        change(weight)
        for _ in range(2):
            assert torch.equal(live.values(last), fresh("llama", last))
        assert not torch.equal(live.values(last), old)
    finally:
        weight.data.copy_(before)
    assert torch.equal(live.values(last), old)


def test_after_a_change_of_a_part_or_its_attributes_all_is_run_again():
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    old = [live.values(last) for _ in range(3)][-1]
    attention, mlp = blocks("llama")[0].self_attn, blocks("llama")[0].mlp
    scaling, activation = attention.scaling, mlp.act_fn
    try:
        attention.scaling = 2 * scaling
        assert torch.equal(live.values(last), fresh("llama", last))
        attention.scaling, mlp.act_fn = scaling, nn.Tanh()
        found = live.values(last)
        assert torch.equal(found, fresh("llama", last))
        assert not torch.equal(found, old)
    finally:
        attention.scaling, mlp.act_fn = scaling, activation


def test_after_a_change_of_a_batch_it_is_run_again():
    module, layout, data = model("llama")
    own = [{k: v.clone() for k, v in b.items()} for b in data]
    live, last = Running(module, own, layout), masks("llama")[2]
    old = [live.values(last) for _ in range(3)][-1]
    own[1]["input_ids"][:, 2] = 5
    for _ in range(3):
        found = live.values(last)
        assert torch.equal(found, Running(module, own, layout).values(last))
    assert torch.equal(found[:6], old[:6])
    assert not torch.equal(found[6:], old[6:])


def test_under_another_edit_all_is_run():
    module, layout, data = model("llama")
    live, (first, _, last) = Running(module, data, layout), masks("llama")
    old = [live.values(last) for _ in range(3)][-1]
    with live.edited(first):
        for _ in range(3):
            assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)
    name = "model.layers.2.mlp.down_proj.weight"
    for _ in live.gradients([name], first, examples=[0]):
        assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)


def test_the_edits_of_another_running_model_are_seen():
    module, layout, data = model("llama")
    live, other, (first, _, last) = Running(module, data, layout), Running(module, data, layout), masks("llama")
    old = [live.values(last) for _ in range(3)][-1]
    with other.edited(first):
        for _ in range(3):
            assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_blocks_are_put_back_when_the_work_is_stopped(error, calls, monkeypatch):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    old = fresh("llama", last)
    for _ in range(calls):
        live.values(last)
    with monkeypatch.context() as patch:

        def failing(*args, **kwargs):
            raise error

        patch.setattr(module.model.norm, "forward", failing)
        with pytest.raises((error, live_file.DataError)):
            live.values(last)
    assert all("forward" not in vars(b) for b in blocks("llama"))
    assert torch.equal(live.values(last), old)


@pytest.mark.parametrize("at", [0, 2])
def test_a_hook_is_heeded(at):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(3):
        live.values(last)
    seen: list[int] = []
    handle = blocks("llama")[at].mlp.register_forward_hook(lambda m, args, out: seen.append(1) or 2 * out)
    try:
        assert torch.equal(live.values(last), fresh("llama", last))
        assert len(seen) == 4
    finally:
        handle.remove()
    assert torch.equal(live.values(last), fresh("llama", last))


@pytest.mark.parametrize("more", [{"use_cache": True}, {"output_hidden_states": True}, {"output_attentions": True}])
def test_caches_and_further_outputs_change_nothing(more):
    module, layout, data = model("llama")
    rows = [{**b, **more} for b in data]
    live, (_, middle, last) = Running(module, rows, layout), masks("llama")
    for plan in (last, middle, last, middle, last):
        assert torch.equal(live.values(plan), Running(module, rows, layout).values(plan))


def test_under_other_casts_all_is_run_again():
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(3):
        live.values(last)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            assert torch.equal(live.values(last), fresh("llama", last))
    assert torch.equal(live.values(last), fresh("llama", last))
