"""The minimal transformer."""

import pytest
import torch

from penjing.errors import PenjingError
from penjing.models import MODELS, create

FILE = MODELS.load("minimal_transformer")


def attention(**entries):
    torch.manual_seed(0)
    whole = {**FILE.CARD.sizes["tiny"], **entries}
    module = FILE.Attention(FILE.Config(**whole)).double()
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return module


def test_one_head_collapsed_is_what_query_and_key_were():
    one = {"num_attention_heads": 1, "head_dim": 12}
    apart, joined = attention(**one), attention(**one, query_key="collapsed")
    with torch.no_grad():  # scores q k^T = (x Wq + bq)(x Wk + bk)^T; what is the same for all keys of a query cancels
        joined.query.weight.copy_(apart.key.weight.T @ apart.query.weight)
        joined.query.bias.copy_(apart.key.weight.T @ apart.query.bias)
        for name in ("value", "out"):
            getattr(joined, name).load_state_dict(getattr(apart, name).state_dict())
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(joined(x), apart(x))


def test_one_head_with_value_and_output_collapsed_is_what_they_were():
    one = {"num_attention_heads": 1, "head_dim": 12}
    apart, joined = attention(**one), attention(**one, value_output="collapsed", query_key="collapsed")
    with torch.no_grad():
        joined.query.weight.copy_(apart.key.weight.T @ apart.query.weight)
        joined.query.bias.copy_(apart.key.weight.T @ apart.query.bias)
        joined.value.weight.copy_(apart.out.weight @ apart.value.weight)
        joined.value.bias.copy_(apart.out.weight @ apart.value.bias + apart.out.bias)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(joined(x), apart(x))


@pytest.mark.parametrize("psd", [True, False])
def test_symmetric_forms_are_by_the_formula(psd):
    module = attention(query_key="symmetric_psd" if psd else "symmetric", value_output="none")
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    want = torch.zeros(5, 12, dtype=torch.float64)
    for h in range(3):
        triangle, n = torch.zeros(4, 4, dtype=torch.float64), 0
        for i in range(4):
            for j in range(i + 1):
                triangle[i, j] = module.form.entries[h, n]
                n += 1
        form = triangle @ triangle.T if psd else (triangle + triangle.T) / 2
        part = x[0, :, 4 * h : 4 * h + 4]
        want[:, 4 * h : 4 * h + 4] = torch.softmax(part @ form @ part.T / 4**0.5, -1) @ part
    torch.testing.assert_close(module(x)[0], want)
    if psd:
        assert (torch.linalg.eigvalsh(module.form.matrices()) > -1e-9).all()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"query_key": "collapsed"}, "collapse models of one head"),
        ({"value_output": "none", "head_dim": 5}, "width together"),
        ({"query_key": "colapsed"}, "one of separate, collapsed"),
        ({"patch_size": 4}, "does not divide"),
    ],
)
def test_what_does_not_go_together_is_refused(entries, words):
    with pytest.raises(PenjingError, match=words):
        create("minimal_transformer", "tiny", **entries)
