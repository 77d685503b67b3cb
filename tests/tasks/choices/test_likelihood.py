import inspect
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluate.language import model, naive

from penjing.errors import DataError, MeasureError
from penjing.tasks.choices import Request, log_likelihoods
from penjing.tasks.choices.cached import cacheable

KINDS = ("llama", "gpt2", "mistral", "mamba")


def made(seed, contexts=4, choices=3, longest=6):
    """Requests as questions make them: some contexts of different length, each with some continuations."""
    draw = random.Random(seed)
    out = []
    for _ in range(contexts):
        context = tuple(draw.randrange(2, 300) for _ in range(draw.randint(1, 21)))
        out += [
            Request(context, tuple(draw.randrange(2, 300) for _ in range(draw.randint(1, longest))))
            for _ in range(draw.randint(1, choices))
        ]
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [True, False])
def test_equals_the_loop(kind, share):
    module, requests = model(kind), made(1)
    found = log_likelihoods(module, requests, share=share, batch=3)
    for r, value, greedy in zip(requests, found.values, found.greedy, strict=True):
        total, best = naive(module, r.context, r.continuation)
        assert value == pytest.approx(total, abs=1e-4)
        assert greedy == best


@settings(max_examples=12)
@given(seed=st.integers(0, 999), batch=st.integers(1, 5), longest=st.integers(1, 9))
def test_sharing_changes_nothing(seed, batch, longest):
    requests = made(seed, longest=longest)
    shared = log_likelihoods(model(), requests, batch=batch)
    apart = log_likelihoods(model(), requests, share=False, batch=batch)
    assert shared.values == pytest.approx(apart.values, abs=1e-4)
    assert shared.greedy == apart.greedy


def test_which_models_share():
    assert [cacheable(model(kind)) for kind in KINDS] == [True, True, True, False]
    assert not cacheable(lambda t: t)
    assert not cacheable(torch.nn.Linear(2, 2))


@pytest.fixture
def counted(monkeypatch):
    """What goes through the model: the shape of each forward's tokens."""
    seen = []
    plain = type(model()).forward

    def forward(self, input_ids, **rest):
        seen.append(tuple(input_ids.shape))
        return plain(self, input_ids, **rest)

    forward.__signature__ = inspect.signature(plain)
    monkeypatch.setattr(type(model()), "forward", forward)
    return seen


def test_one_token_choices_need_one_forward(counted):
    contexts = [(5, 6, 7), (8, 9, 10, 11)]
    log_likelihoods(model(), [Request(c, (a,)) for c in contexts for a in (20, 21, 22, 23)])
    assert counted == [(2, 4)]


def test_a_context_is_run_once(counted):
    context = tuple(range(2, 90))
    log_likelihoods(model(), [Request(context, (a, 5, 6)) for a in (20, 21, 22, 23)])
    assert counted == [(1, 88), (4, 2)]


def test_without_keys_one_token_choices_still_share_a_row():
    module, requests = model("mamba"), [Request((5, 6, 7), (a,)) for a in (20, 21, 22)]
    rows = []
    with module.register_forward_pre_hook(lambda _, args: rows.append(len(args[0]))):
        log_likelihoods(module, requests)
    assert rows == [1]


def test_the_same_request_twice_is_run_once(counted):
    request = Request((5, 6), (7, 8))
    found = log_likelihoods(model(), [request, request, request])
    assert len(set(found.values)) == 1
    assert counted == [(1, 3)]


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_pieces_change_nothing(kind, monkeypatch):
    requests = [*made(5), Request((3, 4), tuple(range(5, 60))), Request((3, 4), tuple(range(50, 5, -1)))]
    whole = log_likelihoods(model(kind), requests)
    monkeypatch.setattr("penjing.tasks.choices.likelihood._PIECE_VALUES", 300 * 4)
    monkeypatch.setattr("penjing.tasks.choices.likelihood._CHUNK_VALUES", 300 * 3)
    pieces = log_likelihoods(model(kind), requests)
    assert pieces.values == pytest.approx(whole.values, abs=1e-4)
    assert pieces.greedy == whole.greedy


def test_logits_stay_within_the_limit(monkeypatch):
    """Forwards of a long continuation give no more values at once than the limit allows."""
    monkeypatch.setattr("penjing.tasks.choices.likelihood._PIECE_VALUES", 300 * 8)
    module, sizes = model(), []
    with module.register_forward_hook(lambda m, args, out: sizes.append(out.logits.numel())):
        log_likelihoods(module, [Request(tuple(range(2, 30)), tuple(range(2, 102)))])
    assert max(sizes) <= 300 * 8


@pytest.mark.parametrize("share", [True, False])
def test_contexts_too_long_lose_their_beginning_and_are_counted(share):
    module = model(positions=16)
    context = tuple(range(2, 40))
    requests = [Request(context, (50, 51)), Request(context, (52,)), Request((5, 6), (52, 53))]
    found = log_likelihoods(module, requests, share=share)
    assert found.truncated == 2
    # 16 positions take 15 tokens of context and the first of the continuation; the last goes in nowhere.
    assert found.values[0] == pytest.approx(naive(module, context[-15:], (50, 51))[0], abs=1e-4)
    assert found.values[1] == pytest.approx(naive(module, context[-16:], (52,))[0], abs=1e-4)


def test_a_continuation_longer_than_the_model_is_refused_by_name():
    requests = [Request((5,), (6,)), Request((5,), tuple(range(2, 19)))]
    with pytest.raises(MeasureError, match="choice 1 of item x has a continuation of 17 tokens, the model has 16"):
        log_likelihoods(model(positions=16), requests, names=["choice 0 of item x", "choice 1 of item x"])


def test_tokens_outside_the_vocabulary_are_refused():
    with pytest.raises(DataError, match="request 0 has token 300, the model's vocabulary has 300"):
        log_likelihoods(model(), [Request((5, 300), (6,))])


@pytest.mark.parametrize("share", [True, False])
def test_nan_logits_are_refused_by_name(share):
    module = model("gpt2", positions=32)

    def spoil(_module, _arguments, output):
        output.logits.fill_(torch.nan)

    requests = [Request((5, 6), (7, 8)), Request((5, 6), (9,))]
    with module.register_forward_hook(spoil), pytest.raises(MeasureError, match="NaN logits for request 0"):
        log_likelihoods(module, requests, share=share)


def test_a_model_without_logits_is_refused():
    with pytest.raises(MeasureError, match="causal language models"):
        log_likelihoods(lambda t: torch.zeros(len(t), 8), [Request((1,), (2,))])


def test_any_callable_will_do():
    found = log_likelihoods(lambda t: torch.zeros(*t.shape, 8), [Request((1, 2), (3, 4)), Request((1,), (2,))])
    assert found.values == pytest.approx((-2 * torch.tensor(8.0).log().item(), -torch.tensor(8.0).log().item()))


def test_progress_ends_at_all():
    seen = []
    requests = [*made(2), *made(2)]
    log_likelihoods(model(), requests, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (len(requests), len(requests))
    assert seen == sorted(seen)


def test_training_mode_comes_back():
    module = model().train()
    log_likelihoods(module, made(3))
    assert module.training
    module.eval()
