"""NIRVANA's scores, shares and gamma against loops written from the paper."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, layout_of, llama

from penjing import layouts, surgery
from penjing.core import Axis, Budget, Stats, View
from penjing.errors import BudgetError, DataError, PenjingError
from penjing.methods.prune.nirvana import Method, importance, score

BOTH = "neurons.*,heads.*"
HEADS, QUERIES, DIMS, WIDTH, NEURONS = 2, 2, 4, 16, 24


def naive_scores(model, stats, block):
    """Weight by weight: each MLP unit's gate, up and down; each key-value head with its query heads and its columns."""

    def saliency(name, i, j):
        tensor = f"model.layers.{block}.{name}.weight"
        return abs(float(model[tensor][i, j]) * float(stats[tensor, "output_gradient"][i, j]))

    neurons = [
        sum(saliency(f"mlp.{n}_proj", u, j) for n in ("gate", "up") for j in range(WIDTH))
        + sum(saliency("mlp.down_proj", i, u) for i in range(WIDTH))
        for u in range(NEURONS)
    ]
    heads = []
    for h in range(HEADS):
        total = 0.0
        for row in range(h * DIMS, (h + 1) * DIMS):
            total += sum(saliency(f"self_attn.{n}_proj", row, j) for n in "kv" for j in range(WIDTH))
        for row in range(h * QUERIES * DIMS, (h + 1) * QUERIES * DIMS):
            total += sum(saliency("self_attn.q_proj", row, j) for j in range(WIDTH))
            total += sum(saliency("self_attn.o_proj", i, row) for i in range(WIDTH))
        heads.append(total)
    return neurons, heads


