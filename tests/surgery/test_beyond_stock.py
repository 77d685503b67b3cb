"""In memory, a stock module may be cut where no config follows; it is then held to its mask."""

import pytest
import torch
from tests.layouts.zoo import ZOO

from penjing.core import Keep, Plan
from penjing.errors import PlanError
from penjing.layouts import from_config
from penjing.layouts.config.stock import build
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove import proof
from penjing.surgery import apply, masked


def halved(name: str, kind: str):
    layout = from_config(ZOO[name].config)
    module = proof.randomised(build(ZOO[name].config, device="cpu"), 0)
    inputs = {
        k: v.double() if torch.is_tensor(v) and v.is_floating_point() else v
        for k, v in example(module, device="cpu").items()
    }
    axes = [a for a in layout.axes.values() if a.kind == kind and a.state == "free" and a.size > 1]
    return module, layout, Plan(tuple(Keep(a.name, tuple(range(0, a.size, 2))) for a in axes)), inputs


CASES = [("bert", "heads"), ("resnet", "channels")]
HELD = [("qwen2", "heads"), ("vit", "heads")]
"""Their stock code reads an entry, `head_dim`, that their configs leave out: written, it holds fewer heads."""


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_no_config_holds_is_cut_in_memory_and_equals_its_mask(name, kind):
    module, layout, plan, inputs = halved(name, kind)
    with pytest.raises(PlanError):
        apply(module, layout, plan)
    smaller = apply(module, layout, plan, example=inputs, stock=False)
    with torch.no_grad():
        found, expected = smaller(**inputs)[0], masked(module, layout, plan)(**inputs)[0]
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in module.parameters())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "kind"), HELD)
def test_what_an_entry_holds_that_configs_leave_out_is_a_stock_model(name, kind):
    module, layout, plan, inputs = halved(name, kind)
    smaller = apply(module, layout, plan)
    with torch.no_grad():
        found, expected = smaller(**inputs)[0], masked(module, layout, plan)(**inputs)[0]
    assert smaller.config.head_dim == module.config.hidden_size // module.config.num_attention_heads
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_without_an_example_nothing_could_be_held_to():
    module, layout, plan, _ = halved("bert", "heads")
    with pytest.raises(PlanError, match="pass an example"):
        apply(module, layout, plan, stock=False)
