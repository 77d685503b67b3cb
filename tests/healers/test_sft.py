"""Plain fine-tuning is the cross-entropy of the next token, or of the label."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.healers.conftest import run_of

from penjing.core import Seen
from penjing.healers import HEALERS


def naive(logits, ids):
    """For each row, minus the mean log-probability of each token after the first; the mean over rows."""
    rows = []
    for row, words in zip(logits, ids, strict=True):
        each = [row[i].log_softmax(0)[words[i + 1]] for i in range(len(words) - 1)]
        rows.append(-sum(each) / len(each))
    return sum(rows) / len(rows)


@given(st.integers(1, 3), st.integers(2, 6), st.integers(2, 9), st.integers(0, 99))
def test_equals_the_loop(rows, length, words, seed):
    g = torch.Generator().manual_seed(seed)
    logits, ids = torch.randn(rows, length, words, generator=g), torch.randint(words, (rows, length), generator=g)
    found = HEALERS.build("sft").loss(run_of("decoder"), ids, Seen(output=logits, logits=logits), Seen())
    torch.testing.assert_close(found, naive(logits, ids))