def naive_gamma(stats, blocks):
    """(I_attn / p_attn) / (I_mlp / p_mlp), the variances channel by channel, of the median unit."""
    heads, neurons = [], []
    for i in range(blocks):
        for per, units, name in ((QUERIES * DIMS, heads, "self_attn.o_proj"), (1, neurons, "mlp.down_proj")):
            tensor = f"model.layers.{i}.{name}.weight"
            energy, mean = stats[tensor, "input_energy"], stats[tensor, "input_mean"]
            variances = [max(0.0, float(e) - float(m) ** 2) for e, m in zip(energy, mean, strict=True)]
            units += [sum(variances[c : c + per]) for c in range(0, len(variances), per)]
    p_attn, p_mlp = 2 * DIMS * (QUERIES + 1) * WIDTH, 3 * WIDTH

    def middle(values):
        return sorted(values)[(len(values) - 1) // 2]

    return (middle(heads) / p_attn) / (middle(neurons) / p_mlp)


def drawn(model, layout, method, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for tensor, names in sorted(method.wants(layout).statistics.items()):
        inputs = torch.randn(30, model.shapes[tensor][-1], generator=generator) * (3 if "o_proj" in tensor else 1)
        found = {"input_mean": inputs.mean(0), "input_energy": inputs.square().mean(0)}
        found["output_gradient"] = torch.randn(model.shapes[tensor], generator=generator)
        values |= {(tensor, s): found[s] for s in names}
    return Stats(values, samples=30)


@given(units=st.integers(1, 5), fans=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_score_is_the_sum_over_all_weights_one_by_one(units, fans, seed):
    g = torch.Generator().manual_seed(seed)
    parts = [(torch.randn(units, f, generator=g), torch.randn(units, f, generator=g)) for f in fans]
    naive = [sum(abs(float(a * b)) for w, d in parts for a, b in zip(w[u], d[u], strict=True)) for u in range(units)]
    torch.testing.assert_close(score(parts), torch.tensor(naive).double(), rtol=1e-5, atol=1e-7)


@given(units=st.integers(1, 5), channels=st.lists(st.integers(1, 6), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_the_importance_is_the_variance_of_samples_added_up(units, channels, seed):
    g = torch.Generator().manual_seed(seed)
    samples = [torch.randn(9, units, c, generator=g) for c in channels]
    naive = torch.zeros(units)
    for x in samples:
        for u in range(units):
            for c in range(x.shape[2]):
                naive[u] += x[:, u, c].var(unbiased=False)
    found = importance((x.square().mean(0), x.mean(0)) for x in samples)
    torch.testing.assert_close(found.float(), naive, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_the_best_units_of_the_loop_stay(allocation):
    model, layout = llama()
    method = Method(axes=BOTH, allocation=allocation, gamma=0.3, multiple=1)
    stats = drawn(model, layout, method)
    keeps = method.plan(View(model, layout, stats, Budget(keep=0.55))).keeps()
    for i in range(2):
        for kind, scores in zip(("neurons", "heads"), naive_scores(model, stats, i), strict=True):
            units = keeps[f"{kind}.{i}"]
            assert set(units) == set(torch.tensor(scores).argsort(descending=True)[: len(units)].tolist())
    assert {len(keeps[f"heads.{i}"]) for i in range(2)} == {1}
    if allocation == "global":
        left = sorted((s for i in range(2) for s in naive_scores(model, stats, i)[0]), reverse=True)
        kept = [naive_scores(model, stats, i)[0][u] for i in range(2) for u in keeps[f"neurons.{i}"]]
        assert sorted(kept, reverse=True) == left[: len(kept)]


@pytest.mark.parametrize("seed", range(3))
def test_gamma_is_that_of_the_loop(seed):
    model, layout = llama()
    method = Method(axes=BOTH)
    stats = drawn(model, layout, method, seed)
    rates = method.plan(View(model, layout, stats, Budget(keep=0.7))).made["rates"]
    assert rates["neurons"] / rates["heads"] == pytest.approx(naive_gamma(stats, 2), rel=1e-5)


def test_kinds_lose_units_in_the_ratio_gamma_and_the_budget_is_met():
    model, layout = llama(neurons=64)
    method = Method(axes=BOTH, gamma=0.5, multiple=1)
    keeps = method.plan(View(model, layout, drawn(model, layout, method), Budget(keep=0.6))).keeps()
    attention, mlp = 2 * DIMS * (QUERIES + 1) * HEADS * WIDTH, 3 * 64 * WIDTH
    share = 0.4 * (attention + mlp) / (attention + 0.5 * mlp)
    lost = round(share * HEADS)
    assert [HEADS - len(keeps[f"heads.{i}"]) for i in range(2)] == [lost, lost]
    rest = (0.4 * (attention + mlp) - lost / HEADS * attention) / mlp
    assert [64 - len(keeps[f"neurons.{i}"]) for i in range(2)] == [round(64 * rest)] * 2


def test_only_what_gamma_needs_is_asked_for():
    _, layout = llama()
    gradient = frozenset({"output_gradient"})
    for method in (Method(), Method(axes="heads.*"), Method(axes=BOTH, gamma=2.0)):
        assert set(method.wants(layout).statistics.values()) == {gradient}
    wanted = Method(axes=BOTH).wants(layout).statistics
    more = {t for t, names in wanted.items() if names != gradient}
    assert {t.rsplit(".", 2)[1] for t in more} == {"o_proj", "down_proj"}
    assert {wanted[t] for t in more} == {gradient | {"input_energy", "input_mean"}}
    assert set(Method(objective="loss").wants(layout).statistics.values()) == {frozenset({"loss_gradient"})}


def test_biases_count():
    g = torch.Generator().manual_seed(0)
    shapes = {"up.weight": (5, 3), "up.bias": (5,), "down.weight": (2, 5), "down.bias": (2,)}
    model = Tensors({n: torch.randn(s, generator=g) for n, s in shapes.items()}, {})
    patterns = {"up.weight": "neurons.0 3", "up.bias": "neurons.0", "down.weight": "2 neurons.0", "down.bias": "2"}
    layout = layout_of(model, patterns, [Axis(name="neurons.0", size=5, state="free")], {"down.weight": (1,)})
    values = {(n, "output_gradient"): torch.zeros(s) for n, s in shapes.items()}
    values["up.bias", "output_gradient"] = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0])
    plan = Method(axes=BOTH, multiple=1).plan(View(model, layout, Stats(values), Budget(keep=0.4)))
    assert plan.keeps() == {"neurons.0": (1, 4)}
    assert "rates" not in plan.made


def test_heads_that_round_to_none_stay_whole_and_the_plan_says_so():
    model, layout = llama()
    method = Method(axes=BOTH, gamma=20.0, multiple=1)
    plan = method.plan(View(model, layout, drawn(model, layout, method), Budget(keep=0.8)))
    assert len(plan.keeps().get("heads.0", range(HEADS))) == HEADS
    assert len(plan.keeps()["neurons.0"]) == round(NEURONS - 0.2 * (768 + 1152) / 48)
    assert plan.made["notes"][0].startswith("heads stay whole: ")


@pytest.mark.parametrize("axes", ["heads.*", BOTH])
def test_heads_go_to_a_number_that_stock_code_opens(axes):
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32, "hidden_size": 36,
        "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 9, "num_key_value_heads": 9,
        "head_dim": 4, "tie_word_embeddings": True,
    }  # fmt: skip
    layout = layouts.from_config(config)
    g = torch.Generator().manual_seed(0)
    shapes = {n: tuple(t.shape) for n, t in layouts.build(config).state_dict().items() if n != "lm_head.weight"}
    model = Tensors({n: torch.randn(s, generator=g) for n, s in shapes.items()}, config)
    method = Method(axes=axes, gamma=1.0)
    plan = method.plan(View(model, layout, drawn(model, layout, method), Budget(keep=0.75)))
    assert len(plan.keeps()["heads.0"]) == 6  # 7 is nearest, and 36 is no multiple of it
    assert surgery.verify(model, layout, plan).config["num_attention_heads"] == 6


def test_what_is_not_known_or_not_there_is_refused():
    model, layout = llama()
    method = Method(axes=BOTH)
    stats = drawn(model, layout, method)
    with pytest.raises(PenjingError, match="objective 'outputs' is not known; did you mean 'output'"):
        Method(objective="outputs").wants(layout)
    with pytest.raises(BudgetError, match="gamma is 0"):
        Method(axes=BOTH, gamma=0.0).plan(View(model, layout, stats, Budget(keep=0.5)))
    still = {k: torch.zeros_like(v) if k[1].startswith("input") else v for k, v in stats.values.items()}
    with pytest.raises(DataError, match="set gamma"):
        method.plan(View(model, layout, Stats(still), Budget(keep=0.5)))
    with pytest.raises(DataError, match="output_gradient"):
        Method().plan(View(model, layout, Stats(), Budget(keep=0.5)))
