"""A running model: plans tried on it give what the same plans carried out give, and leave no trace."""

import pytest
import torch
import transformers
from torch.nn import functional as F

from penjing import layouts, surgery
from penjing.core import Keep, Mask, Plan, Update
from penjing.errors import DataError
from penjing.running.live import Running

CONFIG = transformers.LlamaConfig(
    vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(CONFIG).eval()


@pytest.fixture(scope="module")
def layout(model):
    return layouts.from_config({**model.config.to_dict(), "architectures": ["LlamaForCausalLM"]})


@pytest.fixture(scope="module")
def rows():
    return torch.randint(50, (5, 12), generator=torch.Generator().manual_seed(1))


def loss(module, rows) -> list[float]:
    with torch.no_grad():
        logits = module(rows).logits
    return [float(F.cross_entropy(o[:-1], r[1:])) for o, r in zip(logits, rows, strict=True)]


def plans(layout):
    name = "model.layers.1.mlp.down_proj.weight"
    half = Keep("neurons.1", tuple(range(0, 24, 2)))
    kept = torch.rand(16, 24, generator=torch.Generator().manual_seed(2)) > 0.5
    return {
        "nothing": Plan(),
        "neurons": Plan((half,)),
        "neurons and new values": Plan((half, Update(name, torch.full((16, 12), 0.1)))),
        "a mask": Plan((Mask(name, kept),)),
        "blocks": Plan((Keep(layout.blocks[0].axis, (0, 2)),)),
    }


@pytest.mark.parametrize("what", ["nothing", "neurons", "neurons and new values", "a mask", "blocks"])
def test_a_plan_tried_gives_what_its_mask_gives(what, model, layout, rows):
    plan = plans(layout)[what]
    live = Running(model, [rows[:3], rows[3:]], layout)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    wanted = loss(surgery.masked(model, layout, plan), rows)
    assert live.values(plan).tolist() == pytest.approx(wanted, abs=1e-5)
    assert live.value(plan, examples=[4, 1]) == pytest.approx((wanted[1] + wanted[4]) / 2, abs=1e-5)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert len(model.model.layers) == 3


def test_the_divergence_is_that_of_the_definition(model, layout, rows):
    plan = plans(layout)["neurons"]
    with torch.no_grad():
        p = F.log_softmax(model(rows).logits, -1)
        q = F.log_softmax(surgery.masked(model, layout, plan)(rows).logits, -1)
    wanted = [
        float(sum((p[i, t].exp() * (p[i, t] - q[i, t])).sum() for t in range(12)) / 12) for i in range(len(rows))
    ]
    live = Running(model, [rows[:3], rows[3:]], layout)
    for _ in range(2):  # the second time the original's predictions are kept
        assert live.values(plan, objective="divergence").tolist() == pytest.approx(wanted, abs=1e-5)
    assert live.value(Plan(), objective="divergence") == pytest.approx(0, abs=1e-6)


def test_gradients_are_those_of_each_example_alone(model, layout, rows):
    name, plan = "model.layers.1.mlp.down_proj.weight", plans(layout)["a mask"]
    live = Running(model, [rows[:3], rows[3:]], layout)
    found = list(live.gradients([name], plan, examples=[0, 4]))
    masked = surgery.masked(model, layout, plan)
    for i, given in zip([0, 4], found, strict=True):
        masked.zero_grad()
        logits = masked(rows[i : i + 1]).logits[0]
        F.cross_entropy(logits[:-1], rows[i, 1:]).backward()
        torch.testing.assert_close(given[name], masked.get_parameter(name).grad, rtol=1e-4, atol=1e-6)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_the_model_is_put_back_when_the_work_is_stopped(model, layout, rows):
    before = {n: t.clone() for n, t in model.state_dict().items()}
    live = Running(model, [rows], layout)
    with pytest.raises(KeyboardInterrupt), live.edited(plans(layout)["blocks"] + plans(layout)["a mask"]):
        raise KeyboardInterrupt
    assert len(model.model.layers) == 3
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_what_is_not_there_is_refused(model, layout, rows):
    with pytest.raises(DataError, match="at least one batch"):
        Running(model, [], layout)
    with pytest.raises(DataError, match="from 0 to 4"):
        Running(model, [rows], layout).value(Plan(), examples=[5])
    with pytest.raises(DataError, match="no tensor"):
        list(Running(model, [rows], layout).gradients(["nothing"], Plan()))
