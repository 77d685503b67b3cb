"""How alike the inner states of two models are."""

import copy

import pytest
import torch
from tests.evaluate.models import llama, tokens
from torch import nn

from penjing.errors import MeasureError
from penjing.evaluate.similarity import blocks, similarity
from penjing.maths.cka import linear_cka

BATCHES = [tokens(60, seed=s).reshape(3, 20) for s in range(3)]


@pytest.fixture(scope="module")
def base():
    return llama(layers=3)


@pytest.fixture(scope="module")
def other():
    return llama(layers=2, seed=1)


def naive_states(model, batches):
    """Each block's states of all batches, one below the other, with transformers' own outputs."""
    out = []
    for batch in batches:
        with torch.inference_mode():
            states = model(batch, output_hidden_states=True, use_cache=False).hidden_states
        # the last of them is behind the final norm, so it is left out
        out.append([s.reshape(-1, s.shape[-1]) for s in states[1:-1]])
    return [torch.cat(block) for block in zip(*out, strict=True)]


@pytest.mark.parametrize("unbiased", [True, False])
def test_equals_the_states_written_out(base, other, unbiased):
    found = similarity(base, other, BATCHES, unbiased=unbiased).details["matrix"]
    assert [len(found), len(found[0])] == [3, 2]
    one, two = naive_states(base, BATCHES), naive_states(other, BATCHES)
    for i, x in enumerate(one):
        for j, y in enumerate(two):
            assert found[i][j] == pytest.approx(linear_cka(x, y, unbiased=unbiased), rel=1e-6)


def test_batches_change_nothing(base, other):
    whole = similarity(base, other, [torch.cat(BATCHES)])
    parts = similarity(base, other, BATCHES)
    torch.testing.assert_close(
        torch.tensor(parts.details["matrix"]), torch.tensor(whole.details["matrix"]), rtol=1e-6, atol=1e-6
    )
    assert whole.n == parts.n == 180


def test_with_little_memory_every_so_many_samples_are_looked_at(base, other):
    found = similarity(base, other, BATCHES, memory=5 * 180 * 24 * 4 // 7 + 1)
    assert (found.n, found.details["step"]) == (26, 7)
    one, two = naive_states(base, BATCHES), naive_states(other, BATCHES)
    for i, x in enumerate(one):
        for j, y in enumerate(two):
            assert found.details["matrix"][i][j] == pytest.approx(linear_cka(x[::7], y[::7]), rel=1e-6)


def test_a_model_is_like_itself(base):
    found = similarity(base, base, BATCHES)
    assert found.value == pytest.approx(1)
    assert [found.details["matrix"][i][i] for i in range(3)] == pytest.approx([1, 1, 1])
    assert found.details["nearest"] == [0, 1, 2]


def test_a_dropped_block_shows(base):
    shorter = copy.deepcopy(base)
    del shorter.model.layers[1]
    for i, block in enumerate(shorter.model.layers):
        block.self_attn.layer_idx = i
    shorter.config.num_hidden_layers = 2
    found = similarity(base, shorter, BATCHES)
    assert found.details["matrix"][0][0] == pytest.approx(1)
    assert found.details["base"] == [f"model.layers.{i}" for i in range(3)]
    assert found.details["other"] == [f"model.layers.{i}" for i in range(2)]


def test_unrelated_states_are_near_0():
    g = torch.Generator().manual_seed(0)
    images = [torch.randn(64, 3, 2, 2, generator=g) for _ in range(8)]

    class Noise(nn.Module):
        """States that have nothing to do with the input."""

        def __init__(self, seed: int) -> None:
            super().__init__()
            self.generator = torch.Generator().manual_seed(seed)

        def forward(self, x):
            return torch.randn(len(x), 6, 2, 2, generator=self.generator)

    one, two = (nn.Sequential(nn.Identity(), Noise(s)) for s in (1, 2))
    assert abs(similarity(one, two, images).value) < 0.02


def test_pictures_count_every_place(base):
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1))
    two = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh())
    found = similarity(one, two, [torch.randn(2, 3, 8, 8)])
    assert found.n == 2 * 8 * 8
    assert [len(found.details["matrix"]), len(found.details["matrix"][0])] == [3, 2]


def test_modules_can_be_named(base, other):
    found = similarity(base, other, BATCHES, points="*.mlp.down_proj")
    assert found.details["base"] == [f"model.layers.{i}.mlp.down_proj" for i in range(3)]
    with pytest.raises(MeasureError, match="no module of the first model matches"):
        similarity(base, other, BATCHES, points="nothing*")


def test_inputs_can_have_names(base, other):
    named = [{"input_ids": b} for b in BATCHES]
    assert similarity(base, other, named).value == pytest.approx(similarity(base, other, BATCHES).value)


def test_the_blocks_are_the_longest_outer_list(base):
    assert blocks(base) == [f"model.layers.{i}" for i in range(3)]
    experts = nn.Module()
    experts.layers = nn.ModuleList(nn.ModuleList(nn.Linear(1, 1) for _ in range(5)) for _ in range(2))
    assert blocks(experts) == ["layers.0", "layers.1"]
    with pytest.raises(MeasureError, match="found no list of blocks in Linear"):
        blocks(nn.Linear(2, 2))


def test_progress_counts_batches(base, other):
    told = []
    similarity(base, other, BATCHES, progress=lambda done, whole: told.append((done, whole)))
    assert told == [(i + 1, 3) for i in range(3)]


def test_what_cannot_be_compared_is_refused(base, other):
    with pytest.raises(MeasureError, match="no batches"):
        similarity(base, other, [])
    with pytest.raises(MeasureError, match="found 2 states in all"):
        similarity(base, other, [BATCHES[0][:1, :2]])
    small, large = (nn.Sequential(nn.Conv2d(3, 2, 3, stride=s), nn.ReLU()) for s in (1, 2))
    with pytest.raises(MeasureError, match=r"the blocks give 9, 36 states"):
        similarity(small, large, [torch.randn(1, 3, 8, 8)])
    broken = copy.deepcopy(other)
    broken.model.layers[0].mlp.down_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(MeasureError, match="not finite"):
        similarity(base, broken, BATCHES)


def test_states_that_do_not_vary_are_said_to_be_so():
    still = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    for part in still:
        nn.init.zeros_(part.weight)
    found = similarity(still, nn.Sequential(nn.Linear(3, 2), nn.ReLU()), [torch.randn(9, 3)])
    assert found.value is None
    assert "do not vary" in found.note
    assert found.details["nearest"] == [None, None]


def test_training_mode_and_hooks_are_put_back(base, other):
    before = [len(m._forward_hooks) for m in base.modules()]
    base.train()
    similarity(base, other, BATCHES)
    assert base.training
    assert [len(m._forward_hooks) for m in base.modules()] == before
    base.eval()
