"""47 kinds of transformers models through one path: what is found, and that it is true."""

import pytest
import torch
from tests.layouts.zoo import ZOO

from penjing.core.pattern import kept_positions
from penjing.layouts import from_config, hold
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.derive import traced
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove import proof

FAMILIES = [pytest.param(n, marks=() if f.main else pytest.mark.nightly) for n, f in ZOO.items()]


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", FAMILIES)
def test_axes_are_found_and_cutting_them_equals_masking_them(name):
    family = ZOO[name]
    layout = traced(build(family.config))
    states = [a.state for a in layout.axes.values()]
    free = {a.name for a in layout.axes.values() if a.state == "free"}
    assert len(free) >= family.free, sorted(free)
    assert states.count("sensitive") >= family.sensitive
    assert family.kinds <= {layout.axes[a].kind for a in free}
    module = build(family.config, device="cpu")
    results = proof.prove(module, (), example(module, device="cpu"))
    assert free <= set(results) | {""}
    wrong = {n: r.error for n, r in results.items() if r.changed and not r.ok}
    assert not wrong


STOCK = [
    ("llama", {"neurons": 12}),
    ("llama", {"heads": 1}),
    ("llama", {"queries": 1}),
    pytest.param("qwen3", {"neurons": 12}, marks=pytest.mark.nightly),
    pytest.param("qwen3", {"heads": 1}, marks=pytest.mark.nightly),
    pytest.param("qwen3", {"queries": 1}, marks=pytest.mark.nightly),
    pytest.param("mixtral", {"neurons": 12}, marks=pytest.mark.nightly),
    pytest.param("mixtral", {"heads": 1}, marks=pytest.mark.nightly),
    ("gpt2", {"neurons": 12}),
    pytest.param("phi3", {"neurons": 12}, marks=pytest.mark.nightly),
    ("vit", {"neurons": 12}),
    pytest.param("opt", {"neurons": 12}, marks=pytest.mark.nightly),
    pytest.param("t5", {"neurons": 12}, marks=pytest.mark.nightly),
    pytest.param("t5", {"heads": 2}, marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("name", "wanted"), STOCK)
def test_the_stock_model_of_the_held_config_computes_what_masking_computes(name, wanted):
    config = ZOO[name].config
    layout = from_config(config)
    chosen = [a for a in layout.axes.values() if a.kind in wanted and a.state == "free"]
    assert chosen
    generator = torch.Generator().manual_seed(0)
    keep = {a.name: torch.randperm(a.size, generator=generator)[: wanted[a.kind]].sort().values for a in chosen}
    new = hold(config, layout, {a: len(units) for a, units in keep.items()})
    assert new != full_config(config)
    whole = proof.randomised(build(config, device="cpu"), 0)
    kept = {a: torch.zeros(layout.axes[a].size, dtype=torch.bool).index_fill(0, u, True) for a, u in keep.items()}
    weights, masked = {}, {}
    for tensor, value in whole.state_dict().items():
        pattern = layout.patterns[layout.aliases.get(tensor, tensor)]
        cut, zeroed = value, value.clone()
        for dim, places in enumerate(kept_positions(pattern, kept)):
            if places is not None:
                cut = cut.index_select(dim, places)
                gone = torch.ones(value.shape[dim], dtype=torch.bool).index_fill(0, places, False)
                zeroed.index_fill_(dim, gone.nonzero().flatten(), 0.0)
        weights[tensor], masked[tensor] = cut, zeroed
    small = build(new, device="cpu").to(next(iter(weights.values())).dtype)
    small.load_state_dict(weights, strict=True)
    whole.load_state_dict(masked, strict=True)
    inputs = example(whole, device="cpu")
    inputs = {k: v.to(torch.float64) if torch.is_tensor(v) and v.is_floating_point() else v for k, v in inputs.items()}
    with torch.no_grad():
        found, expected = small.to(torch.float64)(**inputs).logits, whole.to(torch.float64)(**inputs).logits
    torch.testing.assert_close(
        found, expected, rtol=0, atol=1e-6 * float(expected.abs().max())
    )  # rotary code is float32


def test_the_layout_of_a_70b_shape_has_every_block():
    shape = {"hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8}
    layout = traced(build({**ZOO["llama"].config, **shape, "intermediate_size": 28672}))
    assert len(layout.patterns) == 723
    assert sorted(a.size for a in layout.axes.values() if a.kind == "neurons") == [28672] * 80
    assert layout.axes["neurons.79"].state == "free"
