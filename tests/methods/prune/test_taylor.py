"""First-order Taylor scores against loops written from the papers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Budget, Stats, View
from penjing.errors import DataError, PenjingError
from penjing.methods.prune.taylor import Method, score

REDUCES = ("elements", "tensors", "unit", "squares", "fisher")


def naive(parts, reduce):
    """Weight by weight, as the module's docstring gives the sums."""
    out = []
    for unit in range(len(parts[0][0])):
        tensors = []
        for weights, derivatives in parts:
            tensors.append([(w, g) for w, g in zip(weights[unit].tolist(), derivatives[unit].tolist(), strict=True)])
        every = [pair for pairs in tensors for pair in pairs]
        out.append({
            "elements": sum(abs(w * g) for w, g in every),
            "tensors": sum(abs(sum(w * g for w, g in pairs)) for pairs in tensors),
            "unit": abs(sum(w * g for w, g in every)),
            "squares": sum((w * g) ** 2 for w, g in every),
            "fisher": sum(w**2 * g for w, g in every),  # g is the mean square already
        }[reduce])  # fmt: skip
    return torch.tensor(out, dtype=torch.float64)


def drawn(model, layout, method, seed=0):
    generator = torch.Generator().manual_seed(seed)
    wanted = sorted(method.wants(layout).statistics.items())
    values = {(t, s): torch.randn(model.shapes[t], generator=generator) for t, names in wanted for s in names}
    return Stats(values, samples=7)


@given(
    units=st.integers(1, 5), fans=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=st.integers(0, 99),
    reduce=st.sampled_from(REDUCES),
)  # fmt: skip
def test_equals_the_loop(units, fans, seed, reduce):
    g = torch.Generator().manual_seed(seed)
    parts = [(torch.randn(units, f, generator=g), torch.randn(units, f, generator=g)) for f in fans]
    if reduce == "fisher":
        parts = [(w, d.square()) for w, d in parts]
    torch.testing.assert_close(score(parts, reduce).double(), naive(parts, reduce), rtol=1e-5, atol=1e-7)


def test_the_unit_sum_is_the_change_of_a_loss_that_is_linear_in_the_weights():
    g = torch.Generator().manual_seed(3)
    weight, slope = torch.randn(4, 6, generator=g), torch.randn(4, 6, generator=g)
    losses = [(weight * slope).sum() - (weight * slope)[i].sum() for i in range(4)]
    changes = torch.stack([((weight * slope).sum() - less).abs() for less in losses])
    torch.testing.assert_close(score([(weight, slope)], "unit").float(), changes, rtol=1e-4, atol=1e-5)


def test_every_weight_of_a_unit_counts_readers_too():
    model, layout = llama()
    method = Method()
    wanted = method.wants(layout).statistics
    stats = drawn(model, layout, method)
    assert {t.rsplit(".", 2)[1] for t in wanted} == {"gate_proj", "up_proj", "down_proj"}
    plan = method.plan(View(model, layout, stats, Budget(keep=0.5)))
    for i in range(2):
        mlp = f"model.layers.{i}.mlp."
        parts = [
            (model[f"{mlp}{n}_proj.weight"], stats[f"{mlp}{n}_proj.weight", "loss_gradient"]) for n in ("gate", "up")
        ]
        down = f"{mlp}down_proj.weight"
        parts.append((model[down].T, stats[down, "loss_gradient"].T))
        best = naive(parts, "elements").argsort(descending=True)[: len(plan.keeps()[f"neurons.{i}"])]
        assert plan.keeps()[f"neurons.{i}"] == tuple(sorted(best.tolist()))


def test_a_unit_of_zeros_goes_first():
    model, layout = llama()
    for name in ("gate", "up"):
        model.values[f"model.layers.0.mlp.{name}_proj.weight"][5] = 0
    model.values["model.layers.0.mlp.down_proj.weight"][:, 5] = 0
    plan = Method(multiple=1).plan(View(model, layout, drawn(model, layout, Method()), Budget(keep=23 / 24)))
    assert set(range(24)) - set(plan.keeps()["neurons.0"]) == {5}


def test_heads_are_scored_by_all_their_projections():
    model, layout = llama()
    method = Method(axes="heads.*")
    assert {t.rsplit(".", 2)[1] for t in method.wants(layout).statistics} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    plan = method.plan(View(model, layout, drawn(model, layout, method), Budget(keep=0.5)))
    assert all(len(units) == 1 for units in plan.keeps().values())


@pytest.mark.parametrize(("objective", "reduce", "statistic"), [
    ("loss", "elements", "loss_gradient"), ("entropy", "unit", "entropy_gradient"),
    ("output", "fisher", "output_fisher"),
])  # fmt: skip
def test_the_statistic_follows_the_objective(objective, reduce, statistic):
    wanted = Method(objective=objective, reduce=reduce).wants(llama()[1]).statistics
    assert set(wanted.values()) == {frozenset({statistic})}


def test_global_allocation_gives_axes_different_sizes():
    model, layout = llama()
    method = Method(allocation="global", multiple=1)
    stats = drawn(model, layout, method)
    for (tensor, _), value in stats.values.items():
        value.mul_(100.0 if ".1." in tensor else 1.0)
    sizes = {a: len(u) for a, u in method.plan(View(model, layout, stats, Budget(keep=0.5))).keeps().items()}
    assert sizes["neurons.0"] < sizes.get("neurons.1", 24)


def test_what_is_not_known_or_not_there_is_refused():
    model, layout = llama()
    with pytest.raises(PenjingError, match="objective 'los' is not known; did you mean 'loss'"):
        Method(objective="los").wants(layout)
    with pytest.raises(PenjingError, match="reduce 'sum' is not known"):
        score([(torch.ones(1, 1), torch.ones(1, 1))], "sum")
    with pytest.raises(DataError, match="loss_gradient"):
        Method().plan(View(model, layout, Stats(), Budget(keep=0.5)))
