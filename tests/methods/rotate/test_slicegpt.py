"""SliceGPT with one rotation: the moment and the axes of the paper, what a cut costs, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests import trained as tiny
from tests.conformance.conftest import held_out, logits, streamed, subject, trained  # noqa: F401

from penjing import surgery
from penjing.core import Axis, Budget, Layout, Plan, Rotate
from penjing.errors import BudgetError, UnsupportedError
from penjing.maths.pca import random_orthogonal
from penjing.select.streams import basis, moment, rounding


def naive(inputs, gain, bias):
    """[n n]: the mean of z z' over samples, z being what a norm makes before its gain and bias."""
    out = torch.zeros(len(gain), len(gain), dtype=torch.float64)
    for y in inputs:
        z = (y - bias) / gain
        out += torch.outer(z, z)
    return out / len(inputs)


@given(size=st.integers(1, 7), samples=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_moment_is_that_before_gain_and_bias(size, samples, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.randn(samples, size, generator=g, dtype=torch.float64)
    gain = torch.rand(size, generator=g, dtype=torch.float64) + 0.5
    bias = torch.randn(size, generator=g, dtype=torch.float64)
    found = moment(y.T @ y / samples, gain, bias, y.mean(0))
    torch.testing.assert_close(found, naive(y, gain, bias), rtol=1e-9, atol=1e-9)


def test_a_unit_that_nobody_sees_carries_nothing():
    found = moment(torch.eye(3), torch.tensor([1.0, 0.0, 2.0]), torch.zeros(3), torch.zeros(3))
    assert found.tolist() == [[1.0, 0, 0], [0, 0, 0], [0, 0, 0.25]]


@given(size=st.integers(2, 9), seed=st.integers(0, 99), data=st.data())
def test_what_is_kept_holds_the_most_energy_and_stays_so_when_turned(size, seed, data):
    kept = data.draw(st.integers(1, size))
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(20, size, generator=g, dtype=torch.float64)
    m = x.T @ x
    plain = basis([m], kept, layer=False, damping=0.0, turn=None).double()
    turned = basis([m, m], kept, layer=False, damping=0.0, turn=g).double()
    most = torch.linalg.eigvalsh(m).flip(0)[:kept].sum()
    for found in (plain, turned):
        torch.testing.assert_close(found.T @ found, torch.eye(kept, dtype=torch.float64), rtol=0, atol=1e-5)
        torch.testing.assert_close((found.T @ m @ found).trace(), most, rtol=1e-5, atol=1e-6)


@given(size=st.integers(3, 9), seed=st.integers(0, 99))
def test_of_layer_norms_the_direction_of_the_mean_stays(size, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(20, size, generator=g, dtype=torch.float64)
    found = basis([x.T @ x], size - 1, layer=True, damping=0.01, turn=g).double()
    ones = found.T @ torch.ones(size, dtype=torch.float64)
    torch.testing.assert_close(ones, ones[0].expand(size - 1), rtol=1e-5, atol=1e-5)


def test_everything_kept_is_the_same_function(trained):  # noqa: F811
    plan = trained.plan("slicegpt", Budget(keep=1.0))
    rows = trained.rows[:4]
    before, module = logits(trained.module(torch.float32), rows), trained.module(torch.float32)
    after = logits(surgery.apply(module, trained.layout, plan), rows)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-4)


def test_principal_axes_beat_random_ones_and_less_costs_more(trained, held_out):  # noqa: F811
    def of(plan):
        return tiny.perplexity(surgery.apply(trained.module(), trained.layout, plan), held_out)

    plans = [trained.plan("slicegpt", Budget(keep=k)) for k in (0.8, 0.6)]
    (edit,) = plans[1].edits
    size, kept = edit.basis.shape
    drawn = random_orthogonal(size, torch.Generator().manual_seed(0))[:, :kept].float()
    first, second = (of(p) for p in plans)
    assert first < second < of(Plan((Rotate(edit.axis, drawn),)))


def test_what_is_written_is_what_was_told_and_opens_with_stock(trained, tmp_path):  # noqa: F811
    plan = trained.plan("slicegpt", Budget(keep=0.75))
    with trained.open() as checkpoint:
        told = surgery.verify(checkpoint, trained.layout, plan).after
    out = streamed(trained, plan, tmp_path / "out")
    module = tiny.load(out)
    assert sum(p.numel() for p in module.parameters()) == told.parameters
    in_memory = surgery.apply(trained.module(), trained.layout, plan)
    assert torch.equal(logits(module, trained.rows[:2]), logits(in_memory, trained.rows[:2]))


def test_a_limit_of_parameters_holds_with_the_tied_embedding_stored_apart(trained):  # noqa: F811
    with trained.open() as checkpoint:
        whole = surgery.verify(checkpoint, trained.layout, Plan()).after.parameters
        plan = trained.plan("slicegpt", Budget(parameters=int(0.8 * whole)))
        assert 0.6 * whole < surgery.verify(checkpoint, trained.layout, plan).after.parameters <= 0.8 * whole


def test_a_small_tied_model_that_would_grow_is_refused_with_the_arithmetic(tmp_path):
    config = {**tiny.CONFIG, "tie_word_embeddings": True, "vocab_size": 4000, "num_hidden_layers": 1}
    tiny.build(config).save_pretrained(tmp_path / "m")
    rows = torch.arange(64).view(2, 32)
    with pytest.raises(BudgetError, match="has to be stored apart from the head"):
        subject_of(tmp_path / "m", rows).plan("slicegpt", Budget(keep=0.9))


def subject_of(folder, rows):
    return subject(folder, rows)


def test_norms_behind_the_sum_are_refused_with_the_reason(tmp_path):
    import transformers

    config = transformers.BertConfig(
        vocab_size=61, hidden_size=24, num_hidden_layers=1, num_attention_heads=3, intermediate_size=37,
        max_position_embeddings=32,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path / "m")
    one = subject(tmp_path / "m", torch.arange(32).view(2, 16))
    from penjing.methods import METHODS

    with pytest.raises(UnsupportedError, match="no stream of this model can be rotated"):
        METHODS.build("slicegpt", {}).wants(one.layout)


SIZES = [(576, 9, 72), (4096, 32, 32), (64, 4, 8), (60, 3, 3), (64, 1, 8)]


@pytest.mark.parametrize(("size", "heads", "wanted"), SIZES)
def test_widths_are_those_that_heads_divide(size, heads, wanted):
    axes = {"heads.0": Axis(name="heads.0", size=heads, state="free")}
    stream = Axis(name="residual", size=size, state="sensitive", reason="mean")
    assert rounding(Layout(patterns={}, axes={**axes, "residual": stream}), stream) == wanted
