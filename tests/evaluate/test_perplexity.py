import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluate.models import VOCABULARY, llama, tokens

from penjing.errors import DataError, MeasureError
from penjing.evaluate import Blocks, Rolling, Stride, perplexity
from penjing.evaluate.scoring import nll
from penjing.evaluate.windows import blocks, rolling, strided


@pytest.fixture(scope="module")
def model():
    return llama()


def log_probability(model, context, target):
    """log p(target | context), one token at a time."""
    with torch.no_grad():
        last = model(torch.tensor([context])).logits[0, -1].double()
    return float(last.log_softmax(0)[target])


def naive_blocks(model, text, window, bos):
    losses = []
    step = window if bos is None else window - 1
    for b in range(len(text) // step):
        block = text[b * step : (b + 1) * step]
        loss = []
        for t in range(len(block)):
            context = ([] if bos is None else [bos]) + block[:t]
            if context:
                loss.append(-log_probability(model, context, block[t]))
        losses.append(sum(loss) / len(loss))
    return losses


@pytest.mark.parametrize(("count", "window", "bos"), [(50, 11, None), (47, 9, 1), (30, 30, None)])
def test_blocks_equal_the_loop(model, count, window, bos):
    text = tokens(count)
    losses = naive_blocks(model, text.tolist(), window, bos)
    found = perplexity(model, text, protocol=Blocks(window=window, bos=bos), batch=2)
    mean = sum(losses) / len(losses)
    assert found.value == pytest.approx(math.exp(mean), rel=1e-5)
    torch.testing.assert_close(torch.tensor(found.details["nll"]), torch.tensor(losses), rtol=1e-5, atol=1e-5)
    if len(losses) == 1:
        assert found.spread is None
        assert "one block" in found.note
    else:
        error = torch.tensor(losses).double().std() / math.sqrt(len(losses))
        assert found.spread == pytest.approx(found.value * float(error), rel=1e-4)
    assert found.n == len(losses) * (window - 1)


def naive_rolling(model, documents, window, prefix):
    """Every token once: from the prefix, then from what the harness' disjoint windows leave as context."""
    total = 0.0
    for text in documents:
        for start in range(0, len(text), window):
            end = min(start + window, len(text))
            begin = start - 1 if end - start == window else end - window - 1
            context = [prefix, *text][begin + 1 : start + 1] if begin >= 0 else [prefix, *text[:start]]
            for t in range(start, end):
                total -= log_probability(model, context + text[start:t], text[t])
    return total


@pytest.mark.parametrize("sizes", [(5,), (23, 7, 14), (30,), (8, 1)])
def test_rolling_equals_the_loop(model, sizes):
    documents = [("wörd " * n, tokens(n, seed=n)) for n in sizes]
    found = perplexity(model, documents, protocol=Rolling(window=7, prefix=2))
    total = naive_rolling(model, [ids.tolist() for _, ids in documents], 7, 2)
    size = sum(len(t.encode()) for t, _ in documents)
    assert found.value == pytest.approx(math.exp(total / sum(sizes)), rel=1e-5)
    assert found.n == sum(sizes)
    assert found.details["bits_per_byte"] == pytest.approx(total / math.log(2) / size, rel=1e-5)
    assert found.details["byte_perplexity"] == pytest.approx(math.exp(total / size), rel=1e-5)
    assert found.details["word_perplexity"] == pytest.approx(math.exp(total / sum(sizes)), rel=1e-5)


def naive_stride(model, text, window, stride, bos):
    total, scored = 0.0, 0
    lead = [] if bos is None else [bos]
    room = window - len(lead)
    done = 1 - len(lead)
    start = 0
    while True:
        end = min(start + room, len(text))
        for t in range(done, end):
            total -= log_probability(model, lead + text[start:t], text[t])
            scored += 1
        done = end
        if end == len(text):
            return total, scored
        start += stride


@pytest.mark.parametrize(("window", "stride", "bos"), [(11, 4, None), (11, 10, 1), (9, 1, None), (33, 5, None)])
def test_stride_equals_the_loop(model, window, stride, bos):
    text = tokens(33)
    found = perplexity(model, text, protocol=Stride(window=window, stride=stride, bos=bos), batch=3)
    total, scored = naive_stride(model, text.tolist(), window, stride, bos)
    assert found.value == pytest.approx(math.exp(total / scored), rel=1e-5)
    assert found.n == scored


@settings(deadline=None)
@given(length=st.integers(1, 60), window=st.integers(2, 20), stride=st.integers(1, 20), bos=st.sampled_from([None, 3]))
def test_every_protocol_predicts_each_token_at_most_once(length, window, stride, bos):
    text = torch.arange(length)
    made = {"rolling": rolling([text], window, 0)}
    room = window - (bos is not None)
    if length >= room and stride < window:
        made["stride"] = strided(text, window, stride, bos)
    if length >= room:
        made["blocks"] = blocks(text, window, bos)
    for name, windows in made.items():
        seen = torch.cat([w.targets for w in windows]).tolist()
        assert seen == sorted(set(seen))
        assert all(len(w.inputs) <= window and len(w.targets) <= len(w.inputs) for w in windows)
        if name == "rolling":
            assert seen == list(range(length))
        if name == "stride":
            assert seen == list(range(bos is None, length))


def test_the_protocol_says_everything(model):
    label = perplexity(model, tokens(50), protocol=Blocks(window=11, bos=1)).protocol
    for part in ("perplexity/1", "blocks", "window=11", "bos=1", "tokens=50", "predicted=50", "text=sha256:"):
        assert part in label
    assert label != perplexity(model, tokens(50, seed=1), protocol=Blocks(window=11, bos=1)).protocol


def test_the_default_window_is_the_models_own(model):
    assert "window=96" in perplexity(model, tokens(200)).protocol


def test_any_callable_will_do():
    uniform = perplexity(lambda t: torch.zeros(*t.shape, 8), torch.arange(8).repeat(5), protocol=Blocks(window=10))
    assert uniform.value == pytest.approx(8, rel=1e-6)
    assert uniform.spread == pytest.approx(0, abs=1e-6)


def test_chunks_do_not_change_the_loss(monkeypatch):
    logits, targets = torch.randn(9, 50), torch.randint(50, (7,))
    whole = nll(logits, targets)
    monkeypatch.setattr("penjing.evaluate.scoring._CHUNK_VALUES", 101)
    torch.testing.assert_close(nll(logits, targets), whole)
    expected = torch.nn.functional.cross_entropy(logits[2:].double(), targets, reduction="sum")
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_logits_are_summed_in_float32():
    logits, targets = torch.randn(9, 50).bfloat16(), torch.randint(50, (9,))
    expected = torch.nn.functional.cross_entropy(logits.double(), targets, reduction="sum")
    torch.testing.assert_close(nll(logits, targets), expected, rtol=1e-5, atol=1e-5)


def test_training_mode_comes_back(model):
    model.train()
    perplexity(model, tokens(20), protocol=Blocks(window=10))
    assert model.training
    model.eval()


def test_a_text_shorter_than_a_window_is_refused(model):
    with pytest.raises(DataError, match="the text has 9 tokens, one block needs 10"):
        perplexity(model, tokens(9), protocol=Blocks(window=10))
    with pytest.raises(DataError, match="the text has 9 tokens, one window needs 10"):
        perplexity(model, tokens(9), protocol=Stride(window=10))
    with pytest.raises(DataError, match="document 1 has no tokens"):
        perplexity(model, [("a", tokens(9)), ("", tokens(0))], protocol=Rolling(window=10, prefix=1))
    with pytest.raises(DataError, match="no document"):
        perplexity(model, [], protocol=Rolling(window=10, prefix=1))


def test_a_window_beyond_the_positions_is_refused_with_both_numbers(model):
    with pytest.raises(MeasureError, match=r"127 tokens, the model has 96 positions"):
        perplexity(model, tokens(300), protocol=Blocks(window=128))


def test_tokens_outside_the_vocabulary_are_refused(model):
    text = tokens(20)
    text[13] = VOCABULARY
    with pytest.raises(DataError, match=f"token {VOCABULARY}, the model's vocabulary has {VOCABULARY}"):
        perplexity(model, text, protocol=Blocks(window=10))


def test_nan_logits_name_the_block():
    def broken(t):
        out = torch.zeros(*t.shape, 8)
        out[(t == 7).any(1)] = torch.nan
        return out

    text = torch.zeros(40, dtype=torch.long)
    text[23] = 7
    with pytest.raises(MeasureError, match=r"NaN logits in block 2 \(tokens 21 to 29\)"):
        perplexity(broken, text, protocol=Blocks(window=10))


def test_tokens_of_a_wrong_shape_are_refused(model):
    with pytest.raises(DataError, match="one row of token numbers"):
        perplexity(model, tokens(20)[None], protocol=Blocks(window=10))


def test_a_model_without_logits_is_refused():
    with pytest.raises(MeasureError, match="causal language models"):
        perplexity(lambda t: torch.zeros(len(t), 8), torch.arange(8).repeat(5), protocol=Blocks(window=10))
