import pytest
import torch
from tests.evaluate.models import llama, tokens

from penjing.errors import MeasureError
from penjing.evaluate import Blocks, Rolling, fidelity, perplexity
from penjing.evaluate.fidelity import compare_rows


def test_equals_the_loop():
    base, other = llama(), llama(seed=1)
    text = tokens(33)
    found = fidelity(base, other, text, protocol=Blocks(window=11), batch=2)
    divergence, agree, count = 0.0, 0, 0
    for block in text.split(11):
        with torch.no_grad():
            p, q = (m(block[None]).logits[0, :-1].double().softmax(1) for m in (base, other))
        for one, two in zip(p, q, strict=True):
            divergence += sum(float(a * (a / b).log()) for a, b in zip(one, two, strict=True))
            agree += int(one.argmax() == two.argmax())
            count += 1
    assert found.divergence.value == pytest.approx(divergence / count, rel=1e-4)
    assert found.agreement.value == pytest.approx(agree / count)
    assert found.divergence.n == count
    assert found.divergence.spread > 0


def test_the_perplexities_are_those_of_each_alone():
    base, other, text = llama(), llama(seed=1), [("some text", tokens(33)), ("more", tokens(20, seed=2))]
    for protocol in (Blocks(window=11), Rolling(window=11, prefix=1)):
        found = fidelity(base, other, text, protocol=protocol)
        assert found.base == perplexity(base, text, protocol=protocol)
        assert found.other == perplexity(other, text, protocol=protocol)


def test_a_model_agrees_with_itself():
    found = fidelity(llama(), llama(), tokens(40), protocol=Blocks(window=10))
    assert found.divergence.value == 0
    assert found.agreement.value == 1


def test_tokens_that_are_ruled_out_add_nothing():
    first = torch.tensor([[0.0, -torch.inf, 0.0]])
    divergence, agreeing = compare_rows(first, torch.tensor([[0.0, -torch.inf, 0.0]]))
    assert (divergence, agreeing) == (0.0, 1.0)


def test_different_vocabularies_are_refused():
    with pytest.raises(MeasureError, match="vocabularies of 8 and 9"):
        fidelity(
            lambda t: torch.zeros(*t.shape, 8),
            lambda t: torch.zeros(*t.shape, 9),
            torch.zeros(20, dtype=torch.long),
            protocol=Blocks(window=10),
        )
